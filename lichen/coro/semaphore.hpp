// Semaphore: a number of permits; and Mutex, whose one permit has a holder.
#pragma once

#include <cstddef>
#include <utility>

#include "lichen/coro/loan.hpp"
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

// May be held across suspensions. First come, first served; but a more urgent task goes before, and
// lends the holder its lane meanwhile, so that it waits no longer than the section takes; whom the
// holder waits for meanwhile inherits it in turn. The task that locked MUST live until it is
// unlocked. MUST outlive its waiters.
class Mutex {
 public:
  Mutex() noexcept = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  // Holds the mutex until destroyed.
  class [[nodiscard]] Guard {
   public:
    Guard(Guard&& other) noexcept : mutex_{std::exchange(other.mutex_, nullptr)} {}
    Guard& operator=(Guard&& other) noexcept {
      std::swap(mutex_, other.mutex_);
      return *this;
    }
    ~Guard() {
      if (mutex_) mutex_->unlock();
    }

   private:
    friend class Mutex;
    explicit Guard(Mutex* mutex) noexcept : mutex_{mutex} {}
    Mutex* mutex_;
  };

  struct LockOperation {
    using Value = Guard;
    Mutex& mutex;

    [[nodiscard]] bool try_now() const noexcept { return mutex.try_lock(); }
    Enqueued enqueue(Waiter& waiter) const noexcept;
    bool dequeue(Waiter& waiter) const noexcept;
    void hurry(Waiter& waiter, Lent lent) const noexcept;
    Result<Guard> result() noexcept { return Guard{&mutex}; }
  };
  // Error::stopped when stopped first.
  Await<LockOperation> lock() noexcept { return Await<LockOperation>{*this}; }

 private:
  [[nodiscard]] bool try_lock() noexcept;
  void unlock() noexcept;
  // Takes who is next from the queue, claimed; null when nobody waits.
  Waiter* take_next() noexcept __attribute__((requires_capability(lock_)));
  void lend_all() noexcept __attribute__((requires_capability(lock_)));

  SpinLock lock_;
  bool lanes_differ_ = false;  // among those who wait, or between them and the holder
  Strand* holder_ = nullptr;
  WaitQueue waiters_;
  Loan loan_;
};

}  // namespace lichen::coro

namespace lichen {
using coro::Mutex;
using coro::Semaphore;
}  // namespace lichen
