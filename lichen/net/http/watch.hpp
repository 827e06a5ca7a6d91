// Watch: the one deadline of a connection, whatever it waits for.
#pragma once

#include <cstdint>

#include "lichen/base/member.hpp"
#include "lichen/coro/core.hpp"
#include "lichen/coro/hooks.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/timer_wheel.hpp"

namespace lichen::net::http {

// Deadlines change with every message and seldom pass. So changing one is a store and a comparison;
// the timer behind it is set again only when it would come too late, which for deadlines that move
// on is about once a timeout. For use on one core; read() and limit() by its owner, the rest by the
// timer.
class Watch {
 public:
  // What was waited for when the time was up.
  enum class Phase : std::uint8_t { none, idle, head, body, write };
  using Expired = void(Watch& watch) noexcept;

  explicit Watch(Expired* expired) noexcept : expired_{expired} {}
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch() { stop(); }

  // From now on (the start of the core's batch of tasks) the phase may last so long.
  void limit(Phase phase, Duration timeout) noexcept {
    phase_ = phase;
    deadline_ = Deadline::about(timeout).ns;
    if (deadline_ < set_for_) [[unlikely]]
      set_timer();
  }
  // Nothing is waited for.
  void off() noexcept {
    phase_ = Phase::none;
    deadline_ = coro::no_deadline;
  }
  // As off(), and the timer goes too.
  void stop() noexcept {
    off();
    if (set_for_ != coro::no_deadline) timer_.cancel();
    set_for_ = coro::no_deadline;
  }
  [[nodiscard]] Phase phase() const noexcept { return phase_; }

 private:
  void set_timer() noexcept {
    if (set_for_ != coro::no_deadline) timer_.cancel();
    set_for_ = deadline_;
    coro::this_core()->timers().set(timer_, deadline_);
  }
  static void fire(coro::Timer& timer) noexcept {
    Watch& self = *base::holder_of<Watch, &Watch::timer_>(&timer);
    timer.fired();
    self.set_for_ = coro::no_deadline;
    if (self.deadline_ == coro::no_deadline) return;
    if (coro::hooks::now_ns() < self.deadline_) return self.set_timer();
    self.deadline_ = coro::no_deadline;
    self.expired_(self);
  }

  Expired* expired_;
  coro::Timer timer_{&fire};
  std::uint64_t deadline_ = coro::no_deadline;
  std::uint64_t set_for_ = coro::no_deadline;  // when the timer fires
  Phase phase_ = Phase::none;
};

}  // namespace lichen::net::http
