// SpinLock for the few instructions in which a primitive's queue changes, and the role that makes
// suspending in a critical section a compile error.
#pragma once

#include <atomic>

#include "lichen/coro/hooks.hpp"
#include "lichen/coro/preemption.hpp"

namespace lichen::coro {

// True while more than one core runs tasks. Set by the scheduler when no lock is held and before
// the second core starts; on a single core locks cost one predictable branch and no atomic
// operation.
inline constinit bool cores_share = false;

// Held by code that must not suspend. `co_await` excludes it (see PromiseBase::await_transform), so
// Clang's thread-safety analysis refuses a suspension inside a critical section. A task that holds
// a Critical is not preempted either: whatever else runs on its core sees the section as one step.
class [[clang::capability("role")]] NoSuspend {};
inline constinit NoSuspend no_suspend;

class [[clang::scoped_lockable]] Critical {
 public:
  [[gnu::always_inline]] Critical() noexcept __attribute__((acquire_capability(no_suspend))) {}
  [[gnu::always_inline]] ~Critical() __attribute__((release_capability())) {}
  Critical(const Critical&) = delete;
  Critical& operator=(const Critical&) = delete;

 private:
  PreemptionOff preemption_off_;
};

// Guards a bounded handful of instructions, never a wait, an allocation or a call into an app. So a
// core waits for it no longer than another core needs for these instructions. MUST be held with
// preemption off, or another task on the same core might wait for it; SpinGuard sees to that.
class [[clang::capability("mutex")]] SpinLock {
 public:
  void lock() noexcept __attribute__((acquire_capability())) {
    if (!cores_share) return;
    hooks::interleave();
    if (held_.exchange(true, std::memory_order_acquire)) [[unlikely]]
      lock_contended();
  }
  [[nodiscard]] bool try_lock() noexcept __attribute__((try_acquire_capability(true))) {
    if (!cores_share) return true;
    hooks::interleave();
    return !held_.exchange(true, std::memory_order_acquire);
  }
  void unlock() noexcept __attribute__((release_capability())) {
    if (!cores_share) return;
    hooks::interleave();
    held_.store(false, std::memory_order_release);
    hooks::interleave();
  }

 private:
  void lock_contended() noexcept;

  std::atomic<bool> held_{false};
};

// Says that preemption is off already.
struct InSection {};
inline constexpr InSection in_section;

class [[clang::scoped_lockable]] SpinGuard {
 public:
  explicit SpinGuard(SpinLock& lock) noexcept __attribute__((acquire_capability(lock, no_suspend)))
      : section_{this_preemption()}, lock_{lock} {
    lock_.lock();
  }
  SpinGuard(SpinLock& lock, InSection) noexcept
      __attribute__((acquire_capability(lock, no_suspend)))
      : section_{nullptr}, lock_{lock} {
    lock_.lock();
  }
  ~SpinGuard() __attribute__((release_capability())) {
    if (locked_) lock_.unlock();
  }
  // Lets go of the lock before the end of the block, and takes it again. Preemption stays off, so
  // that who was found under the lock is woken before anything else runs here.
  void unlock() noexcept __attribute__((release_capability())) {
    locked_ = false;
    lock_.unlock();
  }
  void lock() noexcept __attribute__((acquire_capability())) {
    lock_.lock();
    locked_ = true;
  }
  // Whose preemption is off; null on a thread that is no core, or if it was off already.
  [[nodiscard]] Preemption* core() const noexcept { return section_.core(); }
  SpinGuard(const SpinGuard&) = delete;
  SpinGuard& operator=(const SpinGuard&) = delete;

 private:
  PreemptionOff section_;  // left last
  SpinLock& lock_;
  bool locked_ = true;
};

}  // namespace lichen::coro
