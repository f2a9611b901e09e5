#!/usr/bin/env bash
# Checks deploy/ and docker-compose.yml: Kubernetes' own schemas (PyPI kubernetes-validate) and what this project
# promises beyond them.
# usage: check.sh
set -euo pipefail
venv=${INTEROP_HOME:-$HOME/.cache/scim-interop}/deploy
root=$(cd "$(dirname "$0")/../.." && pwd)
[ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import kubernetes_validate, yaml' 2>/dev/null || { python3 -m venv "$venv"; "$venv/bin/pip" install -q kubernetes-validate==1.37.0 PyYAML==6.0.3; }
[ -z "${INTEROP_INSTALL_ONLY:-}" ] || exit 0
exec "$venv/bin/python" -B "$root/tests/deploy/check.py" "$@"
