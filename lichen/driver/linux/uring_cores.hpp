// UringCores: finds the ring of the calling core.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>

#include "lichen/driver/linux/uring_core.hpp"

namespace lichen::driver {

class UringCores {
 public:
  static constexpr std::size_t limit = 64;

  // MUST be called on a core that has one.
  [[nodiscard]] UringCore& here() noexcept { return *at(coro::this_core()->index()); }
  // Null where there is none (yet, or any more).
  [[nodiscard]] UringCore* at(std::size_t core) noexcept {
    return cores_[core].load(std::memory_order_acquire);
  }
  void set(std::size_t core, UringCore* uring) noexcept {
    cores_[core].store(uring, std::memory_order_release);
  }

 private:
  std::array<std::atomic<UringCore*>, limit> cores_{};
};

}  // namespace lichen::driver
