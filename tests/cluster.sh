#!/usr/bin/env bash
# Runs a cluster of real processes: migrate, scheduler, workers and console, as docker-compose.yml does in containers.
#
#   tests/cluster.sh [--workers N] [--folder DIR] [--keep] -- COMMAND…
#
#   --workers N    workers to start (default $WORKERS, else 2)
#   --folder DIR   where state and logs go (default: a temporary folder, removed at the end)
#   --keep         keep that temporary folder
#
# Services: SCIMFLEET_STORE_URL, SCIMFLEET_QUEUE_URL and SCIMFLEET_COORDINATION_URL; else the SCIMFLEET_TEST_* URLs with
# a database and a queue prefix of its own; else private instances by tests/services/with-services.sh.
# The binary is SCIMFLEET_BIN (default target/debug/scimfleet).
#
# COMMAND gets the roles' environment (so `scimfleet` commands reach the same cluster), and
#   SCIMFLEET_CLUSTER_STATE    a file with one line per role: name, pid, address of /readyz and /metrics, log file
#   SCIMFLEET_CLUSTER_CONSOLE  the console's base URL; its token is SCIMFLEET_ADMIN_TOKEN
# It starts when every role is ready. Afterwards the roles get SIGTERM and 25 s to drain. The exit code is COMMAND's;
# when that is 0, it is 1 if a role ended early, badly or too late. A COMMAND that ends a role on purpose takes its line
# out of the state file; that role is not judged.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
READY_SECONDS=30
DRAIN_SECONDS=25
LOG_TAIL_LINES=15

workers=${WORKERS:-2} folder='' keep='' database='' command_pid=''
declare -A pid_of address_of code_of
roles=()

say() { printf 'cluster: %s\n' "$*" >&2; }
die() { say "$1"; exit "${2:-1}"; }
usage() { sed -n '2,/^set /{/^# \?/s/^# \?//p}' "$0"; }

parse() {
  while [ $# -gt 0 ]; do
    case $1 in
      --workers) workers=${2:?--workers needs a number}; shift 2 ;;
      --folder) folder=${2:?--folder needs a folder}; keep=1; shift 2 ;;
      --keep) keep=1; shift ;;
      -h | --help) usage; exit 0 ;;
      --) shift; break ;;
      *) die "unknown option \`$1\`; see --help" 2 ;;
    esac
  done
  case $workers in '' | *[!0-9]* | 0) die "--workers must be a number from 1, not \`$workers\`" 2 ;; esac
  [ $# -gt 0 ] || die "no command; see --help" 2
  command=("$@")
}

# Without any URL the whole script runs again with services around it.
ensure_services() {
  [ -z "${SCIMFLEET_STORE_URL:-}" ] || return 0
  [ -z "${SCIMFLEET_TEST_POSTGRES_URL:-}" ] || return 0
  [ -z "${SCIMFLEET_CLUSTER_INNER:-}" ] || die "no services; set SCIMFLEET_STORE_URL and its siblings"
  export SCIMFLEET_CLUSTER_INNER=1
  exec "$root/tests/services/with-services.sh" -- "$0" "$@"
}

psql_run() {
  local psql
  psql=$(command -v psql || compgen -G '/usr/lib/postgresql/*/bin/psql' | sort -V | tail -n 1) || die "psql is not installed"
  "$psql" -qX -v ON_ERROR_STOP=1 -c "$1" "$SCIMFLEET_TEST_POSTGRES_URL"
}

# A database and a queue prefix that no other test shares.
own_names() {
  [ -z "${SCIMFLEET_STORE_URL:-}" ] || return 0
  database="cluster_$$"
  psql_run "CREATE DATABASE $database"
  export SCIMFLEET_STORE_URL="${SCIMFLEET_TEST_POSTGRES_URL%/*}/$database"
  export SCIMFLEET_QUEUE_URL=$SCIMFLEET_TEST_AMQP_URL SCIMFLEET_QUEUE_PREFIX=${SCIMFLEET_QUEUE_PREFIX:-cluster$$}
  export SCIMFLEET_COORDINATION_URL=$SCIMFLEET_TEST_REDIS_URL
}

environment() {
  if [ -z "${SCIMFLEET_QUEUE_URL:-}" ] || [ -z "${SCIMFLEET_COORDINATION_URL:-}" ]; then
    die "SCIMFLEET_STORE_URL is set; SCIMFLEET_QUEUE_URL and SCIMFLEET_COORDINATION_URL are needed, too" 2
  fi
  export SCIMFLEET_SECRETS_KEY=${SCIMFLEET_SECRETS_KEY:-$(head -c 32 /dev/urandom | base64)}
  export SCIMFLEET_ADMIN_TOKEN=${SCIMFLEET_ADMIN_TOKEN:-$(head -c 24 /dev/urandom | base64 | tr '+/' 'ab')}
  export SCIMFLEET_DIRECTORY_TOKEN=${SCIMFLEET_DIRECTORY_TOKEN:-}
  # The providers of tests listen on loopback; the compose file refuses that.
  export SCIMFLEET_EGRESS_PRIVATE=${SCIMFLEET_EGRESS_PRIVATE:-true} SCIMFLEET_EGRESS_LOOPBACK=${SCIMFLEET_EGRESS_LOOPBACK:-true}
  bin=${SCIMFLEET_BIN:-$root/target/debug/scimfleet}
  bin=$(realpath -e "$bin" 2>/dev/null) || die "no binary at ${SCIMFLEET_BIN:-target/debug/scimfleet}; cargo build, or set SCIMFLEET_BIN"
  mkdir -p "${folder:=$(mktemp -d)}"
  folder=$(realpath "$folder")
}

