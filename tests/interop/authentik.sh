#!/usr/bin/env bash
# A stand-in for authentik's API: real models of its published client, a made-up directory, no authentik. See authentik/server.py.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd); home=${INTEROP_HOME:-$HOME/.cache/scim-interop}; venv=$home/authentik-client
[ -x "$venv/bin/python" ] && [ -d "$venv"/lib/python3*/site-packages/authentik_client ] || { python3 -m venv "$venv"; "$venv/bin/pip" install -q authentik-client==2026.8.5; }
[ -z "${INTEROP_INSTALL_ONLY:-}" ] || exit 0
exec "$venv/bin/python" -B "$here/authentik/server.py"
