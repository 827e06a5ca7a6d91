// The Internet checksum (RFC 1071), its incremental form (RFC 1624) and the pseudo headers.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/base/bits.hpp"
#include "lichen/net/wire/address.hpp"

namespace lichen::net::wire {

// The one's complement sum of 16-bit words in network order, grown piece by piece. Numbers added
// and read are in the machine's order.
class Sum {
 public:
  // Words of the pieces added are paired across them: an odd length shifts what comes next.
  void add(std::span<const std::byte> bytes) noexcept;
  // MUST come at an even place.
  constexpr void add16(std::uint16_t word) noexcept {
    raw_ += std::endian::native == std::endian::big ? word : base::byte_swap(word);
  }
  constexpr void add32(std::uint32_t words) noexcept {
    add16(static_cast<std::uint16_t>(words >> 16));
    add16(static_cast<std::uint16_t>(words));
  }

  // The sum itself, as it stands in the field that a device completes.
  [[nodiscard]] constexpr std::uint16_t folded() const noexcept {
    const std::uint16_t raw = fold(raw_);
    return std::endian::native == std::endian::big ? raw : base::byte_swap(raw);
  }
  // Its complement, as it stands in the field of a finished packet.
  [[nodiscard]] constexpr std::uint16_t checksum() const noexcept {
    return static_cast<std::uint16_t>(~folded());
  }
  // Of bytes that included their own checksum.
  [[nodiscard]] constexpr bool is_valid() const noexcept { return folded() == 0xffff; }

 private:
  static constexpr std::uint16_t fold(std::uint64_t sum) noexcept {
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>((sum & 0xffff) + (sum >> 16));
  }

  std::uint64_t raw_ = 0;  // of words as the machine loads them (RFC 1071 section 2, byte order)
  bool odd_ = false;
};

// The checksum after one word it covers changes from `before` to `after` (RFC 1624, equation 3).
[[nodiscard]] constexpr std::uint16_t updated_checksum(std::uint16_t checksum, std::uint16_t before,
                                                       std::uint16_t after) noexcept {
  std::uint32_t sum = static_cast<std::uint16_t>(~checksum);
  sum += static_cast<std::uint16_t>(~before);
  sum += after;
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~((sum & 0xffff) + (sum >> 16)));
}

// What UDP, TCP and ICMPv6 sum besides themselves (RFC 9293 section 3.1, RFC 8200 section 8.1).
// Both addresses MUST be of one family. `length`: of the header and payload of that protocol.
[[nodiscard]] Sum pseudo_header(const IpAddress& from, const IpAddress& to, std::uint8_t protocol,
                                std::size_t length) noexcept;

// How a parser checks the sum: against a pseudo header, against none (IPv4, ICMP), or not, because
// the device has done so.
class Verify {
 public:
  constexpr Verify() noexcept = default;
  constexpr Verify(const Sum& pseudo) noexcept : pseudo_{pseudo} {}
  static constexpr Verify done_by_device() noexcept {
    Verify verify;
    verify.done_ = true;
    return verify;
  }

  [[nodiscard]] constexpr bool done() const noexcept { return done_; }
  [[nodiscard]] bool accepts(std::span<const std::byte> bytes) const noexcept {
    if (done_) return true;
    Sum sum = pseudo_;
    sum.add(bytes);
    return sum.is_valid();
  }

 private:
  Sum pseudo_;
  bool done_ = false;
};

// Completes the checksum of a header that write() has written to `bytes`. `rest`: all else that it
// covers. Header::checksum_at says where it stands.
template <class Header>
void seal(std::span<std::byte> bytes, const Sum& rest) noexcept {
  Sum sum = rest;
  // The header goes in front, and adding is commutative as long as its length is even.
  Sum header;
  header.add(bytes);
  sum.add16(header.folded());
  std::uint16_t checksum = sum.checksum();
  if constexpr (requires { Header::zero_means_none; }) {
    if (checksum == 0) checksum = 0xffff;
  }
  base::store_big(bytes.subspan(Header::checksum_at), checksum);
}

// The same, up to what a device adds: the sum over header and payload.
template <class Header>
void seal_partial(std::span<std::byte> bytes, const Sum& pseudo) noexcept {
  base::store_big(bytes.subspan(Header::checksum_at), pseudo.folded());
}

}  // namespace lichen::net::wire