draw_ports() {
  mapfile -t ports < <(PYTHONPATH="$root/tests/services" python3 -B -c \
    'import sys; from runner import ports; print(*ports.draw(int(sys.argv[1])), sep="\n")' "$1")
  [ "${#ports[@]}" -eq "$1" ] || die "found no $1 free ports"
}

show_log() { tail -n "$LOG_TAIL_LINES" "$folder/$1.log" | sed 's/^/    /' >&2; }

# Commands of the roles run where no scimfleet.toml lies about.
role() { cd "$folder" && exec env -u SCIMFLEET_CLUSTER_INNER "$@"; }

migrate() {
  role "$bin" migrate >"$folder/migrate.log" 2>&1 </dev/null &
  wait $! || { show_log migrate; die "migrate failed"; }
}

# start NAME ROLE ADDRESS VARIABLE: the address goes to the role by that variable.
start() {
  local name=$1 address=$3
  role env "$4=$address" "$bin" "$2" >"$folder/$name.log" 2>&1 </dev/null &
  pid_of[$name]=$! address_of[$name]=$address
  roles+=("$name")
}

is_ready() {
  (
    exec 3<>"/dev/tcp/${1%:*}/${1##*:}" || exit 1
    printf 'GET /readyz HTTP/1.0\r\nHost: %s\r\n\r\n' "$1" >&3
    read -r -t 2 answer <&3 && [[ $answer == HTTP/*" 200"* ]]
  ) 2>/dev/null
}

await_ready() {
  local name deadline=$((SECONDS + READY_SECONDS))
  for name in "${roles[@]}"; do
    until is_ready "${address_of[$name]}"; do
      kill -0 "${pid_of[$name]}" 2>/dev/null || { show_log "$name"; die "$name ended before it was ready"; }
      [ "$SECONDS" -lt "$deadline" ] || { show_log "$name"; die "$name was not ready within $READY_SECONDS s"; }
      sleep 0.1
    done
  done
}

write_state() {
  local name
  for name in "${roles[@]}"; do
    printf '%s %s %s %s\n' "$name" "${pid_of[$name]}" "${address_of[$name]}" "$folder/$name.log"
  done >"$folder/state"
}

start_roles() {
  local n
  draw_ports $((workers + 2))
  start scheduler scheduler "127.0.0.1:${ports[0]}" SCIMFLEET_METRICS_LISTEN
  start console console "127.0.0.1:${ports[1]}" SCIMFLEET_CONSOLE_LISTEN
  for ((n = 1; n <= workers; n++)); do
    start "worker-$n" worker "127.0.0.1:${ports[n + 1]}" SCIMFLEET_METRICS_LISTEN
  done
  await_ready
  write_state
  cat "$folder/state" >&2
}

run_command() {
  local code=0
  SCIMFLEET_CLUSTER_STATE="$folder/state" SCIMFLEET_CLUSTER_CONSOLE="http://${address_of[console]}" "${command[@]}" </dev/null &
  command_pid=$!
  # A trapped signal ends `wait` early.
  while code=0; wait "$command_pid" || code=$?; kill -0 "$command_pid" 2>/dev/null; do :; done
  command_pid=''
  return "$code"
}

# The pid is one of our children until we wait for it, so no other process can have it meanwhile.
await_end() {
  local name=$1 deadline=$2 pid=${pid_of[$1]} code=0
  while kill -0 "$pid" 2>/dev/null && [ "$(ps -o stat= -p "$pid" | cut -c1)" != Z ]; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      say "$name (pid $pid) did not drain within $DRAIN_SECONDS s; killed"
      kill -KILL "$pid" 2>/dev/null || true
      break
    fi
    sleep 0.05
  done
  wait "$pid" 2>/dev/null || code=$?
  code_of[$name]=$code
}

is_judged() { [ ! -e "$folder/state" ] || grep -q "^$1 " "$folder/state"; }

# 1 when a role ended otherwise than by 0.
stop_roles() {
  local name bad=0 report='' deadline=$((SECONDS + DRAIN_SECONDS))
  for name in "${roles[@]}"; do kill -TERM "${pid_of[$name]}" 2>/dev/null || say "$name had ended early"; done
  for name in "${roles[@]}"; do
    await_end "$name" "$deadline"
    report+=" $name=${code_of[$name]}"
    if [ "${code_of[$name]}" -ne 0 ] && is_judged "$name"; then bad=1; show_log "$name"; fi
  done
  [ -z "$report" ] || say "exit codes:$report"
  roles=()
  return "$bad"
}

tidy() {
  local code=$? roles_bad=0
  trap '' INT TERM HUP
  stop_roles || roles_bad=1
  [ -z "$database" ] || psql_run "DROP DATABASE IF EXISTS $database WITH (FORCE)" || true
  if [ -n "$keep" ]; then say "logs and state: $folder"; elif [ -n "$folder" ]; then rm -rf "$folder"; fi
  [ "$code" -ne 0 ] || code=$roles_bad
  exit "$code"
}

on_signal() {
  if [ -n "$command_pid" ]; then kill -TERM -- "-$command_pid" 2>/dev/null || true; else exit "$1"; fi
}

main() {
  parse "$@"
  ensure_services "$@"
  # Each job in a process group of its own: Ctrl-C is ours to pass on, after the command, to the roles.
  set -m
  trap tidy EXIT
  trap 'on_signal 130' INT
  trap 'on_signal 143' TERM HUP
  own_names
  environment
  migrate
  start_roles
  run_command
}

main "$@"
