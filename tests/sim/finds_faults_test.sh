#!/bin/sh
# The simulator finds the faults of deliberately broken primitives, prints the seed and the events, and
# the command it prints fails again.
set -eu
sim_run=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
find_fault() {  # scenario, what the report says
  if "$sim_run" --seeds 3000 --scenario "$1" >"$folder/found" 2>&1; then
    echo "$1: no seed fails"; exit 1
  fi
  grep -q "$2" "$folder/found" || { cat "$folder/found"; echo "$1: another report"; exit 1; }
  grep -q ' core [0-9] ' "$folder/found" || { echo "$1: no events are shown"; exit 1; }
  replay=$(sed -n 's/^replay: //p' "$folder/found")
  [ -n "$replay" ] || { echo "$1: no command to replay it"; exit 1; }
  if $replay >"$folder/first" 2>&1; then echo "$1: passes when replayed"; exit 1; fi
  $replay >"$folder/second" 2>&1 || true
  cmp "$folder/first" "$folder/second"
  grep -q "$2" "$folder/first"
}
find_fault lost_wake 'deadlock: all cores wait'
find_fault torn_count 'every step counted'
# Wrong arguments are told from failures.
for wrong in '--seed x' '--seed -1' '--seed 1x' '--seed' '--seed 18446744073709551616' '--scenario nothing' \
  '--seeds 0' '--seeds 2 --from 18446744073709551615' '--seed 1 --seeds 2' '--seed 1 --hash' '--trace' '--what'; do
  status=0
  # shellcheck disable=SC2086  # several words
  "$sim_run" $wrong >/dev/null 2>&1 || status=$?
  [ $status -eq 2 ] || { echo "$wrong: status $status"; exit 1; }
done
"$sim_run" --list | grep -q '^hogs '
"$sim_run" --help | grep -q '^usage: sim_run'
