// FakeMachine: the outside of a machine of which tests of file systems need the clock.
#pragma once

#include <atomic>
#include <cstdint>

#include "lichen/io/test_system.hpp"

namespace lichen::fs::test {

// Has a clock only, which is a moment later each time it is asked.
class FakeMachine final : public io::test::ClockOnly {
 public:
  [[nodiscard]] std::int64_t wall_clock_ns() const noexcept override {
    return now_ns_.fetch_add(1, std::memory_order_relaxed);
  }

 private:
  mutable std::atomic<std::int64_t> now_ns_{1'000};
};

}  // namespace lichen::fs::test
