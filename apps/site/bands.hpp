// What the scheduler does, as JSON: bands, groups, stalls.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/site/json.hpp"
#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/sched/band_statistics.hpp"

namespace lichen::site {

// What a stream of events shows are the waits of the last 5 to 10 seconds: those since the older of
// two copies.
struct BandsSeen {
  std::vector<sched::Distribution> older, newer;
  std::uint64_t copied_ns = 0;
};

// [{"name":"frame", "ready":0, "run_ns":..., "tasks":..., "preemptions":..., "frames":...,
// "missed":..., "wait":{"count":..., "p50":..., "p99":..., "p999":..., "max":...}}, ...]: totals,
// but for the waits, see BandsSeen; null: since the start. Times in nanoseconds.
void write_bands(Json& json, const std::vector<sched::BandStatistics>& bands, BandsSeen* seen);
// [{"name":"default", "weight":100, "foreground":true, "run_ns":[...], "frame_ns":...}, ...]:
// run_ns by class, the most urgent first.
void write_groups(Json& json);
// [{"name":"track 0", "watched":true, "tasks":..., "preemptions":..., "moves":..., "wait":{...},
// "run":{...}}, ...]: tasks that are watched, or were, since each began; all: also where it was
// spawned, and for how long it was set aside.
void write_watched(Json& json, bool all);
// All of it, and run times, lanes, the tasks that were preempted, who held a core for too long.
Task<Result<std::string>> bands_json();

}  // namespace lichen::site
