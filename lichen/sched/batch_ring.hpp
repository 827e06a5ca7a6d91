// BatchRing: the ready work of a core that other cores may take.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "lichen/coro/runnable.hpp"

namespace lichen::sched {

// Bounded ring of batches, each a null-terminated chain of Runnables. The owner pushes at the tail;
// owner and thieves take from the head with one compare-and-swap, which a chain of tasks shares. A
// slot is overwritten only after the head has passed it, so a thief that read it too late loses the
// swap.
class BatchRing {
 public:
  static constexpr std::size_t capacity = 256;

  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  // Exact for the owner's emptiness test as far as its own pushes go; a hint for others.
  [[nodiscard]] std::size_t size() const noexcept {
    const std::uint64_t head = head_.load(std::memory_order_acquire);
    const std::uint64_t tail = tail_.load(std::memory_order_acquire);
    return tail > head ? static_cast<std::size_t>(tail - head) : 0;
  }

  // Owner only. False when full.
  bool push(coro::Runnable& batch) noexcept {
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) >= capacity) return false;
    slot(tail).store(&batch, std::memory_order_relaxed);
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }
  // The oldest batch, or null. On any core.
  coro::Runnable* pop() noexcept {
    std::uint64_t head = head_.load(std::memory_order_acquire);
    for (;;) {
      if (head >= tail_.load(std::memory_order_acquire)) return nullptr;
      coro::Runnable* batch = slot(head).load(std::memory_order_relaxed);
      if (head_.compare_exchange_weak(head, head + 1, std::memory_order_acq_rel,
                                      std::memory_order_acquire))
        return batch;
    }
  }
  // Takes half of the batches (rounded up): one is returned, the rest goes to `into`, which is the
  // thief's own and empty. Null when there was nothing to take or another thief was faster.
  coro::Runnable* steal_half(BatchRing& into) noexcept {
    std::uint64_t head = head_.load(std::memory_order_acquire);
    const std::uint64_t tail = tail_.load(std::memory_order_acquire);
    if (head >= tail) return nullptr;
    const std::uint64_t count = (tail - head + 1) / 2;
    std::array<coro::Runnable*, capacity / 2> taken;
    if (count > taken.size()) return nullptr;  // the head moved on meanwhile
    for (std::uint64_t i = 0; i < count; ++i)
      taken[i] = slot(head + i).load(std::memory_order_relaxed);
    if (!head_.compare_exchange_strong(head, head + count, std::memory_order_acq_rel,
                                       std::memory_order_relaxed))
      return nullptr;
    for (std::uint64_t i = 1; i < count; ++i) into.push(*taken[i]);
    return taken[0];
  }

 private:
  std::atomic<coro::Runnable*>& slot(std::uint64_t index) noexcept {
    return slots_[index % capacity];
  }

  alignas(64) std::atomic<std::uint64_t> head_{0};
  alignas(64) std::atomic<std::uint64_t> tail_{0};
  std::array<std::atomic<coro::Runnable*>, capacity> slots_{};
};

}  // namespace lichen::sched
