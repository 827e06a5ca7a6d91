// A program whose tasks are suspended in known places, for the debugger to find.
#include <cstdio>

#include "lichen/coro/event.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/image/run.hpp"

using namespace lichen;

// The debugger stops here.
extern "C" [[gnu::noinline]] void tasks_are_suspended() { asm volatile(""); }

namespace {

Task<Result<>> wait_for_ever(Event& event) { co_return co_await event.wait(); }
Task<Result<>> outer_function(Event& event) { co_return co_await wait_for_ever(event); }

Task<Result<>> with_a_child(Event& event) {
  Scope scope;
  scope.spawn(outer_function(event));
  co_return co_await scope.join();
}

Task<Result<>> suspend_some() {
  Event event;
  Scope scope;
  scope.spawn(with_a_child(event));
  scope.spawn(outer_function(event));
  for (int i = 0; i < 3; ++i) co_await yield();
  tasks_are_suspended();
  event.set();
  co_return co_await scope.join();
}

}  // namespace

int main() {
  const auto outcome = run(suspend_some());
  if (!outcome) std::puts("failed");
  return outcome ? 0 : 1;
}
