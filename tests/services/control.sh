#!/usr/bin/env bash
# Faults on demand, inside of with-services.sh: control.sh stop|kill|start|restart|pause|resume|alarm|calm rabbitmq|postgres|redis
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$here" exec python3 -m runner control "$@"
