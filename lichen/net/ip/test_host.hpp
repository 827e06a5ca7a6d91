// One stack with a device that keeps what is sent, and frames made by hand.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "lichen/net/ip/stack.hpp"
#include "lichen/net/ip/udp.hpp"

namespace lichen::net::ip {

using Octets = std::vector<std::byte>;

inline Octets joined(const Pieces& pieces) {
  Octets bytes(pieces.size());
  pieces.copy_to(bytes);
  return bytes;
}

// Lends frames in memory of exactly their size, so that sanitizers see misuse.
class FrameOwner final : public io::BufferOwner {
 public:
  io::Buffer lend(Bytes bytes) {
    auto* memory = new std::byte[bytes.size()];
    std::ranges::copy(bytes, memory);
    ++lent;
    return {*this, {memory, bytes.size()}, bytes.size()};
  }
  void give_back(std::span<std::byte> whole) noexcept override {
    --lent;
    delete[] whole.data();
  }
  std::size_t lent = 0;
};

class TestDevice final : public FrameOutput {
 public:
  bool transmit(const Frame& frame) noexcept override {
    if (full) return false;
    sent.push_back(joined(frame.pieces));
    return true;
  }
  bool full = false;
  std::vector<Octets> sent;
};

struct EventLog final : Observer {
  void address(Interface&, const LocalAddress& address, AddressEvent event) noexcept override {
    events.emplace_back(address.address, event);
  }
  std::vector<std::pair<wire::IpAddress, AddressEvent>> events;
};

inline constexpr wire::MacAddress our_mac{{2, 0, 0, 0, 0, 1}};
inline constexpr wire::MacAddress peer_mac{{2, 0, 0, 0, 0, 2}};

inline wire::IpAddress ip(std::string_view text) { return *wire::IpAddress::parse(text); }

struct IcmpSeen {
  wire::IpAddress from;
  wire::IpAddress to;
  std::uint8_t hop_limit = 0;
  wire::IcmpHeader header;
  Octets body;
};

// 10.0.0.1/24 and 2001:db8::1/64 with the peers 10.0.0.2 and 2001:db8::2.
class StackTest : public testing::Test {
 public:
  ~StackTest() override { EXPECT_EQ(owner.lent, 0u); }

 protected:
  explicit StackTest(bool addresses = true, bool router_discovery = false) {
    interface = *stack->add_interface({.output = device,
                                       .mac = our_mac,
                                       .ipv6 = addresses || router_discovery,
                                       .router_discovery = router_discovery},
                                      now);
    stack->set_observer(&events);
    if (!addresses) return;
    EXPECT_TRUE(
        stack->add_address(*interface, {.address = ip("10.0.0.1"), .bits = 24}, Probe::no, now));
    EXPECT_TRUE(
        stack->add_address(*interface, {.address = ip("2001:db8::1"), .bits = 64}, Probe::no, now));
    run_for(30 * second);  // announcements, the probing of the link-local address
    device.sent.clear();
    interface->counters = {};
  }

  void run_until(std::uint64_t time) {
    while (stack->deadline() <= time) {
      now = std::max(now, stack->deadline());
      stack->advance(now);
    }
    now = time;
  }
  void run_for(std::uint64_t time) { run_until(now + time); }

