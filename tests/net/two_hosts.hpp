// Two stacks in virtual time, joined by a simulated link.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "lichen/hal/sim/link.hpp"
#include "lichen/net/ip/test_host.hpp"

namespace lichen::net::ip {

using hal::sim::Link;
using hal::sim::LinkModel;

class LinkOutput final : public FrameOutput {
 public:
  LinkOutput(Link& link, const std::uint64_t& now) : link_{link}, now_{now} {}
  bool transmit(const Frame& frame) noexcept override {
    return link_.send(joined(frame.pieces), now_).has_value();
  }

 private:
  Link& link_;
  const std::uint64_t& now_;
};

struct EchoLog final : EchoClient {
  void echo_reply(const Arrival& arrival, const wire::IcmpMessage& reply,
                  std::uint64_t) noexcept override {
    from = arrival.from;
    number = reply.number();
    body.assign(reply.body.begin(), reply.body.end());
    ++replies;
  }
  bool echo_failed(const wire::Quote&, const Failure& failure, std::uint64_t) noexcept override {
    failures.push_back(failure);
    return true;
  }
  wire::IpAddress from;
  unsigned number = 0;
  unsigned replies = 0;
  std::vector<std::byte> body;
  std::vector<Failure> failures;
};

struct TestHost {
  TestHost(Link& out, const std::uint64_t& now, std::uint8_t number, std::uint32_t mtu)
      : output{out, now},
        stack{std::make_unique<Stack>(base::HashKey{number, 77})},
        udp{std::make_unique<Udp>(*stack)} {
    const auto added =
        stack->add_interface({.output = output, .mac = {{2, 0, 0, 0, 0, number}}, .mtu = mtu}, now);
    interface = *added;
    stack->set_echo_client(&echo);
    ipv4 = wire::Ipv4Address{{10, 0, 0, number}};
    EXPECT_TRUE(stack->add_address(*interface, {.address = ipv4, .bits = 24}, Probe::no, now));
    ipv6 = *wire::Ipv6Address::parse("2001:db8::1");
    ipv6.octets[15] = number;
    EXPECT_TRUE(stack->add_address(*interface, {.address = ipv6, .bits = 64}, Probe::no, now));
  }

  LinkOutput output;
  std::unique_ptr<Stack> stack;
  std::unique_ptr<Udp> udp;
  Interface* interface = nullptr;
  EchoLog echo;
  wire::IpAddress ipv4;
  wire::IpAddress ipv6;
};

struct TwoHosts {
  explicit TwoHosts(const LinkModel& model = {}, std::uint64_t seed = 1, std::uint32_t mtu = 1'500)
      : to_b{model, seed}, to_a{model, seed + 1'000}, a{to_b, now, 1, mtu}, b{to_a, now, 2, mtu} {}

  // Runs until `time`, or until nothing is to be done before it.
  void run_until(std::uint64_t time) {
    for (;;) {
      const std::uint64_t next = std::min(
          {to_a.next_arrival(), to_b.next_arrival(), a.stack->deadline(), b.stack->deadline()});
      if (next > time) break;
      now = std::max(now, next);
      while (auto frame = to_a.receive(now))
        a.stack->receive(*a.interface, owner.lend(*frame), {}, now);
      while (auto frame = to_b.receive(now))
        b.stack->receive(*b.interface, owner.lend(*frame), {}, now);
      if (a.stack->deadline() <= now) a.stack->advance(now);
      if (b.stack->deadline() <= now) b.stack->advance(now);
    }
    now = time;
  }
  void run_for(std::uint64_t time) { run_until(now + time); }
  // A little real traffic time without the timers of seconds.
  void settle() { run_for(50 * millisecond); }

  std::uint64_t now = 1'000'000'000;
  Link to_b;
  Link to_a;
  FrameOwner owner;
  TestHost a;
  TestHost b;
};

}  // namespace lichen::net::ip
