// Utilisation: how busy something is.
#pragma once

#include <atomic>
#include <cstdint>

namespace lichen::sched {

// How busy a core or a lane is, as a part of the time: a mean in which what happened half_life_ns
// ago counts half. Written by one core, read on any.
class Utilisation {
 public:
  static constexpr std::uint32_t full = 1'024;
  static constexpr std::uint64_t half_life_ns = 32'000'000;  // Linux's (PELT)

  // From now on it is busy, or not.
  void set(bool busy, std::uint64_t now) noexcept;
  [[nodiscard]] std::uint32_t at(std::uint64_t now) const noexcept;

 private:
  // When it was said, in 1,024 ns, whether it is busy since, and the mean until then: in one word,
  // so that readers see one moment.
  std::atomic<std::uint64_t> state_{0};
};

}  // namespace lichen::sched
