// Recorded events as a trace that opens in Perfetto (ui.perfetto.dev).
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "lichen/base/function_ref.hpp"
#include "lichen/sched/trace_ring.hpp"

namespace lichen::sched {

// What a lane is called in a trace.
struct TraceLane {
  std::uint32_t group = 0;  // the app
  std::string group_name;
  std::string name;  // the class of its tasks, or which frames
};

// One snapshot a core, in the order of their indices, as a Perfetto trace: the protobuf format of
// perfetto/trace/trace.proto. It shows
//
//   Cores     core 0    the lanes in turn, in each its tasks by where they were spawned, sleep;
//                       marks for preemptions, steals, missed frames, stalls; arrows from wakes
//             ready     how many tasks and lanes wait, as curves
//   App x     core 0    its tasks as they run there
//             frames    a slice from when each was due until it was done; marks for missed ones
//
// Slices nest and each begins and ends within the trace, whatever of the events was lost.
std::string perfetto_trace(std::span<const TraceSnapshot> cores,
                           base::FunctionRef<TraceLane(LaneId)> describe);

}  // namespace lichen::sched
