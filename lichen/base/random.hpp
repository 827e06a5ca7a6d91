// Random numbers that a seed reproduces: for schedulers, simulation and tests. Not for secrets.
#pragma once

#include <bit>
#include <cassert>
#include <cstdint>
#include <limits>

namespace lichen::base {

// splitmix64 (Steele, Lea and Flood, 2014): the next of a sequence in which every 64-bit number
// comes up once. Turns a seed of poor quality, such as 1, into good ones.
[[nodiscard]] constexpr std::uint64_t split_mix(std::uint64_t& state) noexcept {
  std::uint64_t value = state += 0x9E3779B97F4A7C15;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
  return value ^ (value >> 31);
}

// xoshiro256** 1.0 (Blackman and Vigna, 2018): period 2^256 - 1, below a nanosecond a number.
// Satisfies std::uniform_random_bit_generator. A generator belongs to one core; split() makes one
// for another.
class Random {
 public:
  using result_type = std::uint64_t;

  constexpr explicit Random(std::uint64_t seed) noexcept {
    for (std::uint64_t& word : state_) word = split_mix(seed);
  }

  static constexpr std::uint64_t min() noexcept { return 0; }
  static constexpr std::uint64_t max() noexcept { return std::numeric_limits<result_type>::max(); }

  // All 64 bits are equally good.
  constexpr std::uint64_t operator()() noexcept {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  // Each number below the bound, which MUST NOT be zero, with the same probability (Lemire, 2019):
  // a multiplication, and very seldom a division.
  constexpr std::uint64_t below(std::uint64_t bound) noexcept {
    assert(bound != 0);
    auto product = static_cast<unsigned __int128>((*this)()) * bound;
    if (static_cast<std::uint64_t>(product) < bound) [[unlikely]] {
      const std::uint64_t surplus = (0 - bound) % bound;
      while (static_cast<std::uint64_t>(product) < surplus) {
        product = static_cast<unsigned __int128>((*this)()) * bound;
      }
    }
    return static_cast<std::uint64_t>(product >> 64);
  }

  // From first to last, both included; first MUST NOT be greater.
  constexpr std::int64_t between(std::int64_t first, std::int64_t last) noexcept {
    assert(first <= last);
    const std::uint64_t count =
        static_cast<std::uint64_t>(last) - static_cast<std::uint64_t>(first) + 1;
    const std::uint64_t offset = count == 0 ? (*this)() : below(count);
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(first) + offset);
  }

  // From 0 up to but not including 1, in steps of 2^-53.
  constexpr double fraction() noexcept { return static_cast<double>((*this)() >> 11) * 0x1p-53; }

  // True with this probability.
  constexpr bool chance(double probability) noexcept { return fraction() < probability; }

  // Another generator, determined by this one and of a sequence of its own.
  constexpr Random split() noexcept { return Random{(*this)()}; }

 private:
  std::uint64_t state_[4];  // never all zero: split_mix yields zero for one state only
};

}  // namespace lichen::base

namespace lichen {
using base::Random;
}  // namespace lichen
