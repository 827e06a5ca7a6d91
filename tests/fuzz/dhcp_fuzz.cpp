// What servers answer, to the parser of DHCP and to a client that asks. Whatever comes: an address
// is held only from when it was leased until it is over, questions are asked no faster than the
// client's own times allow, and it can always be stopped. The input is a list of messages, each
// with two bytes of length in front; the two topmost bits say how much time passes first, the next
// whether the message is left as it is: else it is made an answer to what was asked last, or the
// fuzzer would find nothing.
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "lichen/net/dhcp/client.hpp"
#include "lichen/net/wire/fields.hpp"
#include "tests/fuzz/check.hpp"

using namespace lichen::net;
using namespace lichen::net::dhcp;
using ip::second;

namespace {

constexpr wire::MacAddress our_mac{{2, 0, 0, 0, 0, 1}};

struct Holder final : Owner {
  void send(Bytes message, const wire::Ipv4Address& to, bool from_nobody) noexcept override {
    CHECK(message.size() == request_size);
    CHECK(from_nobody == to.is_broadcast() || !from_nobody);
    transaction = wire::load32(message, 4);
    ++sent;
  }
  void offered(const Lease& lease) noexcept override {
    CHECK(!held);
    held = true;
    check(lease);
  }
  void renewed(const Lease& lease) noexcept override {
    CHECK(held);
    check(lease);
  }
  void lost(const Lease&) noexcept override {
    CHECK(held);
    held = false;
  }
  static void check(const Lease& lease) {
    CHECK(!lease.address.is_unspecified() && !lease.address.is_multicast());
    CHECK(!lease.address.is_broadcast() && !lease.address.is_loopback());
    CHECK(lease.bits >= 1 && lease.bits <= 32);
    CHECK(lease.dns_server_count <= lease.dns_servers.size());
    CHECK(lease.renew_at <= lease.rebind_at && lease.rebind_at <= lease.expires);
  }

  bool held = false;
  std::uint32_t transaction = 0;
  std::uint64_t sent = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = std::as_bytes(std::span{data, size});
  std::uint64_t now = 1'000 * second;
  const std::uint64_t began = now;
  Holder holder;
  ip::Unpredictable random{{1, 2}};
  Client client{holder, our_mac, random};
  client.start(now, 0);
  std::uint64_t advances = 0;
  std::uint64_t messages = 0;
  const auto run_until = [&](std::uint64_t time) {
    while (client.deadline() <= time) {
      now = std::max(now, client.deadline());
      client.advance(now);
      ++advances;
    }
    now = std::max(now, time);
  };
  run_until(now);
  while (input.size() >= 2) {
    const std::uint16_t word = wire::load16(input, 0);
    const std::size_t length = std::min<std::size_t>(word & 0x7ff, input.size() - 2);
    static constexpr std::uint64_t steps[4] = {0, second, 40 * second, 4'000 * second};
    run_until(now + steps[word >> 14]);
    std::vector<std::byte> message(input.begin() + 2,
                                   input.begin() + 2 + static_cast<std::ptrdiff_t>(length));
    if ((word & 0x2000) == 0 && length >= 240) {
      wire::store8(message, 0, 2);
      wire::store8(message, 1, 1);
      wire::store8(message, 2, 6);
      wire::store32(message, 4, holder.transaction);
      wire::store_octets(message, 28, our_mac);
      wire::store32(message, 236, 0x63825363);
    }
    const auto reply = parse_reply(message);
    if (reply) CHECK(reply->dns_server_count <= reply->dns_servers.size());
    ++messages;
    client.receive(message, now);
    // Who probes may find either.
    if (client.state() == State::probing) {
      CHECK(holder.held);
      (word & 0x1000) != 0 ? client.conflict(now) : client.probed(now);
    }
    CHECK(holder.held == (client.state() >= State::probing));
    if (holder.held) Holder::check(client.lease());
    input = input.subspan(2 + length);
  }
  run_until(now + 1'000 * second);
  // No message but one for each answer, and those that are due by time: every second at the most,
  // while the server refuses all the time.
  CHECK(holder.sent <= 2 * messages + (now - began) / second + 10);
  CHECK(advances <= 2 * messages + (now - began) / second + 10);
  client.stop(now);
  CHECK(!holder.held && client.state() == State::stopped && client.deadline() == ip::never);
  return 0;
}
