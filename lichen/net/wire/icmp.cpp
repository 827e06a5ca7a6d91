#include "lichen/net/wire/icmp.hpp"

#include "lichen/net/wire/fields.hpp"
#include "lichen/net/wire/ipv6.hpp"

namespace lichen::net::wire {

namespace {

// RFC 792 and RFC 4443 ask for 8 bytes behind the IP header: ports, and TCP's sequence number.
Parsed<Quote> read_ports(Quote quote, std::span<const std::byte> behind) noexcept {
  if (behind.size() < 8) return std::unexpected{Drop::truncated};
  if (quote.protocol == protocol::tcp || quote.protocol == protocol::udp) {
    quote.from_port = load16(behind, 0);
    quote.to_port = load16(behind, 2);
  }
  if (quote.protocol == protocol::tcp) quote.sequence = load32(behind, 4);
  return quote;
}

}  // namespace

Parsed<IcmpMessage> parse_icmp(std::span<const std::byte> bytes, const Verify& verify) noexcept {
  if (bytes.size() < IcmpHeader::size) return std::unexpected{Drop::truncated};
  if (!verify.accepts(bytes)) return std::unexpected{Drop::bad_checksum};
  IcmpMessage message;
  message.type = load8(bytes, 0);
  message.code = load8(bytes, 1);
  message.word = load32(bytes, 4);
  message.body = bytes.subspan(IcmpHeader::size);
  return message;
}

std::size_t write(std::span<std::byte> out, const IcmpHeader& header) noexcept {
  store8(out, 0, header.type);
  store8(out, 1, header.code);
  store16(out, 2, 0);
  store32(out, 4, header.word);
  return IcmpHeader::size;
}

Parsed<Quote> parse_quote_ipv4(std::span<const std::byte> bytes) noexcept {
  if (bytes.size() < Ipv4Header::size) return std::unexpected{Drop::truncated};
  const std::uint8_t first = load8(bytes, 0);
  if (first >> 4 != 4) return std::unexpected{Drop::bad_version};
  const std::size_t header_size = std::size_t{first & 15u} * 4;
  if (header_size < Ipv4Header::size) return std::unexpected{Drop::bad_header_length};
  if (header_size > bytes.size()) return std::unexpected{Drop::truncated};
  if ((load16(bytes, 6) & 0x1fff) != 0) return std::unexpected{Drop::bad_value};
  Quote quote;
  quote.protocol = load8(bytes, 9);
  quote.from = load_octets<Ipv4Address>(bytes, 12);
  quote.to = load_octets<Ipv4Address>(bytes, 16);
  return read_ports(quote, bytes.subspan(header_size));
}

Parsed<Quote> parse_quote_ipv6(std::span<const std::byte> bytes) noexcept {
  if (bytes.size() < Ipv6Header::size) return std::unexpected{Drop::truncated};
  if (load8(bytes, 0) >> 4 != 6) return std::unexpected{Drop::bad_version};
  Quote quote;
  quote.protocol = load8(bytes, 6);
  quote.from = load_octets<Ipv6Address>(bytes, 8);
  quote.to = load_octets<Ipv6Address>(bytes, 24);
  auto behind = bytes.subspan(Ipv6Header::size);
  // We send no extension header but the one of fragments.
  if (quote.protocol == protocol::fragment) {
    if (behind.size() < Ipv6Fragment::size) return std::unexpected{Drop::truncated};
    if ((load16(behind, 2) & 0xfff8) != 0) return std::unexpected{Drop::bad_value};
    quote.protocol = load8(behind, 0);
    behind = behind.subspan(Ipv6Fragment::size);
  }
  return read_ports(quote, behind);
}

}  // namespace lichen::net::wire
