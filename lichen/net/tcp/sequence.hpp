// Sequence numbers: a circle of 2^32 (RFC 9293 section 3.4).
#pragma once

#include <cstdint>

namespace lichen::net::tcp {

// The order is that of two numbers less than 2^31 apart; it is not transitive around the circle.
struct Seq {
  std::uint32_t value = 0;

  constexpr Seq() noexcept = default;
  constexpr explicit Seq(std::uint32_t number) noexcept : value{number} {}

  constexpr Seq& operator+=(std::uint32_t n) noexcept {
    value += n;
    return *this;
  }
  friend constexpr Seq operator+(Seq a, std::uint32_t n) noexcept { return Seq{a.value + n}; }
  friend constexpr Seq operator-(Seq a, std::uint32_t n) noexcept { return Seq{a.value - n}; }
  // How far `a` is past `b`; `b` MUST NOT be past `a`.
  friend constexpr std::uint32_t operator-(Seq a, Seq b) noexcept { return a.value - b.value; }

  friend constexpr bool operator==(Seq, Seq) noexcept = default;
  friend constexpr bool operator<(Seq a, Seq b) noexcept {
    return static_cast<std::int32_t>(a.value - b.value) < 0;
  }
  friend constexpr bool operator>(Seq a, Seq b) noexcept { return b < a; }
  friend constexpr bool operator<=(Seq a, Seq b) noexcept { return !(b < a); }
  friend constexpr bool operator>=(Seq a, Seq b) noexcept { return !(a < b); }
};

[[nodiscard]] constexpr Seq earlier(Seq a, Seq b) noexcept { return a < b ? a : b; }
[[nodiscard]] constexpr Seq later(Seq a, Seq b) noexcept { return a < b ? b : a; }

}  // namespace lichen::net::tcp
