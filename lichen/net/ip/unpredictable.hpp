// Numbers that who does not know the secret cannot guess from those seen before: ports,
// identifiers, delays. SipHash of a counter.
#pragma once

#include <cstdint>
#include <span>

#include "lichen/base/hash.hpp"

namespace lichen::net::ip {

class Unpredictable {
 public:
  explicit Unpredictable(base::HashKey secret) noexcept : secret_{secret} {}

  std::uint64_t operator()() noexcept {
    ++counter_;
    return base::keyed_hash(secret_, std::as_bytes(std::span{&counter_, 1}));
  }
  // Below the bound, which MUST NOT be zero.
  std::uint64_t below(std::uint64_t bound) noexcept {
    return static_cast<std::uint64_t>(static_cast<unsigned __int128>((*this)()) * bound >> 64);
  }
  // The same for the same bytes as long as the secret is (RFC 7217).
  [[nodiscard]] std::uint64_t of(std::span<const std::byte> bytes) const noexcept {
    return base::keyed_hash({~secret_.low, secret_.high}, bytes);
  }

 private:
  base::HashKey secret_;
  std::uint64_t counter_ = 0;
};

// So many a second on average and `burst` at once.
class TokenBucket {
 public:
  constexpr TokenBucket(std::uint32_t per_second, std::uint32_t burst) noexcept
      : interval_{1'000'000'000 / per_second}, depth_{interval_ * burst} {}

  [[nodiscard]] bool take(std::uint64_t now) noexcept {
    if (earliest_ < now) earliest_ = now;
    if (earliest_ + interval_ > now + depth_) return false;
    earliest_ += interval_;
    return true;
  }

 private:
  std::uint64_t interval_;
  std::uint64_t depth_;
  std::uint64_t earliest_ = 0;  // when the bucket would be full again
};

}  // namespace lichen::net::ip
