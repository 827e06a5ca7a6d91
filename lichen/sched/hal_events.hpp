// The event source of a core that has no driver, or has it on a thread that the host keeps.
#pragma once

#include <cstdint>

#include "lichen/hal/hal.hpp"
#include "lichen/sched/event_source.hpp"

namespace lichen::sched {

// Sleeps in the HAL.
class HalEvents final : public EventSource {
 public:
  explicit HalEvents(unsigned core) noexcept : core_{core} {}
  unsigned poll() noexcept override { return 0; }
  void wait(std::uint64_t deadline_ns) noexcept override { hal::wait(core_, deadline_ns); }
  void wake() noexcept override { hal::wake(core_); }

 private:
  unsigned core_;
};

}  // namespace lichen::sched
