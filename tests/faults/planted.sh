#!/usr/bin/env bash
# Plants each defect in turn and expects the fault suite to turn red; inside of tests/services/with-services.sh.
#
#   tests/faults/planted.sh
#
# The binary with the defects is built apart, and only with debug assertions: a release refuses to hold them.
set -euo pipefail
cd "$(dirname "$0")/../.."

cargo build --quiet --workspace --locked --features scimfleet-cli/planted
mkdir -p target/planted
cp target/debug/scimfleet target/debug/scimfleet-faults target/planted/
cargo build --quiet --workspace --locked

# Each defect, and the scenario that is there for it.
missed=0
while read -r defect scenario; do
  if PLANTED_DEFECT=$defect SCIMFLEET_BIN=$PWD/target/planted/scimfleet target/planted/scimfleet-faults "$scenario" </dev/null; then
    echo "planted: $defect was NOT seen by $scenario" >&2
    missed=1
  else
    echo "planted: $defect was seen by $scenario"
  fi
done <<'DEFECTS'
ack-before-record kill-after
no-look-up answer-lost
incomplete-is-absent incomplete-listing
DEFECTS
exit "$missed"
