// Recorded events as a trace that opens in Perfetto (ui.perfetto.dev).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

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
//             frames    a slice from its beginning until it was done; marks for missed ones
//
// Slices nest and each begins and ends within the trace, whatever of the events was lost.
//
// An event takes about 0.2 us. A task that shares its core writes some, and lets others run:
//
//   PerfettoWriter writer{cores, describe};
//   while (writer.write_some(500)) co_await yield();
class PerfettoWriter {
 public:
  using Describe = base::FunctionRef<TraceLane(LaneId)>;

  // What both refer to MUST stay.
  PerfettoWriter(std::span<const TraceSnapshot> cores, Describe describe);
  PerfettoWriter(const PerfettoWriter&) = delete;
  PerfettoWriter& operator=(const PerfettoWriter&) = delete;
  ~PerfettoWriter();

  // Writes up to so many events; false when there are no more.
  bool write_some(std::size_t most);
  // The trace, once there are no more.
  [[nodiscard]] std::string take();

 private:
  class Trace;
  std::span<const TraceSnapshot> cores_;
  std::vector<std::size_t> next_;
  std::uint64_t now_ = 0;
  std::unique_ptr<Trace> trace_;
};

std::string perfetto_trace(std::span<const TraceSnapshot> cores, PerfettoWriter::Describe describe);

}  // namespace lichen::sched
