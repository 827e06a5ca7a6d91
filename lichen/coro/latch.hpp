// Latch: opens once, when it has been counted down to zero.
#pragma once

#include <atomic>
#include <cstddef>

#include "lichen/coro/event.hpp"

namespace lichen::coro {

class Latch {
 public:
  explicit Latch(std::size_t count) noexcept : count_{count}, open_{count == 0} {}

  // The sum of all calls MUST NOT exceed the initial count. The last call may end the latch's life
  // only through a task that waited.
  void count_down(std::size_t n = 1) noexcept {
    if (count_.fetch_sub(n, std::memory_order_acq_rel) == n) open_.set();
  }
  [[nodiscard]] std::size_t count() const noexcept {
    return count_.load(std::memory_order_acquire);
  }
  // Error::stopped when the task was stopped first.
  auto wait() noexcept { return open_.wait(); }

 private:
  std::atomic<std::size_t> count_;
  Event open_;
};

}  // namespace lichen::coro

namespace lichen {
using coro::Latch;
}  // namespace lichen
