// A driver's fuzzer, from the first byte of its input to the last.
#pragma once

#include <cstddef>

#include "lichen/coro/scope.hpp"
#include "lichen/coro/test_loop.hpp"
#include "tests/fuzz/check.hpp"

namespace lichen::fuzz {

// Takes steps until the input ends, each of which may begin tasks and set when frames fail. Then
// all that was begun ends soon when it is asked to. Of the world: `input`, and `tasks`, how many
// tasks live.
template <class World>
Task<Result<void>> drive(World& world, Task<> (*step)(World&, Scope&)) {
  Scope tasks{OnError::keep_going};
  while (!world.input.done())
    if (!co_await step(world, tasks)) coro::test::frames_until_failure = ~std::size_t{0};
  tasks.request_stop();
  for (unsigned turns = 0; tasks.active() != 0; ++turns) {
    CHECK(turns < 100);
    co_await yield();
  }
  (co_await tasks.join()).ignore();
  CHECK(world.tasks == 0);
  co_return Result<void>{};
}

}  // namespace lichen::fuzz
