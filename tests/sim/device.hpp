// A device of a simulated core: at the moments that it was told it has something to tell.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "lichen/coro/event.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/sim/simulator.hpp"
#include "lichen/sched/event_source.hpp"

namespace lichen::tests {

// Called on its core.
class Device final : public sched::EventSource {
 public:
  // `kept_back`: like those of a host, which interrupt only a core that has asked for it.
  Device(unsigned core, bool kept_back) noexcept : core_{core}, kept_back_{kept_back} {}

  // Sets the event at that moment, as soon as the core looks.
  void tell(coro::Event& event, std::uint64_t at_ns) {
    const coro::PreemptionOff section;
    due_.push_back({&event, at_ns});
    raise();
  }

  unsigned poll() noexcept override {
    listening_ = false;
    if (due_.empty()) return 0;
    const std::uint64_t now = hal::now_ns();
    unsigned count = 0;
    std::erase_if(due_, [&](const Due& due) {
      if (due.at_ns > now) return false;
      due.event->set();
      ++count;
      return true;
    });
    raise();
    return count;
  }
  void wait(std::uint64_t deadline_ns) noexcept override {
    hal::wait(core_, std::min(deadline_ns, next_ns()));
  }
  void wake() noexcept override { hal::wake(core_); }
  bool is_deaf() const noexcept override { return kept_back_ && !listening_ && !due_.empty(); }
  bool listen() noexcept override {
    listening_ = true;
    raise();
    return next_ns() <= hal::now_ns();
  }

 private:
  struct Due {
    coro::Event* event;
    std::uint64_t at_ns;
  };

  [[nodiscard]] std::uint64_t next_ns() const noexcept {
    std::uint64_t next = coro::no_deadline;
    for (const Due& due : due_) next = std::min(next, due.at_ns);
    return next;
  }
  void raise() noexcept {
    if (!due_.empty() && (!kept_back_ || listening_))
      hal::sim::raise_interrupt(core_, hal::Interrupt::device, next_ns());
  }

  const unsigned core_;
  const bool kept_back_;
  bool listening_ = false;
  std::vector<Due> due_;
};

}  // namespace lichen::tests
