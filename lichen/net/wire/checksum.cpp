#include "lichen/net/wire/checksum.hpp"

#include <cstring>

namespace lichen::net::wire {

namespace {

// Words of 32 bits into 64: no carry is lost below 16 GiB, and the loop becomes vector code.
std::uint64_t sum_of_words(std::span<const std::byte> bytes) noexcept {
  std::uint64_t sum = 0;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 4; left -= 4, at += 4) {
    std::uint32_t word;
    std::memcpy(&word, at, sizeof word);
    sum += word;
  }
  if (left > 0) {
    std::uint32_t word = 0;
    std::memcpy(&word, at, left);
    sum += word;
  }
  return sum;
}

}  // namespace

void Sum::add(std::span<const std::byte> bytes) noexcept {
  const std::uint64_t sum = sum_of_words(bytes);
  // Folded first, so that raw_ cannot overflow however many pieces come.
  raw_ += odd_ ? base::byte_swap(fold(sum)) : fold(sum);
  odd_ ^= (bytes.size() & 1) != 0;
}

Sum pseudo_header(const IpAddress& from, const IpAddress& to, std::uint8_t protocol,
                  std::size_t length) noexcept {
  Sum sum;
  if (from.is_ipv4()) {
    sum.add(std::as_bytes(std::span{from.octets}).last(4));
    sum.add(std::as_bytes(std::span{to.octets}).last(4));
  } else {
    sum.add(std::as_bytes(std::span{from.octets}));
    sum.add(std::as_bytes(std::span{to.octets}));
  }
  sum.add32(static_cast<std::uint32_t>(length));
  sum.add16(protocol);
  return sum;
}

}  // namespace lichen::net::wire
