#include "lichen/net/wire/tcp.hpp"

#include <algorithm>
#include <cassert>

#include "lichen/net/wire/fields.hpp"

namespace lichen::net::wire {

namespace {

namespace option {
constexpr std::uint8_t end = 0;
constexpr std::uint8_t nop = 1;
constexpr std::uint8_t mss = 2;
constexpr std::uint8_t window_scale = 3;
constexpr std::uint8_t sack_permitted = 4;
constexpr std::uint8_t sack = 5;
constexpr std::uint8_t timestamps = 8;
}  // namespace option

// The only option of most segments, padded in front as RFC 7323 appendix A suggests.
constexpr std::uint32_t padded_timestamps = 0x0101080a;

Parsed<void> parse_options(std::span<const std::byte> bytes, TcpOptions& options) noexcept {
  if (bytes.size() == TcpOptions::timestamps_size && load32(bytes, 0) == padded_timestamps) {
    options.has_timestamps = true;
    options.timestamp = load32(bytes, 4);
    options.timestamp_echo = load32(bytes, 8);
    return {};
  }
  std::size_t at = 0;
  while (at < bytes.size()) {
    const std::uint8_t kind = load8(bytes, at);
    if (kind == option::end) break;
    if (kind == option::nop) {
      ++at;
      continue;
    }
    if (bytes.size() - at < 2) return std::unexpected{Drop::bad_option};
    const std::size_t size = load8(bytes, at + 1);
    if (size < 2 || size > bytes.size() - at) return std::unexpected{Drop::bad_option};
    const auto body = bytes.subspan(at + 2, size - 2);
    at += size;
    bool right = true;
    switch (kind) {
      case option::mss:
        right = body.size() == 2;
        if (right) options.mss = load16(body, 0);
        break;
      case option::window_scale:
        right = body.size() == 1;
        // RFC 7323 section 2.3: a greater shift is used as 14.
        if (right) options.window_scale = std::min<std::uint8_t>(load8(body, 0), 14);
        break;
      case option::sack_permitted:
        right = body.empty();
        options.sack_permitted = right;
        break;
      case option::timestamps:
        right = body.size() == 8;
        if (right) {
          options.has_timestamps = true;
          options.timestamp = load32(body, 0);
          options.timestamp_echo = load32(body, 4);
        }
        break;
      case option::sack: {
        const std::size_t count = body.size() / 8;
        right = body.size() % 8 == 0 && count >= 1 && count <= TcpOptions::max_sack_blocks;
        if (!right) break;
        options.sack_count = static_cast<std::uint8_t>(count);
        options.sack = {};  // of two such options the last one counts
        for (std::size_t i = 0; i < count; ++i)
          options.sack[i] = {load32(body, 8 * i), load32(body, 8 * i + 4)};
        break;
      }
      default: break;
    }
    if (!right) return std::unexpected{Drop::bad_option};
  }
  return {};
}

}  // namespace

Parsed<TcpSegment> parse_tcp(std::span<const std::byte> bytes, const Verify& verify) noexcept {
  if (bytes.size() < TcpHeader::size) return std::unexpected{Drop::truncated};
  const std::size_t header_size = std::size_t{load8(bytes, 12)} / 16 * 4;
  if (header_size < TcpHeader::size) return std::unexpected{Drop::bad_header_length};
  if (header_size > bytes.size()) return std::unexpected{Drop::truncated};
  if (!verify.accepts(bytes)) return std::unexpected{Drop::bad_checksum};
  TcpSegment segment;
  segment.from_port = load16(bytes, 0);
  segment.to_port = load16(bytes, 2);
  if (segment.from_port == 0 || segment.to_port == 0) return std::unexpected{Drop::bad_port};
  segment.sequence = load32(bytes, 4);
  segment.acknowledgment = load32(bytes, 8);
  segment.flags = load8(bytes, 13);
  segment.window = load16(bytes, 14);
  segment.urgent = load16(bytes, 18);
  const auto options =
      parse_options(bytes.first(header_size).subspan(TcpHeader::size), segment.options);
  if (!options) return std::unexpected{options.error()};
  segment.payload = bytes.subspan(header_size);
  return segment;
}

std::size_t size_of(const TcpHeader& header) noexcept {
  const TcpOptions& options = header.options;
  std::size_t size = TcpHeader::size;
  if (options.mss != 0) size += 4;
  if (options.has_timestamps)
    size += TcpOptions::timestamps_size;
  else if (options.sack_permitted)
    size += 4;
  if (options.window_scale != TcpOptions::no_scale) size += 4;
  if (options.sack_count > 0) size += 4 + std::size_t{options.sack_count} * 8;
  return size;
}

std::size_t write(std::span<std::byte> out, const TcpHeader& header) noexcept {
  const std::size_t size = size_of(header);
  assert(size <= TcpHeader::max_size);
  store16(out, 0, header.from_port);
  store16(out, 2, header.to_port);
  store32(out, 4, header.sequence);
  store32(out, 8, header.acknowledgment);
  store8(out, 12, static_cast<std::uint8_t>(size / 4 << 4));
  store8(out, 13, header.flags);
  store16(out, 14, header.window);
  store16(out, 16, 0);
  store16(out, 18, header.urgent);

  const TcpOptions& options = header.options;
  std::size_t at = TcpHeader::size;
  const auto put = [&](std::uint32_t word) {
    store32(out, at, word);
    at += 4;
  };
  if (options.mss != 0) put(std::uint32_t{option::mss} << 24 | 4 << 16 | options.mss);
  if (options.has_timestamps) {
    put(options.sack_permitted
            ? std::uint32_t{option::sack_permitted} << 24 | 2 << 16 | option::timestamps << 8 | 10
            : padded_timestamps);
    put(options.timestamp);
    put(options.timestamp_echo);
  } else if (options.sack_permitted) {
    put(0x01010000 | std::uint32_t{option::sack_permitted} << 8 | 2);
  }
  if (options.window_scale != TcpOptions::no_scale)
    put(0x01000000 | std::uint32_t{option::window_scale} << 16 | 3 << 8 | options.window_scale);
  if (options.sack_count > 0) {
    put(0x01010000 | std::uint32_t{option::sack} << 8 | (2u + 8u * options.sack_count));
    for (std::size_t i = 0; i < options.sack_count; ++i) {
      put(options.sack[i].begin);
      put(options.sack[i].end);
    }
  }
  assert(at == size);
  return size;
}

}  // namespace lichen::net::wire
