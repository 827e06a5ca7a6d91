// Operation: the record of one thing a device was asked to do, and the doors to it.
//
// A driver hands the record's address to its device along with the request; the device gives it
// back with each completion. Doors: OperationWait is what `co_await` waits on; an Operation with a
// function of its own is a callback. The record MUST stay where it is until its last completion has
// come.
#pragma once

#include <coroutine>
#include <cstdint>
#include <utility>

#include "lichen/coro/promise.hpp"
#include "lichen/coro/strand.hpp"

namespace lichen::io {

// As a ring's completion entry: the result of the operation (at least 0), or minus an error number
// in the sense of base/error_map.hpp; and flags that mean what the device says they mean.
struct Completion {
  std::int32_t result = 0;
  std::uint32_t flags = 0;
};

class Operation {
 public:
  // Called on the core that submitted, for each completion. MUST NOT run a task, only make it
  // ready.
  using Complete = void(Operation& operation, Completion completion) noexcept;

  explicit constexpr Operation(Complete* complete) noexcept : complete_{complete} {}
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  void complete(Completion completion) noexcept { complete_(*this, completion); }

 private:
  Complete* complete_;
};

// A core's queue of requests to a device. Used on its core only.
class OperationQueue {
 public:
  [[nodiscard]] virtual coro::Core& core() noexcept = 0;
  // Asks the device to end the operation early. It still completes, with what it achieved or with
  // Error::canceled; the request may come too late.
  virtual void cancel(Operation& operation) noexcept = 0;

 protected:
  ~OperationQueue() = default;
};

// The door for `co_await`: a task suspended until the last completion of one operation. A driver's
// awaitable derives from it, calls begin() in await_suspend() and end() in await_resume().
//
//   begin() ---> submitted ---> finish(): task made ready ---> end()
//      |             |  stop request: OperationQueue::cancel(), then as before
//      +--> refused because a stop was requested: not submitted, Error::stopped
class OperationWait : public Operation, private coro::Wait {
 public:
  OperationWait(OperationQueue& queue, Complete* complete) noexcept
      : Operation{complete}, Wait{.kind = &kind_of_wait}, queue_{queue} {}

  // False when a stop was requested already: the operation MUST NOT be submitted then.
  bool begin(coro::PromiseBase& promise) noexcept {
    waiter = &promise;
    coro::Strand& strand = *promise.strand;
    coro::SpinGuard guard{strand.lock};
    if (strand.stop_requested.load(std::memory_order_relaxed)) return false;
    strand.wait = this;
    pending_ = true;
    return true;
  }
  // The last completion has come.
  void finish() noexcept {
    pending_ = false;
    coro::wake(*waiter);
  }
  // The task goes on. True when it was asked to stop before the operation could be submitted.
  bool end() noexcept {
    if (!started()) return true;
    coro::end_wait(*waiter->strand);
    return false;
  }
  [[nodiscard]] bool stop_requested() const noexcept {
    return waiter->strand->stop_requested.load(std::memory_order_relaxed);
  }

 private:
  [[nodiscard]] bool started() const noexcept { return waiter->strand->wait == this; }
  // On the queue's core, so it cannot overlap with finish().
  static coro::Core* cancel_wait(coro::Wait& wait) noexcept {
    auto& self = static_cast<OperationWait&>(wait);
    coro::Core& home = self.queue_.core();
    if (coro::this_core() != &home) return &home;
    if (self.pending_) self.queue_.cancel(self);
    return nullptr;
  }
  static constexpr Kind kind_of_wait{&cancel_wait};

  OperationQueue& queue_;
  bool pending_ = false;
};

// Keeps the running task on one core, for as long as it lives: what belongs to a core is used there
// only, and a task that waits might else go on anywhere. Must be a local of a coroutine.
class [[nodiscard]] Stay {
 public:
  Stay(Stay&& other) noexcept
      : strand_{std::exchange(other.strand_, nullptr)}, bound_to_{other.bound_to_} {}
  Stay& operator=(Stay&&) = delete;
  ~Stay() {
    if (strand_ && strand_->pinned() != bound_to_) strand_->pin(bound_to_);
  }

 private:
  friend class StayOn;
  Stay(coro::Strand& strand, coro::Core* bound_to) noexcept
      : strand_{&strand}, bound_to_{bound_to} {}

  coro::Strand* strand_;
  coro::Core* bound_to_;
};

// const io::Stay stay = co_await io::StayOn{core}: moves the running task there, if it is
// elsewhere. A task that is bound to another core is lent out until then.
class [[nodiscard("co_await it")]] StayOn {
 public:
  explicit StayOn(coro::Core& core) noexcept : core_{core} {}
  [[nodiscard]] bool await_ready() noexcept {
    coro::Core* here = coro::this_core();
    strand_ = here->current();
    bound_to_ = strand_->pinned();
    if (bound_to_ != &core_) strand_->pin(&core_);
    return here == &core_;
  }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> handle) const noexcept {
    coro::this_preemption()->begin_suspension();
    coro::hooks::post(&core_, handle.promise());
  }
  [[nodiscard]] Stay await_resume() const noexcept { return {*strand_, bound_to_}; }

 private:
  coro::Core& core_;
  coro::Strand* strand_ = nullptr;
  coro::Core* bound_to_ = nullptr;
};

}  // namespace lichen::io
