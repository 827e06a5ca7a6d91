#include "lichen/net/wire/ipv6.hpp"

#include <cassert>

#include "lichen/net/wire/fields.hpp"
#include "lichen/net/wire/icmp.hpp"

namespace lichen::net::wire {

namespace {

struct Walk {
  std::uint8_t protocol;
  std::size_t at;  // where `protocol` begins
  std::optional<Ipv6Fragment> fragment;
};

class Walker {
 public:
  // `base`: where `bytes` stands in the packet, for pointers of problems.
  Walker(std::span<const std::byte> bytes, std::size_t base, std::size_t next_header_at,
         Ipv6Problem* problem) noexcept
      : bytes_{bytes}, base_{base}, next_header_at_{next_header_at}, problem_{problem} {}

  Parsed<Walk> walk(std::uint8_t protocol) noexcept {
    std::size_t at = 0;
    for (bool first = true;; first = false) {
      switch (protocol) {
        case protocol::hop_by_hop:
          // Only directly behind the IPv6 header (RFC 8200 section 4.1).
          if (!first || base_ != Ipv6Header::size)
            return fail(Drop::bad_extension, icmpv6::unknown_next_header, next_header_at_);
          break;
        case protocol::destination_options:
        case protocol::routing: break;
        case protocol::fragment: {
          if (bytes_.size() - at < Ipv6Fragment::size) return std::unexpected{Drop::truncated};
          Ipv6Fragment fragment;
          fragment.next_header = load8(bytes_, at);
          const std::uint16_t offset = load16(bytes_, at + 2);
          fragment.offset = offset & 0xfff8;
          fragment.more = (offset & 1) != 0;
          fragment.id = load32(bytes_, at + 4);
          next_header_at_ = base_ + at;
          at += Ipv6Fragment::size;
          protocol = fragment.next_header;
          if (fragment.offset == 0 && !fragment.more) continue;
          const std::size_t size = bytes_.size() - at;
          // Section 4.5: the sender is to be told of both.
          if (fragment.more && (size == 0 || size % 8 != 0))
            return fail(Drop::bad_length, icmpv6::erroneous_field, 4);
          if (fragment.offset + size > 65'535)
            return fail(Drop::bad_length, icmpv6::erroneous_field, base_ + at - 6);
          return Walk{protocol, at, fragment};
        }
        default: return Walk{protocol, at, std::nullopt};
      }
      if (bytes_.size() - at < 8) return std::unexpected{Drop::truncated};
      const std::size_t size = (std::size_t{load8(bytes_, at + 1)} + 1) * 8;
      if (size > bytes_.size() - at) return std::unexpected{Drop::truncated};
      if (at + size > max_extension_bytes) return std::unexpected{Drop::bad_extension};
      if (protocol == protocol::routing) {
        if (load8(bytes_, at + 3) != 0)
          return fail(Drop::bad_extension, icmpv6::erroneous_field, base_ + at + 2);
      } else if (auto options = check_options(at + 2, at + size); !options) {
        return std::unexpected{options.error()};
      }
      next_header_at_ = base_ + at;
      protocol = load8(bytes_, at);
      at += size;
    }
  }

 private:
  // Section 4.2: the two highest bits of an unknown option's type say what becomes of the packet.
  Parsed<void> check_options(std::size_t at, std::size_t end) noexcept {
    while (at < end) {
      const std::uint8_t type = load8(bytes_, at);
      if (type == 0) {  // Pad1, the only one without a length
        ++at;
        continue;
      }
      if (end - at < 2 || load8(bytes_, at + 1) > end - at - 2)
        return std::unexpected{Drop::bad_option};
      // PadN and router alert (RFC 2711) are known; they have the action "skip" anyway.
      const unsigned action = type >> 6;
      if (action != 0) {
        if (action >= 2 && problem_)
          *problem_ = {true, action == 2, icmpv6::unknown_option,
                       static_cast<std::uint32_t>(base_ + at)};
        return std::unexpected{Drop::bad_option};
      }
      at += 2 + std::size_t{load8(bytes_, at + 1)};
    }
    return {};
  }

  std::unexpected<Drop> fail(Drop drop, std::uint8_t code, std::size_t pointer) noexcept {
    if (problem_) *problem_ = {true, false, code, static_cast<std::uint32_t>(pointer)};
    return std::unexpected{drop};
  }

  std::span<const std::byte> bytes_;
  std::size_t base_;
  std::size_t next_header_at_;
  Ipv6Problem* problem_;
};

}  // namespace

Parsed<Ipv6Packet> parse_ipv6(std::span<const std::byte> bytes, Ipv6Problem* problem) noexcept {
  if (bytes.size() < Ipv6Header::size) return std::unexpected{Drop::truncated};
  const std::uint32_t first = load32(bytes, 0);
  if (first >> 28 != 6) return std::unexpected{Drop::bad_version};
  const std::size_t size = load16(bytes, 4);
  if (size > bytes.size() - Ipv6Header::size) return std::unexpected{Drop::truncated};

  Ipv6Packet packet;
  packet.traffic_class = static_cast<std::uint8_t>(first >> 20);
  packet.flow_label = first & 0xfffff;
  packet.next_header = load8(bytes, 6);
  packet.hop_limit = load8(bytes, 7);
  packet.from = load_octets<Ipv6Address>(bytes, 8);
  packet.to = load_octets<Ipv6Address>(bytes, 24);
  if (packet.from.is_mapped_ipv4() || packet.to.is_mapped_ipv4() || packet.from.is_multicast())
    return std::unexpected{Drop::bad_address};

  const auto behind = bytes.subspan(Ipv6Header::size, size);
  const auto walk = Walker{behind, Ipv6Header::size, 6, problem}.walk(packet.next_header);
  if (!walk) return std::unexpected{walk.error()};
  packet.protocol = walk->protocol;
  packet.payload = behind.subspan(walk->at);
  packet.fragment = walk->fragment;
  return packet;
}

Parsed<Ipv6Upper> skip_extensions(std::uint8_t next_header, std::span<const std::byte> bytes,
                                  Ipv6Problem* problem) noexcept {
  // Pointers count from the end of the unfragmentable part, which is not known here, as if that
  // were an IPv6 header and a fragment header.
  constexpr std::size_t base = Ipv6Header::size + Ipv6Fragment::size;
  const auto walk = Walker{bytes, base, Ipv6Header::size, problem}.walk(next_header);
  if (!walk) return std::unexpected{walk.error()};
  if (walk->fragment) return std::unexpected{Drop::bad_extension};
  return Ipv6Upper{walk->protocol, bytes.subspan(walk->at)};
}

std::size_t write(std::span<std::byte> out, const Ipv6Header& header,
                  std::size_t payload_size) noexcept {
  assert(payload_size <= 65'535);
  store32(out, 0,
          6u << 28 | std::uint32_t{header.traffic_class} << 20 | (header.flow_label & 0xfffff));
  store16(out, 4, static_cast<std::uint16_t>(payload_size));
  store8(out, 6, header.next_header);
  store8(out, 7, header.hop_limit);
  store_octets(out, 8, header.from);
  store_octets(out, 24, header.to);
  return Ipv6Header::size;
}

std::size_t write(std::span<std::byte> out, const Ipv6Fragment& fragment) noexcept {
  assert(fragment.offset % 8 == 0);
  store8(out, 0, fragment.next_header);
  store8(out, 1, 0);
  store16(out, 2, static_cast<std::uint16_t>(fragment.offset | (fragment.more ? 1 : 0)));
  store32(out, 4, fragment.id);
  return Ipv6Fragment::size;
}

}  // namespace lichen::net::wire
