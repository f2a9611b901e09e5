#!/usr/bin/env bash
# Runs a script of this folder with Playwright and Debian's Chromium; axe-core checks accessibility.
#   tests/browser/browser.sh SCRIPT.py [ARGUMENT…]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd); dir=${INTEROP_HOME:-$HOME/.cache/scim-interop}/browser
# The driver is made for a Chromium of its own age; Debian's is kept at the newest.
playwright=1.56.0 axe=4.11.0
mkdir -p "$dir"
[ -x "$dir/venv/bin/python" ] || python3 -m venv "$dir/venv"
"$dir/venv/bin/python" -c 'import importlib.metadata as m, sys; sys.exit(m.version("playwright") != sys.argv[1])' "$playwright" 2>/dev/null \
  || "$dir/venv/bin/pip" install --quiet --disable-pip-version-check "playwright==$playwright"
[ -f "$dir/node_modules/axe-core/axe.min.js" ] \
  || npm install --prefix "$dir" --no-audit --no-fund --silent "axe-core@$axe"
[ -z "${INTEROP_INSTALL_ONLY:-}" ] || exit 0
script=$1; shift
AXE=$dir/node_modules/axe-core/axe.min.js exec "$dir/venv/bin/python" -B "$here/$script" "$@"
