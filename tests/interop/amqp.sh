#!/usr/bin/env bash
# A plain AMQP client that this project did not write (PyPI pika): runs a Python program with it.
# usage: amqp.sh PROGRAM.py [ARGUMENT…]
set -euo pipefail
venv=${INTEROP_HOME:-$HOME/.cache/scim-interop}/pika
[ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import pika' 2>/dev/null || { python3 -m venv "$venv"; "$venv/bin/pip" install -q pika==1.3.2; }
[ -z "${INTEROP_INSTALL_ONLY:-}" ] || exit 0
exec "$venv/bin/python" -B "$@"