  void receive(Bytes frame) { stack->receive(*interface, owner.lend(frame), {}, now); }
  void receive(std::uint16_t type, Bytes payload, wire::MacAddress to = our_mac,
               wire::MacAddress from = peer_mac) {
    Octets frame(14);
    wire::write(frame, wire::EthernetHeader{to, from, type});
    frame.insert(frame.end(), payload.begin(), payload.end());
    receive(frame);
  }
  void receive_arp(const wire::ArpPacket& packet, wire::MacAddress to = our_mac) {
    Octets bytes(28);
    wire::write(bytes, packet);
    receive(wire::ether_type::arp, bytes, to, packet.sender_mac);
  }
  static Octets ipv4_packet(const wire::Ipv4Header& header, Bytes payload) {
    Octets packet(20);
    wire::write(packet, header, payload.size());
    packet.insert(packet.end(), payload.begin(), payload.end());
    return packet;
  }
  void receive_ipv4(wire::Ipv4Header header, Bytes payload, wire::MacAddress to = our_mac) {
    if (header.from.is_unspecified()) header.from = {{10, 0, 0, 2}};
    if (header.to.is_unspecified()) header.to = {{10, 0, 0, 1}};
    receive(wire::ether_type::ipv4, ipv4_packet(header, payload), to);
  }
  void receive_ipv6(const wire::Ipv6Header& header, Bytes payload, wire::MacAddress to = our_mac) {
    Octets packet(40);
    wire::write(packet, header, payload.size());
    packet.insert(packet.end(), payload.begin(), payload.end());
    receive(wire::ether_type::ipv6, packet, to);
  }
  static wire::Ipv6Header ipv6_header(std::uint8_t next, std::string_view from = "2001:db8::2",
                                      std::string_view to = "2001:db8::1") {
    return {.next_header = next, .from = ip(from), .to = ip(to)};
  }
  static Octets icmp(const wire::IcmpHeader& header, Bytes body, const wire::Sum& pseudo = {}) {
    Octets bytes(8);
    wire::write(bytes, header);
    wire::Sum sum = pseudo;
    sum.add(body);
    wire::seal<wire::IcmpHeader>(bytes, sum);
    bytes.insert(bytes.end(), body.begin(), body.end());
    return bytes;
  }
  void receive_icmpv6(const wire::IcmpHeader& header, Bytes body,
                      std::string_view from = "2001:db8::2", std::string_view to = "2001:db8::1",
                      std::uint8_t hop_limit = 255) {
    wire::Ipv6Header ipv6 = ipv6_header(wire::protocol::icmpv6, from, to);
    ipv6.hop_limit = hop_limit;
    receive_ipv6(
        ipv6, icmp(header, body,
                   wire::pseudo_header(ip(from), ip(to), wire::protocol::icmpv6, 8 + body.size())));
  }
  static Octets udp_packet(std::uint16_t from, std::uint16_t to, Bytes payload,
                           const wire::IpAddress& from_address, const wire::IpAddress& to_address) {
    Octets bytes(8);
    wire::write(bytes, wire::UdpHeader{from, to}, payload.size());
    wire::Sum sum =
        wire::pseudo_header(from_address, to_address, wire::protocol::udp, 8 + payload.size());
    sum.add(payload);
    wire::seal<wire::UdpHeader>(bytes, sum);
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    return bytes;
  }
  // The peers' addresses become known, as if they had asked for ours.
  void meet_peers() {
    receive_arp({wire::ArpOperation::request, peer_mac, {{10, 0, 0, 2}}, {}, {{10, 0, 0, 1}}});
    Octets body(16);
    const wire::IpAddress ours = ip("2001:db8::1");
    std::ranges::copy(std::as_bytes(std::span{ours.octets}), body.begin());
    const Octets option{std::byte{1}, std::byte{1}, std::byte{2}, std::byte{0},
                        std::byte{0}, std::byte{0}, std::byte{0}, std::byte{2}};
    body.insert(body.end(), option.begin(), option.end());
    receive_icmpv6({wire::icmpv6::neighbour_solicitation, 0, 0}, body);
    device.sent.clear();
  }

  // What was sent, and forgets it.
  std::vector<wire::ArpPacket> sent_arp() {
    std::vector<wire::ArpPacket> packets;
    for (const Octets& frame : device.sent) {
      const auto ethernet = *wire::parse_ethernet(frame);
      if (ethernet.type == wire::ether_type::arp)
        packets.push_back(*wire::parse_arp(ethernet.payload));
    }
    device.sent.clear();
    return packets;
  }
  // The ICMP messages of either family, checked, whole packets only; of neighbour discovery, or the
  // others but what is told of groups.
  std::vector<IcmpSeen> sent_icmp(bool of_discovery = false) {
    std::vector<IcmpSeen> seen;
    for (const Octets& frame : device.sent) {
      const auto ethernet = *wire::parse_ethernet(frame);
      if (ethernet.type == wire::ether_type::ipv4) {
        const auto packet = wire::parse_ipv4(ethernet.payload, {});
        EXPECT_TRUE(packet);
        if (packet->protocol != wire::protocol::icmp || packet->is_fragment()) continue;
        const auto message = wire::parse_icmp(packet->payload, {});
        EXPECT_TRUE(message);
        seen.push_back({packet->from,
                        packet->to,
                        packet->ttl,
                        static_cast<const wire::IcmpHeader&>(*message),
                        {message->body.begin(), message->body.end()}});
      } else if (ethernet.type == wire::ether_type::ipv6) {
        const auto packet = wire::parse_ipv6(ethernet.payload);
        EXPECT_TRUE(packet);
        if (packet->protocol != wire::protocol::icmpv6 || packet->fragment) continue;
        const auto message = wire::parse_icmp(
            packet->payload, wire::pseudo_header(packet->from, packet->to, packet->protocol,
                                                 packet->payload.size()));
        EXPECT_TRUE(message);
        seen.push_back({packet->from,
                        packet->to,
                        packet->hop_limit,
                        static_cast<const wire::IcmpHeader&>(*message),
                        {message->body.begin(), message->body.end()}});
      }
    }
    device.sent.clear();
    std::erase_if(seen, [&](const IcmpSeen& one) {
      const bool discovery = !one.to.is_ipv4() &&
                             one.header.type >= wire::icmpv6::router_solicitation &&
                             one.header.type <= wire::icmpv6::redirect;
      return discovery != of_discovery || one.header.type == 143;
    });
    return seen;
  }
  std::uint64_t dropped(Drop drop) const { return interface->counters.of(drop); }
  std::uint64_t dropped(wire::Drop drop) const { return interface->counters.of(drop); }

  std::uint64_t now = 1'000 * second;
  TestDevice device;
  EventLog events;
  FrameOwner owner;
  std::unique_ptr<Stack> stack = std::make_unique<Stack>(base::HashKey{1, 2});
  Interface* interface = nullptr;
};

}  // namespace lichen::net::ip
