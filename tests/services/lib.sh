# Steps with a log each: quiet when they work, the log's tail when they do not. Sourced, not run.
# shellcheck shell=bash

LOG_TAIL_LINES=25
step_logs=$(mktemp -d)

say() { printf 'install: %s\n' "$*" >&2; }

# step NAME COMMAND…: runs it with its output in a log; on failure shows the tail and passes the code on.
step() {
  local name=$1 log="$step_logs/log" code=0 began=$SECONDS
  shift
  "$@" >"$log" 2>&1 </dev/null || code=$?
  if [ "$code" -ne 0 ]; then
    say "step failed: $name (exit $code after $((SECONDS - began)) s); the end of its log:"
    tail -n "$LOG_TAIL_LINES" "$log" | sed 's/^/    /' >&2
    return "$code"
  fi
  say "$name: done in $((SECONDS - began)) s"
}

# retried TIMES COMMAND…: mirrors and registries have bad minutes; waits 2, 4, 8… seconds in between.
retried() {
  local times=$1 wait=2 attempt
  shift
  for ((attempt = 1; ; attempt++)); do
    "$@" && return 0
    [ "$attempt" -lt "$times" ] || return 1
    echo "attempt $attempt of $times failed; again in $wait s"
    sleep "$wait"
    wait=$((wait * 2))
  done
}
