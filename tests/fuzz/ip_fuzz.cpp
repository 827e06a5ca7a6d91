// Frames into a whole stack. Whatever comes: memory stays bounded, every buffer comes back, and in
// the end, when all timers have run, nothing is left waiting. The input is a list of frames, each
// with two bytes of length in front, whose topmost bits say how much time passes first. Checksums
// are made right, or the fuzzer would find nothing else.
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "lichen/net/ip/stack.hpp"
#include "lichen/net/ip/udp.hpp"
#include "lichen/net/wire/fields.hpp"
#include "tests/fuzz/check.hpp"

using namespace lichen::net;
using namespace lichen::net::ip;

namespace {

class Sink final : public FrameOutput {
 public:
  bool transmit(const Frame& frame) noexcept override {
    CHECK(frame.pieces.size() >= wire::EthernetHeader::size);
    CHECK(frame.pieces.size() <= 1'514);
    std::vector<std::byte> bytes(frame.pieces.size());
    frame.pieces.copy_to(bytes);
    const auto ethernet = wire::parse_ethernet(bytes);
    CHECK(ethernet);
    if (ethernet->type == wire::ether_type::ipv4) CHECK(wire::parse_ipv4(ethernet->payload, {}));
    if (ethernet->type == wire::ether_type::ipv6) CHECK(wire::parse_ipv6(ethernet->payload));
    if (ethernet->type == wire::ether_type::arp) CHECK(wire::parse_arp(ethernet->payload));
    return ++sent % 16 != 0;  // full now and then
  }
  unsigned sent = 0;
};

class Owner final : public lichen::io::BufferOwner {
 public:
  lichen::io::Buffer lend(Bytes bytes) {
    auto* memory = new std::byte[bytes.size()];
    if (!bytes.empty()) std::memcpy(memory, bytes.data(), bytes.size());
    ++lent;
    return {*this, {memory, bytes.size()}, bytes.size()};
  }
  void give_back(std::span<std::byte> whole) noexcept override {
    --lent;
    delete[] whole.data();
  }
  std::size_t lent = 0;
};

void set_checksum(std::span<std::byte> bytes, std::size_t at, wire::Sum sum) {
  if (bytes.size() < at + 2) return;
  wire::store16(bytes, at, 0);
  sum.add(bytes);
  wire::store16(bytes, at, sum.checksum());
}

void seal_upper(std::span<std::byte> payload, std::uint8_t protocol, const wire::IpAddress& from,
                const wire::IpAddress& to) {
  const wire::Sum pseudo = wire::pseudo_header(from, to, protocol, payload.size());
  if (protocol == wire::protocol::icmp || protocol == wire::protocol::igmp)
    set_checksum(payload, 2, {});
  if (protocol == wire::protocol::icmpv6) set_checksum(payload, 2, pseudo);
  if (protocol == wire::protocol::udp) set_checksum(payload, 6, pseudo);
}

void make_right(std::span<std::byte> frame) {
  const auto ethernet = wire::parse_ethernet(frame);
  if (!ethernet) return;
  const auto bytes = frame.subspan(wire::EthernetHeader::size);
  const auto writable = [&](Bytes part) {
    return bytes.subspan(static_cast<std::size_t>(part.data() - bytes.data()), part.size());
  };
  if (ethernet->type == wire::ether_type::ipv4) {
    const auto packet = wire::parse_ipv4(bytes, wire::Verify::done_by_device());
    if (!packet) return;
    set_checksum(writable(packet->header), 10, {});
    if (!packet->is_fragment())
      seal_upper(writable(packet->payload), packet->protocol, packet->from, packet->to);
  } else if (ethernet->type == wire::ether_type::ipv6) {
    const auto packet = wire::parse_ipv6(bytes);
    if (packet && !packet->fragment)
      seal_upper(writable(packet->payload), packet->protocol, packet->from, packet->to);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = std::as_bytes(std::span{data, size});
  Owner owner;
  Sink device;
  std::uint64_t now = 1'000 * second;
  auto stack = std::make_unique<Stack>(lichen::base::HashKey{1, 2});
  Interface& interface =
      **stack->add_interface({.output = device, .mac = {{2, 0, 0, 0, 0, 1}}}, now);
  CHECK(stack->add_address(interface, {.address = *wire::IpAddress::parse("10.0.0.1"), .bits = 24},
                           Probe::no, now));
  CHECK(stack->add_address(
      interface, {.address = *wire::IpAddress::parse("2001:db8::1"), .bits = 64}, Probe::no, now));
  Udp udp{*stack};
  std::vector<std::byte> memory(4'096);
  UdpSocket socket{memory};
  CHECK(udp.open(socket, {{}, 7}));
  CHECK(stack->join(interface, *wire::IpAddress::parse("224.0.0.251")));
  CHECK(stack->join(interface, *wire::IpAddress::parse("ff02::fb")));

  const auto run_until = [&](std::uint64_t time) {
    while (stack->deadline() <= time) {
      now = stack->deadline() < now ? now : stack->deadline();
      stack->advance(now);
    }
    now = time;
  };
  run_until(now + 10 * second);
  while (input.size() >= 2) {
    const std::uint16_t word = wire::load16(input, 0);
    const std::size_t length = std::min<std::size_t>(word & 0x7ff, input.size() - 2);
    static constexpr std::uint64_t steps[4] = {0, 100 * millisecond, 3 * second, 40 * second};
    run_until(now + steps[word >> 14]);
    std::vector<std::byte> frame(input.begin() + 2,
                                 input.begin() + 2 + static_cast<std::ptrdiff_t>(length));
    make_right(frame);
    stack->receive(interface, owner.lend(frame), {}, now);
    CHECK(owner.lent == 0);
    CHECK(interface.addresses().size() <= Interface::most_addresses);
    CHECK(stack->neighbours().count() <= Neighbours::most);
    CHECK(stack->reassembly().count() <= Reassembly::most);
    input = input.subspan(2 + length);
  }
  run_until(now + 1'000 * second);
  CHECK(stack->reassembly().count() == 0);
  CHECK(stack->neighbours().pending() == 0);
  std::vector<std::byte> into(100);
  while (socket.receive(into)) continue;
  udp.close(socket);
  return 0;
}
