#!/bin/sh
# A run is a function of its seed: the same to the byte in another process, at another address, after
# other runs, whatever else the host does.
set -eu
sim_run=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for seed in 1 2 3 17 4711; do
  "$sim_run" --seed "$seed" --trace >"$folder/first"
  env -i TSAN_OPTIONS="${TSAN_OPTIONS:-}" PADDING="$(head -c 5000 /dev/zero | tr '\0' x)" "$sim_run" --seed "$seed" --trace >"$folder/second"
  cmp "$folder/first" "$folder/second"
  [ "$(wc -l <"$folder/first")" -gt 1000 ] || { echo "seed $seed: hardly any events"; exit 1; }
  if grep -q 0x "$folder/first"; then echo "seed $seed: an address in the trace"; exit 1; fi
done
# As one of many: the hashes are those of the single runs.
"$sim_run" --seeds 20 --hash | grep 'seed 17:' | sed 's/.*, //; s/.* //' >"$folder/many"
"$sim_run" --seed 17 | sed -n 's/^scenario .*: passed.*, //p' >"$folder/alone"
cmp "$folder/many" "$folder/alone"
"$sim_run" --seed 1 >"$folder/one"
"$sim_run" --seed 2 >"$folder/two"
if cmp -s "$folder/one" "$folder/two"; then echo "two seeds, one run"; exit 1; fi
