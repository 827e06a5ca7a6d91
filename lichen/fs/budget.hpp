// Budget: how many bytes a file system may hold, and how many it does.
#pragma once

#include <atomic>
#include <cstddef>

namespace lichen::fs {

class Budget {
 public:
  explicit Budget(std::size_t limit) noexcept : limit_{limit} {}

  [[nodiscard]] std::size_t limit() const noexcept { return limit_; }
  [[nodiscard]] std::size_t used() const noexcept { return used_.load(std::memory_order_relaxed); }

  // All of it or, when that passes the limit, nothing.
  [[nodiscard]] bool take(std::size_t bytes) noexcept {
    std::size_t used = this->used();
    do {
      if (bytes > limit_ - used) return false;
    } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
    return true;
  }
  void give_back(std::size_t bytes) noexcept { used_.fetch_sub(bytes, std::memory_order_relaxed); }

 private:
  const std::size_t limit_;
  std::atomic<std::size_t> used_{0};
};

}  // namespace lichen::fs
