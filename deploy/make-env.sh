#!/usr/bin/env bash
# Writes `.env` for docker-compose.yml with fresh secrets, readable by its owner only. Never overwrites one:
# sealed rows in the database can be read with their SCIMFLEET_SECRETS_KEY only, so keep a copy of it.
#   deploy/make-env.sh [FILE]
set -euo pipefail
file=${1:-$(cd "$(dirname "$0")/.." && pwd)/.env}
[ ! -e "$file" ] || { echo "make-env: $file is there already; remove it by hand if its secrets are not in use" >&2; exit 1; }

# Hexadecimal, because passwords become parts of URLs.
random_hex() { od -An -N "$1" -tx1 /dev/urandom | tr -d ' \n'; }

umask 077
set -o noclobber
cat >"$file" <<ENV
# Of the services.
POSTGRES_PASSWORD=$(random_hex 24)
RABBITMQ_PASSWORD=$(random_hex 24)
REDIS_PASSWORD=$(random_hex 24)
GRAFANA_PASSWORD=$(random_hex 24)

# Seals tokens and passwords in the database: base64 of 32 bytes.
SCIMFLEET_SECRETS_KEY=$(head -c 32 /dev/urandom | base64)

# For first use: the dashboard and the admin API; the directory's SCIM endpoint.
SCIMFLEET_ADMIN_TOKEN=$(random_hex 24)
SCIMFLEET_DIRECTORY_TOKEN=$(random_hex 24)

# Whether applications may be in private address ranges.
SCIMFLEET_EGRESS_PRIVATE=false
ENV
echo "make-env: wrote $file"
