#!/usr/bin/env bash
# PyPI scim-sim, a command line that fills SCIM directories. It keeps its configuration in $HOME: give it one of its own.
# usage: scim-sim.sh COMMAND…
set -euo pipefail
venv=${INTEROP_HOME:-$HOME/.cache/scim-interop}/scim-sim
[ -x "$venv/bin/scim-sim" ] || { python3 -m venv "$venv"; "$venv/bin/pip" install -q scim-sim==0.2.0; }
[ -z "${INTEROP_INSTALL_ONLY:-}" ] || exit 0
exec "$venv/bin/scim-sim" "$@"
