// TCP segments (RFC 9293 section 3.1) and their options.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/net/wire/checksum.hpp"
#include "lichen/net/wire/drop.hpp"

namespace lichen::net::wire {

namespace tcp_flag {
inline constexpr std::uint8_t fin = 0x01;
inline constexpr std::uint8_t syn = 0x02;
inline constexpr std::uint8_t rst = 0x04;
inline constexpr std::uint8_t psh = 0x08;
inline constexpr std::uint8_t ack = 0x10;
inline constexpr std::uint8_t urg = 0x20;
inline constexpr std::uint8_t ece = 0x40;  // RFC 3168
inline constexpr std::uint8_t cwr = 0x80;
}  // namespace tcp_flag

// Sequence numbers from `begin` up to but not including `end`.
struct SackBlock {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;

  friend constexpr bool operator==(const SackBlock&, const SackBlock&) noexcept = default;
};

// What is there is written in the order of Linux: MSS, SACK permitted, timestamps, window scale,
// SACK. SACK permitted and timestamps of a SYN share their padding.
struct TcpOptions {
  static constexpr std::size_t max_size = 40;
  static constexpr std::size_t max_sack_blocks = 4;  // 3 with timestamps
  static constexpr std::uint8_t no_scale = 0xff;
  static constexpr std::size_t timestamps_size = 12;  // with padding, in a segment without SYN

  std::uint16_t mss = 0;                 // 0: none
  std::uint8_t window_scale = no_scale;  // RFC 7323 section 2; what is above 14 comes as 14
  bool sack_permitted = false;           // RFC 2018 section 2
  bool has_timestamps = false;           // RFC 7323 section 3
  std::uint8_t sack_count = 0;
  std::uint32_t timestamp = 0;
  std::uint32_t timestamp_echo = 0;
  std::array<SackBlock, max_sack_blocks> sack{};  // RFC 2018 section 3, RFC 2883
};

struct TcpHeader {
  static constexpr std::size_t size = 20;
  static constexpr std::size_t max_size = size + TcpOptions::max_size;
  static constexpr std::size_t checksum_at = 16;

  std::uint16_t from_port = 0;
  std::uint16_t to_port = 0;
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgment = 0;
  std::uint8_t flags = 0;
  std::uint16_t window = 0;  // as sent, not scaled
  std::uint16_t urgent = 0;
  TcpOptions options{};

  [[nodiscard]] constexpr bool has(std::uint8_t flag) const noexcept { return (flags & flag) != 0; }
};

struct TcpSegment : TcpHeader {
  std::span<const std::byte> payload;

  // In sequence numbers: the payload, SYN and FIN.
  [[nodiscard]] constexpr std::uint32_t length() const noexcept {
    return static_cast<std::uint32_t>(payload.size()) + (has(tcp_flag::syn) ? 1 : 0) +
           (has(tcp_flag::fin) ? 1 : 0);
  }
};

// The pseudo header in `verify` is of bytes.size() bytes. Port zero is bad_port. Unknown options
// are skipped, known ones of a wrong length or past the header are bad_option (RFC 9293, MUST-7).
Parsed<TcpSegment> parse_tcp(std::span<const std::byte> bytes, const Verify& verify) noexcept;

// Header and options. The options MUST fit (three SACK blocks beside timestamps).
[[nodiscard]] std::size_t size_of(const TcpHeader& header) noexcept;
std::size_t write(std::span<std::byte> out, const TcpHeader& header) noexcept;

}  // namespace lichen::net::wire
