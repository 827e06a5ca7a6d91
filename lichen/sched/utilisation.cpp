#include "lichen/sched/utilisation.hpp"

#include <bit>

namespace lichen::sched {

namespace {

// The fields of the state, from above: time, busy, mean.
constexpr std::uint64_t mean_bits = 23;
constexpr std::uint64_t time_bits = 64 - mean_bits - 1;
constexpr std::uint64_t most = (std::uint64_t{1} << mean_bits) - 1;
constexpr std::uint64_t busy_bit = std::uint64_t{1} << mean_bits;
constexpr unsigned time_shift = 10;  // of nanoseconds
constexpr std::uint64_t half_life = Utilisation::half_life_ns >> time_shift;

constexpr std::uint64_t time_mask = (std::uint64_t{1} << time_bits) - 1;  // wraps after 13 days

std::uint64_t time_of(std::uint64_t now) noexcept { return now >> time_shift & time_mask; }

std::uint64_t mean_at(std::uint64_t state, std::uint64_t now) noexcept {
  const std::uint64_t mean = state & most;
  const std::uint64_t passed = (time_of(now) - (state >> (64 - time_bits))) & time_mask;
  if (passed > time_mask / 2) return mean;  // the reader's clock is a little behind
  const std::uint64_t halvings = passed / half_life;
  if (halvings >= mean_bits) return state & busy_bit ? most : 0;
  // 2^-x between two halvings, in 1/2^20: 1 - 0.65625 x + 0.15625 x^2, wrong by less than 0.5 %.
  constexpr unsigned bits = 20;
  const std::uint64_t x = (passed % half_life << bits) / half_life;
  const std::uint64_t factor =
      (std::uint64_t{1} << bits) - x * 21 / 32 + ((x * x >> bits) * 5 / 32);
  const auto decayed = [&](std::uint64_t value) { return (value * factor >> bits) >> halvings; };
  return state & busy_bit ? most - decayed(most - mean) : decayed(mean);
}

}  // namespace

void Utilisation::set(bool busy, std::uint64_t now) noexcept {
  const std::uint64_t state = state_.load(std::memory_order_relaxed);
  if (((state & busy_bit) != 0) == busy) return;
  state_.store(time_of(now) << (64 - time_bits) | (busy ? busy_bit : 0) | mean_at(state, now),
               std::memory_order_relaxed);
}

std::uint32_t Utilisation::at(std::uint64_t now) const noexcept {
  constexpr unsigned shift = mean_bits - std::bit_width(std::uint32_t{full}) + 1;
  const std::uint64_t mean = mean_at(state_.load(std::memory_order_relaxed), now);
  return static_cast<std::uint32_t>((mean + (std::uint64_t{1} << (shift - 1))) >> shift);
}

}  // namespace lichen::sched
