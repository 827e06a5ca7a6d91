// Semaphore: a number of permits; and Mutex, a semaphore of one whose permit is an object.
#pragma once

#include <cstddef>
#include <utility>

#include "lichen/coro/waiting.hpp"

namespace lichen::coro {

// Permits are handed out in the order in which tasks asked (no barging). MUST outlive its waiters.
class Semaphore {
 public:
  explicit Semaphore(std::size_t permits) noexcept : permits_{permits} {}
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  struct AcquireOperation {
    using Value = void;
    Semaphore& semaphore;

    [[nodiscard]] bool try_now() const noexcept { return semaphore.try_acquire(); }
    Enqueued enqueue(Waiter& waiter) const noexcept;
    bool dequeue(Waiter& waiter) const noexcept;
    static Result<void> result() noexcept { return {}; }
  };
  // Takes one permit. Error::stopped when the task was stopped first; no permit is taken then.
  Await<AcquireOperation> acquire() noexcept { return Await<AcquireOperation>{*this}; }
  [[nodiscard]] bool try_acquire() noexcept;
  void release(std::size_t permits = 1) noexcept;
  [[nodiscard]] std::size_t available() noexcept {
    SpinGuard guard{lock_};
    return permits_;
  }

 private:
  SpinLock lock_;
  std::size_t permits_;
  WaitQueue waiters_;
};

class Mutex {
 public:
  // Holds the mutex until destroyed.
  class [[nodiscard]] Guard {
   public:
    Guard(Guard&& other) noexcept : mutex_{std::exchange(other.mutex_, nullptr)} {}
    Guard& operator=(Guard&& other) noexcept {
      std::swap(mutex_, other.mutex_);
      return *this;
    }
    ~Guard() {
      if (mutex_) mutex_->semaphore_.release();
    }

   private:
    friend class Mutex;
    explicit Guard(Mutex* mutex) noexcept : mutex_{mutex} {}
    Mutex* mutex_;
  };

  struct LockOperation {
    using Value = Guard;
    Mutex& mutex;
    Semaphore::AcquireOperation acquire{mutex.semaphore_};

    [[nodiscard]] bool try_now() const noexcept { return acquire.try_now(); }
    Enqueued enqueue(Waiter& waiter) const noexcept { return acquire.enqueue(waiter); }
    bool dequeue(Waiter& waiter) const noexcept { return acquire.dequeue(waiter); }
    Result<Guard> result() noexcept { return Guard{&mutex}; }
  };
  // May be held across suspensions; first come, first served. Error::stopped when stopped first.
  Await<LockOperation> lock() noexcept { return Await<LockOperation>{*this}; }

 private:
  Semaphore semaphore_{1};
};

}  // namespace lichen::coro

namespace lichen {
using coro::Mutex;
using coro::Semaphore;
}  // namespace lichen
