#!/usr/bin/env bash
# One step of `make test`: step.sh NAME COMMAND…  prints a heading, runs, prints the time; on failure names the step.
# The times of all steps are collected in $STEP_TIMES if that is set; `step.sh --summary` prints them.
set -uo pipefail

if [ "${1:-}" = --summary ]; then
  echo "── all steps passed"
  cat "${STEP_TIMES:?set by the Makefile}"
  exit 0
fi

name=$1
shift
began=$SECONDS
echo "── $name"

# In a process group of its own, so that a signal to this script reaches everything that the step started.
set -m
"$@" </dev/null &
child=$!
trap 'kill -INT -- "-$child" 2>/dev/null' INT
trap 'kill -TERM -- "-$child" 2>/dev/null' TERM HUP
# A trapped signal ends `wait` early.
while wait "$child"; code=$?; kill -0 "$child" 2>/dev/null; do :; done
trap - INT TERM HUP

took=$((SECONDS - began))
[ -z "${STEP_TIMES:-}" ] || printf '   %-24s %5d s\n' "$name" "$took" >>"$STEP_TIMES"
if [ "$code" -ne 0 ]; then
  [ -z "${STEP_TIMES:-}" ] || { echo; cat "$STEP_TIMES"; }
  echo "── failed: $name (exit $code after $took s)" >&2
  exit "$code"
fi
echo "── $name: $took s"
