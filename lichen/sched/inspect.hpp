// What a machine is doing, for inspectors and benchmarks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/mem/heap.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen::sched {

struct MemoryStatistics {
  std::size_t used = 0;            // bytes taken from the machine for frames and small objects
  std::size_t limit = 0;           // bytes that may be taken
  std::uint64_t refusals = 0;      // allocations refused because of the limit
  std::uint64_t system_calls = 0;  // times memory went from or to the machine
  std::vector<mem::ClassStatistics> classes;  // summed over cores; unused ones left out
};

// Visits every core in turn, since a heap is read on its own core.
Task<Result<MemoryStatistics>> memory_statistics(Machine& machine);

// Tasks (strands) that have not ended. Visits them all.
std::size_t count_tasks(Machine& machine) noexcept;

}  // namespace lichen::sched
