// The formats of the network, Ethernet to TCP: bytes to values and values to bytes. No state, no
// memory, no clock, no policy. How a layer uses it:
//
//   in    auto packet = parse_ipv4(frame.payload, Verify{});      // std::expected<Ipv4Packet,
//   Drop>
//         if (!packet) return count(packet.error());              // each drop has a name
//         ... packet->protocol, packet->payload ...
//
//         A parser reads nothing outside the bytes it is given, whatever they hold, and returns
//         numbers in the machine's order together with views into those bytes; what it returns is
//         consistent (lengths agree, the checksum is right). It does not judge addresses or state:
//         is this mine, is a multicast source sane, is there a neighbour. That is the layer's.
//
//   out   std::size_t at = write(room, TcpHeader{...});           // headers from the inside out
//         seal<TcpHeader>(room.first(at), sum);                   // sum: pseudo header and payload
//
//         write() fills the start of `out`, which MUST hold size_of(header) bytes, and returns how
//         many it wrote; its checksum field is zero. seal() completes it, or seal_partial() leaves
//         the rest to a device that computes checksums (virtio's csum_start and csum_offset). IPv4
//         headers have theirs already, since nothing else goes into it.
//
// The checksum covers a pseudo header made by pseudo_header(from, to, protocol, length). Payload in
// pieces is summed piece by piece (Sum::add keeps track of odd lengths), so nothing is copied to be
// summed. A header rewritten in place takes updated_checksum() (RFC 1624).
//
// IpAddress holds both families: an IPv4 address is kept as the IPv6 address that stands for it, so
// that everything above IP has one type of address and one code path.
//
// Not here: VLAN tags (0x8100 comes as an unknown type), IPsec, jumbograms (RFC 2675), IGMP and
// MLD.
#pragma once

#include "lichen/net/wire/address.hpp"
#include "lichen/net/wire/arp.hpp"
#include "lichen/net/wire/checksum.hpp"
#include "lichen/net/wire/drop.hpp"
#include "lichen/net/wire/ethernet.hpp"
#include "lichen/net/wire/icmp.hpp"
#include "lichen/net/wire/ipv4.hpp"
#include "lichen/net/wire/ipv6.hpp"
#include "lichen/net/wire/ndp.hpp"
#include "lichen/net/wire/tcp.hpp"
#include "lichen/net/wire/udp.hpp"
