// What bands and lanes do on all cores of a machine.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "lichen/base/function_ref.hpp"
#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/sched/machine.hpp"
#include "lichen/sched/perfetto.hpp"
#include "lichen/sched/watch.hpp"

namespace lichen::sched {

// One band on all cores, see qos.hpp for which there are.
struct BandStatistics {
  std::uint64_t run_ns = 0;
  std::uint64_t ready = 0;  // tasks that wait for their turn now
  WorkFigures work;
};

// By band. Visits every core in turn, since its queues are read there.
Task<Result<std::vector<BandStatistics>>> band_statistics(Machine& machine);

// A lane that has had work, on all cores.
struct LaneFigures {
  LaneId lane = 0;
  std::string_view group;  // its name
  std::string_view name;   // its class, or "frames"
  WorkFigures work;
};
// Calls `visit` for each lane of a group or reservation that has had a turn. On any thread.
void for_each_lane(Machine& machine, base::FunctionRef<void(const LaneFigures&)> visit);
// What a lane is called in traces and reports. On any thread.
TraceLane describe_lane(Machine& machine, LaneId lane);

}  // namespace lichen::sched
