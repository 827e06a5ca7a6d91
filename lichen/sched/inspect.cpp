#include "lichen/sched/inspect.hpp"

#include "lichen/coro/scope.hpp"
#include "lichen/coro/trace.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::sched {

namespace {

// Runs pinned to the core whose heap it reads.
Task<> read_heap(mem::HeapStatistics& into) {
  Executor& executor = Executor::current();
  into = executor.heap().statistics();
  executor.frames().count([&into](std::size_t size, std::size_t count) {
    into.classes[mem::size_class(size)].live -= count;
  });
  co_return;
}

}  // namespace

Task<Result<MemoryStatistics>> memory_statistics(Machine& machine) {
  std::vector<mem::HeapStatistics> heaps(machine.cores());
  Scope readers;
  for (unsigned i = 0; i < machine.cores(); ++i)
    readers.spawn(read_heap(heaps[i]), &machine.core(i));
  CO_TRY(co_await readers.join());

  const mem::Account& account = machine.account();
  MemoryStatistics all{.used = account.used(),
                       .limit = account.limit(),
                       .refusals = account.refusals(),
                       .system_calls = account.system_calls(),
                       .classes = {}};
  for (std::size_t c = 0; c < mem::size_class_count; ++c) {
    mem::ClassStatistics sum;
    for (const mem::HeapStatistics& heap : heaps) {
      sum.block_size = heap.classes[c].block_size;
      sum.live += heap.classes[c].live;
      sum.capacity += heap.classes[c].capacity;
      sum.slabs += heap.classes[c].slabs;
    }
    if (sum.slabs > 0) all.classes.push_back(sum);
  }
  co_return all;
}

std::size_t count_tasks(Machine& machine) noexcept {
  std::size_t count = 0;
  coro::for_each_strand(machine.root(), [&count](coro::Strand&, unsigned) { ++count; });
  return count;
}

}  // namespace lichen::sched

#pragma clang attribute pop
