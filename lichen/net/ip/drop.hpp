// Why the layers between a device and the transports drop a packet, and what each interface counts.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "lichen/net/wire/drop.hpp"

namespace lichen::net::ip {

enum class Drop : std::uint8_t {
  // In.
  interface_down,
  other_station,        // the frame is for another machine of the link
  bad_station,          // a frame from a group or from nobody
  unknown_type,         // neither ARP nor IP
  martian_source,       // an address that no packet may come from
  martian_destination,  // an address that no packet may have on a wire
  own_source,           // from one of our own addresses, and not by loopback
  not_ours,             // to an address we do not have: we do not forward
  not_joined,           // to a group nobody here has joined
  source_route,         // wants to be sent on by us (RFC 7126 section 4.3, RFC 5095)
  unknown_protocol,
  fragment_overlap,  // the whole datagram is dropped (RFC 5722)
  fragment_lies,     // ends that contradict each other, or no upper header in the first
  fragment_limit,    // too many datagrams in pieces; the oldest, or those of one source
  fragment_timeout,
  not_link_local,   // a router that is none of this link (RFC 4861 section 6.1.2)
  unsolicited,      // an answer nobody asked for
  address_in_use,   // another machine claims one of our addresses
  not_believed,     // an ICMP error about something we did not send
  unknown_message,  // an ICMP type we do not know
  broadcast_echo,   // an echo request to all of a network (RFC 1122 section 3.2.2.6)
  no_port,          // nobody listens
  receiver_full,    // a socket's queue
  // Out.
  no_route,
  no_source,        // no address of ours fits
  unresolved,       // the neighbour does not answer
  pending_full,     // too many packets wait for neighbours; or too large to wait
  neighbours_full,  // no entry could be made
  device_full,
  too_big,        // and must not be fragmented
  error_limited,  // an ICMP error that the rate limit held back
  loopback_full,
  count,
};

inline constexpr std::size_t drop_count = static_cast<std::size_t>(Drop::count);

// The enumerator's own name.
std::string_view name(Drop drop) noexcept;

struct Counters {
  std::uint64_t frames_in = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t frames_out = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t delivered = 0;    // packets handed to a transport
  std::uint64_t reassembled = 0;  // datagrams put together
  std::uint64_t fragmented = 0;   // datagrams cut to pieces
  std::array<std::uint64_t, drop_count> dropped{};
  std::array<std::uint64_t, wire::drop_count> malformed{};

  void count(Drop drop) noexcept { ++dropped[static_cast<std::size_t>(drop)]; }
  void count(wire::Drop drop) noexcept { ++malformed[static_cast<std::size_t>(drop)]; }
  [[nodiscard]] std::uint64_t of(Drop drop) const noexcept {
    return dropped[static_cast<std::size_t>(drop)];
  }
  [[nodiscard]] std::uint64_t of(wire::Drop drop) const noexcept {
    return malformed[static_cast<std::size_t>(drop)];
  }
};

}  // namespace lichen::net::ip
