#!/usr/bin/env bash
# Runs a command with private RabbitMQ, PostgreSQL and Redis on free ports, and ends them afterwards:
#   tests/services/with-services.sh [--only rabbitmq,postgres,redis] [--keep] -- cargo test --workspace
# The command's exit code is passed on. What is missing on the machine: tests/services/install.sh.
# When the three URLs are in the environment already, those services are used and none is started.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

export INTEROP_HOME=${INTEROP_HOME:-${HOME:-/root}/.cache/scim-interop}
if [ -n "${SCIMFLEET_TEST_AMQP_URL:-}" ] && [ -n "${SCIMFLEET_TEST_POSTGRES_URL:-}" ] && [ -n "${SCIMFLEET_TEST_REDIS_URL:-}" ]; then
  while [ $# -gt 0 ] && [ "$1" != "--" ]; do shift; done
  shift || true
  [ $# -gt 0 ] || { echo "usage: with-services.sh -- COMMAND…" >&2; exit 2; }
  echo "services: using those named in the environment" >&2
  exec "$@"
fi
command -v python3 >/dev/null || { echo "services: python3 is missing; run tests/services/install.sh" >&2; exit 1; }
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}" exec python3 -m runner "$@"
