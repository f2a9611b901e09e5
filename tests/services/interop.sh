#!/usr/bin/env bash
# Installs the third-party servers and suites ahead, each by the install step of its own script in tests/interop,
# with the pins that stand there, into $INTEROP_HOME (default ~/.cache/scim-interop).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
scripts=$(cd "$here/../interop" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"
trap 'rm -rf "$step_logs"' EXIT

export INTEROP_HOME=${INTEROP_HOME:-${HOME:-/root}/.cache/scim-interop} INTEROP_INSTALL_ONLY=1
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 NPM_CONFIG_UPDATE_NOTIFIER=false
mkdir -p "$INTEROP_HOME"

# Two runs at once would build the same environment twice, one under the other's feet.
exec 9>"$INTEROP_HOME/.lock"
command -v flock >/dev/null && flock 9

install() {
  local name=$1
  shift
  step "interop $name" retried 3 "$@"
}

install scim2-server "$scripts/scim2-server.sh"
install django-scim2 "$scripts/django-scim2.sh"
install scim2-tester "$scripts/scim2-tester.sh" unused unused
install scim-sanity "$scripts/scim-sanity.sh" unused unused
install "checks of deploy/" "$here/../deploy/check.sh"
install scim-sim "$scripts/scim-sim.sh" unused
install "authentik-client, the models of its API" "$scripts/authentik.sh"
install "pika, an AMQP client" "$scripts/amqp.sh" unused
install "playwright and axe" "$scripts/../browser/browser.sh"
install "scimmy on express 4" "$scripts/scimmy.sh"
install "scimmy on express 5" env EXPRESS=5.3.0 "$scripts/scimmy.sh"
