// SpinLock: for the few instructions in which a table of the machine changes. Private to hal.
#pragma once

#include <atomic>

#include "lichen/hal/bare/cores.hpp"

namespace lichen::hal::detail {

// MUST NOT be taken in handlers: the flow they interrupt may hold it.
class SpinLock {
 public:
  void lock() noexcept {
    while (held_.exchange(true, std::memory_order_acquire))
      while (held_.load(std::memory_order_relaxed)) pause();
  }
  void unlock() noexcept { held_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> held_{false};
};

class SpinGuard {
 public:
  explicit SpinGuard(SpinLock& lock) noexcept : lock_{lock} { lock_.lock(); }
  SpinGuard(const SpinGuard&) = delete;
  SpinGuard& operator=(const SpinGuard&) = delete;
  ~SpinGuard() { lock_.unlock(); }

 private:
  SpinLock& lock_;
};

}  // namespace lichen::hal::detail
