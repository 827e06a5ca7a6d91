// Account: who owns memory, how much of it, and how much at most.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace lichen::mem {

// Charged in granules when a heap takes memory from the machine, not for each block. Thread-safe.
// MUST outlive the heaps that charge it.
class Account {
 public:
  explicit Account(std::size_t limit = SIZE_MAX) noexcept : limit_{limit} {}
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  [[nodiscard]] std::size_t limit() const noexcept {
    return limit_.load(std::memory_order_relaxed);
  }
  // May be below what is used: then nothing is granted until enough has come back.
  void set_limit(std::size_t bytes) noexcept { limit_.store(bytes, std::memory_order_relaxed); }
  [[nodiscard]] std::size_t used() const noexcept { return used_.load(std::memory_order_relaxed); }
  // The most that was ever used.
  [[nodiscard]] std::size_t peak() const noexcept { return peak_.load(std::memory_order_relaxed); }
  // How often the limit refused memory.
  [[nodiscard]] std::uint64_t refusals() const noexcept {
    return refusals_.load(std::memory_order_relaxed);
  }
  // How often memory went from or to the machine: nothing in steady state.
  [[nodiscard]] std::uint64_t system_calls() const noexcept {
    return system_calls_.load(std::memory_order_relaxed);
  }
  // Blocks that still lived when their heap was destroyed: each one a bug of the owner.
  [[nodiscard]] std::uint64_t leaked() const noexcept {
    return leaked_.load(std::memory_order_relaxed);
  }

 private:
  friend class Heap;

  [[nodiscard]] bool charge(std::size_t bytes) noexcept {
    std::size_t used = used_.load(std::memory_order_relaxed);
    do {
      const std::size_t limit = this->limit();
      if (bytes > limit || used > limit - bytes) {
        refusals_.fetch_add(1, std::memory_order_relaxed);
        return false;
      }
    } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
    std::size_t peak = this->peak();
    while (peak < used + bytes &&
           !peak_.compare_exchange_weak(peak, used + bytes, std::memory_order_relaxed)) {
    }
    system_calls_.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  void discharge(std::size_t bytes) noexcept {
    used_.fetch_sub(bytes, std::memory_order_relaxed);
    system_calls_.fetch_add(1, std::memory_order_relaxed);
  }

  std::atomic<std::size_t> limit_;
  std::atomic<std::size_t> used_{0};
  std::atomic<std::size_t> peak_{0};
  std::atomic<std::uint64_t> refusals_{0};
  std::atomic<std::uint64_t> system_calls_{0};
  std::atomic<std::uint64_t> leaked_{0};
};

}  // namespace lichen::mem
