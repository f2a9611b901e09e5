#!/usr/bin/env bash
# Runs a Python program with PyPI scim2-client, from the environment of scim2-tester.
# usage: scim2-client.sh PROGRAM.py [ARGUMENT…]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd); home=${INTEROP_HOME:-$HOME/.cache/scim-interop}
INTEROP_INSTALL_ONLY=1 "$here/scim2-tester.sh" unused unused
exec "$home/scim2-tester/bin/python" -B "$@"
