// What servers answer, to the parser of DNS and to a resolver that asks over a whole stack.
// Whatever comes: each question is answered once and in bounded time, names and lists keep their
// bounds. The input is a list of messages, each with two bytes of length in front; the two topmost
// bits say how much time passes first, the next whether the message is left as it is: else it is
// made an answer to what was asked last, or the fuzzer would find nothing.
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "lichen/base/format.hpp"
#include "lichen/net/dns/resolver.hpp"
#include "lichen/net/wire/fields.hpp"
#include "tests/fuzz/check.hpp"

using namespace lichen::net;
using ip::millisecond;
using ip::second;
using lichen::Error;
using lichen::Result;

namespace {

constexpr wire::MacAddress our_mac{{2, 0, 0, 0, 0, 1}};
constexpr wire::MacAddress server_mac{{2, 0, 0, 0, 0, 2}};
constexpr wire::Ipv4Address ours{{10, 0, 0, 1}};
constexpr wire::Ipv4Address server{{10, 0, 0, 2}};

// What the resolver asks, and who asks for the server.
class Wire final : public ip::FrameOutput {
 public:
  bool transmit(const ip::Frame& frame) noexcept override {
    std::vector<std::byte> bytes(frame.pieces.size());
    frame.pieces.copy_to(bytes);
    const auto ethernet = wire::parse_ethernet(bytes);
    CHECK(ethernet);
    if (ethernet->type == wire::ether_type::arp) {
      const auto arp = wire::parse_arp(ethernet->payload);
      CHECK(arp);
      asked_where = asked_where || arp->target == server;
      return true;
    }
    if (ethernet->type != wire::ether_type::ipv4) return true;
    const auto packet = wire::parse_ipv4(ethernet->payload, {});
    CHECK(packet);
    if (packet->protocol != wire::protocol::udp) return true;
    const auto udp = wire::parse_udp(packet->payload, wire::Verify::done_by_device(),
                                     wire::NoChecksum::accepted);
    CHECK(udp && udp->to_port == dns::server_port);
    CHECK(udp->payload.size() <= dns::most_query);
    port = udp->from_port;
    query.assign(udp->payload.begin(), udp->payload.end());
    ++asked;
    return true;
  }

