#include "lichen/net/wire/udp.hpp"

#include <cassert>

#include "lichen/net/wire/fields.hpp"

namespace lichen::net::wire {

Parsed<UdpDatagram> parse_udp(std::span<const std::byte> bytes, const Verify& verify,
                              NoChecksum no_checksum) noexcept {
  if (bytes.size() < UdpHeader::size) return std::unexpected{Drop::truncated};
  const std::size_t length = load16(bytes, 4);
  if (length < UdpHeader::size) return std::unexpected{Drop::bad_length};
  if (length > bytes.size()) return std::unexpected{Drop::truncated};
  // The pseudo header holds the length of the datagram, so it may not be another than the packet's.
  if (length != bytes.size()) return std::unexpected{Drop::bad_length};
  if (load16(bytes, UdpHeader::checksum_at) == 0) {
    if (no_checksum == NoChecksum::refused) return std::unexpected{Drop::bad_checksum};
  } else if (!verify.accepts(bytes)) {
    return std::unexpected{Drop::bad_checksum};
  }
  UdpDatagram datagram;
  datagram.from_port = load16(bytes, 0);
  datagram.to_port = load16(bytes, 2);
  if (datagram.to_port == 0) return std::unexpected{Drop::bad_port};
  datagram.payload = bytes.subspan(UdpHeader::size);
  return datagram;
}

std::size_t write(std::span<std::byte> out, const UdpHeader& header,
                  std::size_t payload_size) noexcept {
  assert(UdpHeader::size + payload_size <= 65'535);
  store16(out, 0, header.from_port);
  store16(out, 2, header.to_port);
  store16(out, 4, static_cast<std::uint16_t>(UdpHeader::size + payload_size));
  store16(out, 6, 0);
  return UdpHeader::size;
}

}  // namespace lichen::net::wire
