// RingEnd: one end of a channel's ring, and the lock of those who are at it.
#pragma once

#include <atomic>
#include <cstdint>

#include "lichen/coro/lock.hpp"

namespace lichen::coro {

// How many messages have passed this end, with the lock in the same word: letting go of the lock
// publishes the messages, so whoever sees them knows that it is not touched any more. The same
// rules as for a SpinLock; MUST be held with preemption off.
class [[clang::capability("mutex")]] RingEnd {
 public:
  // Returns how many have passed.
  std::uint64_t lock() noexcept __attribute__((acquire_capability())) {
    if (!cores_share) return word_.load(std::memory_order_relaxed);
    hooks::interleave();
    if (word_.fetch_or(held, std::memory_order_acquire) & held) [[unlikely]]
      lock_contended();
    return word_.load(std::memory_order_relaxed) & ~held;
  }
  // So many have passed now.
  void unlock(std::uint64_t passed) noexcept __attribute__((release_capability())) {
    if (cores_share) hooks::interleave();
    word_.store(passed, std::memory_order_release);
    if (cores_share) hooks::interleave();
  }
  // Says so to the other end while the lock is kept.
  void publish(std::uint64_t passed) noexcept __attribute__((requires_capability(this))) {
    if (cores_share) word_.store(passed | held, std::memory_order_release);
  }
  // For the other end: at least so many have passed.
  [[nodiscard]] std::uint64_t passed() const noexcept {
    if (cores_share) hooks::interleave();
    return word_.load(std::memory_order_acquire) & ~held;
  }
  // Where only one core looks, or both are held.
  [[nodiscard]] bool level_with(const RingEnd& other) const noexcept {
    return word_.load(std::memory_order_relaxed) == other.word_.load(std::memory_order_relaxed);
  }

 private:
  static constexpr std::uint64_t held = std::uint64_t{1} << 63;

  void lock_contended() noexcept;

  std::atomic<std::uint64_t> word_{0};
};

}  // namespace lichen::coro
