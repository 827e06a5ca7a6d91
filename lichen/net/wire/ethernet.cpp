#include "lichen/net/wire/ethernet.hpp"

#include "lichen/net/wire/fields.hpp"

namespace lichen::net::wire {

Parsed<EthernetFrame> parse_ethernet(std::span<const std::byte> bytes) noexcept {
  if (bytes.size() < EthernetHeader::size) return std::unexpected{Drop::truncated};
  EthernetFrame frame;
  frame.to = load_octets<MacAddress>(bytes, 0);
  frame.from = load_octets<MacAddress>(bytes, 6);
  frame.type = load16(bytes, 12);
  if (frame.type < 0x600) return std::unexpected{Drop::bad_value};
  frame.payload = bytes.subspan(EthernetHeader::size);
  return frame;
}

std::size_t write(std::span<std::byte> out, const EthernetHeader& header) noexcept {
  store_octets(out, 0, header.to);
  store_octets(out, 6, header.from);
  store16(out, 12, header.type);
  return EthernetHeader::size;
}

}  // namespace lichen::net::wire
