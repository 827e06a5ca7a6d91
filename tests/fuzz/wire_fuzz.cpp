// Frames from a wire. Whatever the bytes, a parser stays inside them, its views lie inside what it
// was given, and what it understood means the same when it is written down and parsed again.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "lichen/base/span.hpp"
#include "lichen/net/wire/membership.hpp"
#include "lichen/net/wire/wire.hpp"
#include "tests/fuzz/check.hpp"

using namespace lichen::net::wire;

namespace {

using Input = std::span<const std::byte>;

void check_inside(Input part, Input whole) {
  CHECK(part.empty() ||
        (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size()));
}

void check_tcp(Input bytes, const Verify& verify) {
  const auto segment = parse_tcp(bytes, verify);
  if (!segment) return;
  check_inside(segment->payload, bytes);
  CHECK(segment->options.sack_count <= TcpOptions::max_sack_blocks);
  if (size_of(*segment) > TcpHeader::max_size) return;  // what others pack tighter than we do
  std::array<std::byte, TcpHeader::max_size> room;
  const auto header = std::span{room}.first(write(room, *segment));
  const auto again = parse_tcp(header, Verify::done_by_device());
  CHECK(again && again->sequence == segment->sequence && again->flags == segment->flags);
  CHECK(again->options.sack == segment->options.sack);
  CHECK(again->options.mss == segment->options.mss);
  CHECK(again->options.window_scale == segment->options.window_scale);
  CHECK(again->options.timestamp_echo == segment->options.timestamp_echo);
}

void check_query(const MembershipQuery& query) {
  CHECK(query.group.is_unspecified() || query.group.is_multicast());
  CHECK(query.version >= 1 && query.version <= 3 && query.most_delay_ms < 10'000'000);
}

void check_icmp(Input bytes, bool v6) {
  const auto message = parse_icmp(bytes, Verify::done_by_device());
  if (!message) return;
  check_inside(message->body, bytes);
  if (!v6) {
    (void)parse_quote_ipv4(message->body);
    return;
  }
  (void)parse_quote_ipv6(message->body);
  if (const auto advertisement = parse_router_advertisement(*message, 255)) {
    CHECK(advertisement->options.prefix_count <= advertisement->options.prefixes.size());
    CHECK(advertisement->options.dns_server_count <= advertisement->options.dns_servers.size());
  }
  (void)parse_router_solicitation(*message, 255);
  (void)parse_neighbour_advertisement(*message, 255);
  (void)parse_neighbour_solicitation(*message, 255);
  (void)parse_redirect(*message, 255);
  if (const auto query = parse_mld_query(*message)) check_query(*query);
}

void check_upper(std::uint8_t protocol, Input payload, bool v6) {
  switch (protocol) {
    case protocol::tcp: check_tcp(payload, Verify::done_by_device()); break;
    case protocol::udp:
      if (const auto datagram = parse_udp(payload, Verify::done_by_device(), NoChecksum::accepted))
        check_inside(datagram->payload, payload);
      break;
    case protocol::icmp: check_icmp(payload, false); break;
    case protocol::icmpv6: check_icmp(payload, v6); break;
    case protocol::igmp:
      if (const auto query = parse_igmp_query(payload)) check_query(*query);
      break;
    default: break;
  }
}

void check_ipv4(Input bytes) {
  const auto packet = parse_ipv4(bytes, Verify::done_by_device());
  if (!packet) return;
  check_inside(packet->payload, bytes);
  check_inside(packet->header, bytes);
  std::array<std::byte, Ipv4Header::size> room;
  if (Ipv4Header::size + packet->payload.size() <= 65'535) {
    write(room, *packet, packet->payload.size());
    std::vector<std::byte> again{room.begin(), room.end()};
    again.insert(again.end(), packet->payload.begin(), packet->payload.end());
    const auto same = parse_ipv4(again, Verify{});
    CHECK(same && same->from == packet->from && same->id == packet->id);
    CHECK(same->fragment_offset == packet->fragment_offset);
  }
  if (!packet->is_fragment()) check_upper(packet->protocol, packet->payload, false);
}

void check_ipv6(Input bytes) {
  Ipv6Problem problem;
  const auto packet = parse_ipv6(bytes, &problem);
  CHECK(!problem.tell || !packet);
  CHECK(!problem.tell || problem.pointer < bytes.size());
  if (!packet) return;
  check_inside(packet->payload, bytes);
  if (packet->fragment) {
    if (const auto upper = skip_extensions(packet->protocol, packet->payload))
      check_inside(upper->payload, packet->payload);
    return;
  }
  check_upper(packet->protocol, packet->payload, true);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Exact exact{{reinterpret_cast<const char*>(data), size}};
  const Input bytes = lichen::base::as_bytes(exact.view());
  Sum whole;
  whole.add(bytes);
  Sum halves;
  halves.add(bytes.first(size / 2));
  halves.add(bytes.subspan(size / 2));
  CHECK(whole.folded() == halves.folded());

  const auto frame = parse_ethernet(bytes);
  if (!frame) return 0;
  switch (frame->type) {
    case ether_type::arp: (void)parse_arp(frame->payload); break;
    case ether_type::ipv4: check_ipv4(frame->payload); break;
    case ether_type::ipv6: check_ipv6(frame->payload); break;
    // Straight to the formats further up, which the fuzzer would seldom reach.
    case 0x0a06: check_tcp(frame->payload, Verify::done_by_device()); break;
    case 0x0a01: check_icmp(frame->payload, false); break;
    case 0x0a3a: check_icmp(frame->payload, true); break;
    default: break;
  }
  return 0;
}