  bool asked_where = false;
  std::uint16_t port = 0;
  std::vector<std::byte> query;
  unsigned asked = 0;
};

class Owner final : public lichen::io::BufferOwner {
 public:
  lichen::io::Buffer lend(std::span<const std::byte> bytes) {
    auto* memory = new std::byte[bytes.size()];
    std::ranges::copy(bytes, memory);
    return {*this, {memory, bytes.size()}, bytes.size()};
  }
  void give_back(std::span<std::byte> whole) noexcept override { delete[] whole.data(); }
};

struct Asked final : dns::Lookup {
  void done(const Result<dns::Addresses>& result) noexcept override {
    CHECK(open);
    open = false;
    if (result) CHECK(result->count <= dns::Addresses::most && result->count > 0);
  }
  bool open = false;
};

// A name from the wire can be written, and what can be read back is the same.
void check_names(std::span<const std::byte> message) {
  for (std::size_t from = 0; from < message.size() && from < 64; ++from) {
    std::size_t at = from;
    const auto name = dns::Name::read(message, at);
    if (!name) continue;
    CHECK(at > from && at <= message.size());
    CHECK(name->bytes().size() <= dns::Name::most && name->is_within(*name));
    std::array<char, 4 * dns::Name::most + 8> room;
    const std::string_view text = lichen::base::format_to(room, "{}", *name).text;
    if (const auto again = dns::Name::parse(text)) CHECK(*again == *name);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = std::as_bytes(std::span{data, size});
  Owner owner;
  Wire device;
  std::uint64_t now = 1'000 * second;
  auto stack = std::make_unique<ip::Stack>(lichen::base::HashKey{1, 2});
  ip::Interface& interface = **stack->add_interface(
      {.output = device, .mac = our_mac, .ipv6 = false, .router_discovery = false}, now);
  CHECK(stack->add_address(interface, {.address = ours, .bits = 24}, ip::Probe::no, now));
  ip::Udp udp{*stack};
  auto resolver = std::make_unique<dns::Resolver>(*stack, udp);
  const wire::IpAddress servers[] = {server};
  resolver->set_servers(servers);
  std::array<Asked, 4> lookups;
  const dns::Name names[2] = {*dns::Name::parse("www.example.com"), *dns::Name::parse("a.b")};

  const auto receive = [&](std::uint16_t type, std::span<const std::byte> payload) {
    std::vector<std::byte> frame(14);
    wire::write(frame, wire::EthernetHeader{our_mac, server_mac, type});
    frame.insert(frame.end(), payload.begin(), payload.end());
    stack->receive(interface, owner.lend(frame), {}, now);
  };
  const auto deliver = [&](std::span<const std::byte> message) {
    std::vector<std::byte> packet(28);
    wire::write(packet,
                wire::Ipv4Header{.protocol = wire::protocol::udp, .from = server, .to = ours},
                8 + message.size());
    const auto header = std::span{packet}.subspan(20);
    wire::write(header, wire::UdpHeader{dns::server_port, device.port}, message.size());
    wire::Sum sum = wire::pseudo_header(server, ours, wire::protocol::udp, 8 + message.size());
    sum.add(message);
    wire::seal<wire::UdpHeader>(header, sum);
    packet.insert(packet.end(), message.begin(), message.end());
    receive(wire::ether_type::ipv4, packet);
  };
  const auto settle = [&] {
    if (!device.asked_where) return;
    device.asked_where = false;
    std::vector<std::byte> reply(wire::ArpPacket::size);
    wire::write(reply,
                wire::ArpPacket{wire::ArpOperation::reply, server_mac, server, our_mac, ours});
    receive(wire::ether_type::arp, reply);
  };
  const auto run_until = [&](std::uint64_t time) {
    settle();
    for (;;) {
      const std::uint64_t next = std::min(stack->deadline(), resolver->deadline());
      if (next > time) break;
      now = std::max(now, next);
      if (stack->deadline() <= now) stack->advance(now);
      if (resolver->deadline() <= now) resolver->advance(now);
      settle();
    }
    now = time;
  };
  const auto ask_all = [&] {
    for (std::size_t i = 0; i < lookups.size(); ++i) {
      if (lookups[i].open) continue;
      const dns::Question question{names[i / 2], i % 2 == 0 ? dns::Kind::ipv4 : dns::Kind::ipv6};
      const auto known = resolver->resolve(lookups[i], question, now);
      lookups[i].open = known.failed_with(Error::would_block);
    }
  };

  ask_all();
  run_until(now + millisecond);
  unsigned messages = 0;
  while (input.size() >= 2) {
    const std::uint16_t word = wire::load16(input, 0);
    const std::size_t length = std::min<std::size_t>(word & 0x7ff, input.size() - 2);
    static constexpr std::uint64_t steps[4] = {0, 100 * millisecond, 3 * second, 4'000 * second};
    run_until(now + steps[word >> 14]);
    std::vector<std::byte> message(input.begin() + 2,
                                   input.begin() + 2 + static_cast<std::ptrdiff_t>(length));
    check_names(message);
    for (const dns::Kind kind : {dns::Kind::ipv4, dns::Kind::ipv6})
      (void)dns::parse_response(message, 7, {names[0], kind});
    // Its header, the question that was asked, and the rest.
    if ((word & 0x2000) == 0 && length >= 12 && device.query.size() > 12) {
      std::copy_n(device.query.begin(), 2, message.begin());
      message[2] = (message[2] | std::byte{0x80}) & std::byte{0x87};
      wire::store16(message, 4, 1);
      std::size_t at = 12;
      CHECK(dns::Name::read(device.query, at));
      message.insert(message.begin() + 12, device.query.begin() + 12,
                     device.query.begin() + static_cast<std::ptrdiff_t>(at) + 4);
    }
    ++messages;
    deliver(message);
    run_until(now);
    if ((word & 0x1000) != 0) resolver->cancel(lookups[0]), lookups[0].open = false;
    if ((word & 0x0800) != 0) ask_all();
    input = input.subspan(2 + length);
  }
  if (messages % 4 == 3) resolver->set_servers({});  // while it asks
  run_until(now + 1'000 * second);
  for (const Asked& lookup : lookups) CHECK(!lookup.open);
  CHECK(resolver->deadline() == ip::never);
  CHECK(device.asked <= (messages + 1) * 4 * 4 * (dns::most_aliases + 1));
  return 0;
}
