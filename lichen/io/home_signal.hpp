// HomeSignal: one task waits for something that happens on its core.
#pragma once

#include <coroutine>
#include <utility>

#include "lichen/base/result.hpp"
#include "lichen/coro/promise.hpp"
#include "lichen/coro/strand.hpp"

namespace lichen::io {

// notify() and wait() are for the home core only; what they announce lies beside the signal, so a
// waiter looks there first, on the same core, and no wake can be lost in between. At most one
// waiter.
class HomeSignal {
 public:
  class Awaiter : coro::Wait {
   public:
    Awaiter(HomeSignal& signal, coro::Core& home) noexcept
        : Wait{.kind = &kind_of_wait}, signal_{signal}, home_{home} {}

    static bool await_ready() noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> handle) noexcept {
      coro::Preemption& core = *coro::this_preemption();
      core.begin_suspension();
      {
        coro::Strand& strand = *handle.promise().strand;
        coro::SpinGuard guard{strand.lock};
        if (!strand.stop_requested.load(std::memory_order_relaxed)) {
          waiter = &handle.promise();
          strand.wait = this;
          signal_.waiter_ = this;
          return true;
        }
      }
      core.abandon_suspension();
      return false;
    }
    // Error::stopped when the task was stopped first.
    Result<void> await_resume() noexcept {
      if (waiter) coro::end_wait(*waiter->strand);
      if (!notified_) return Error::stopped;
      return {};
    }

   private:
    friend class HomeSignal;
    static coro::Core* cancel_wait(coro::Wait& wait) noexcept {
      auto& self = static_cast<Awaiter&>(wait);
      if (coro::this_core() != &self.home_) return &self.home_;
      if (self.signal_.waiter_ == &self) {
        self.signal_.waiter_ = nullptr;
        coro::wake_next(*self.waiter);
      }
      return nullptr;
    }
    static constexpr Kind kind_of_wait{&cancel_wait};

    HomeSignal& signal_;
    coro::Core& home_;
    bool notified_ = false;
  };

  Awaiter wait(coro::Core& home) noexcept { return {*this, home}; }
  // Makes the waiting task ready, if there is one.
  void notify() noexcept {
    if (Awaiter* waiting = std::exchange(waiter_, nullptr)) {
      waiting->notified_ = true;
      coro::wake(*waiting->waiter);
    }
  }
  [[nodiscard]] bool has_waiter() const noexcept { return waiter_ != nullptr; }

 private:
  Awaiter* waiter_ = nullptr;
};

}  // namespace lichen::io
