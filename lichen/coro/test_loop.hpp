// TestLoop: the smallest thing that runs coroutines. One core, virtual time, every frame counted;
// for the unit tests of coro, which need neither scheduler nor frame pool. It defines the hooks.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <utility>

#include "lichen/coro/loan.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/coro/when.hpp"

namespace lichen::coro::test {

inline std::uint64_t virtual_now_ns = 1'000'000;
inline std::size_t frames_alive = 0;
inline std::size_t frames_until_failure = ~std::size_t{0};  // so many more allocations succeed

class TestLoop final : public Core {
 public:
  TestLoop() noexcept : Core{0} { set_this_core(this); }
  ~TestLoop() { set_this_core(nullptr); }

  // Runs what is ready; when nothing is, time jumps to the next timer. Returns when neither is
  // left.
  void run() noexcept {
    for (;;) {
      batch_now_ns_ = virtual_now_ns;
      timers_.advance(virtual_now_ns);
      if (Runnable* runnable = pick()) {
        ++steps;
        Core::run(*runnable);
        current_ = nullptr;
      } else if (const std::uint64_t next = timers_.next_deadline(); next != no_deadline) {
        virtual_now_ns = std::max(virtual_now_ns, next);
      } else {
        return;
      }
    }
  }

  // Runs a task to its end and yields its result; empty when it can never end.
  template <class T>
  std::optional<Result<typename Task<T>::Value>> run(Task<T> task) noexcept {
    Scope scope{Scope::Shielded{}};
    if (!task.has_frame()) return Error::no_memory;
    scope.start(task);
    run();
    if (scope.active() == 0) return task.take_result();
    scope.request_stop();
    run();
    if (scope.active() != 0) std::abort();
    return std::nullopt;
  }

  std::size_t steps = 0;

 private:
  Runnable* pick() noexcept {
    if (here_.next) return std::exchange(here_.next, nullptr);
    if (!here_.forks.empty()) return &here_.forks.pop_front();
    return here_.ready.empty() ? nullptr : &here_.ready.pop_front();
  }
};

}  // namespace lichen::coro::test
