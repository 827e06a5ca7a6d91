// The client alone, against a server of the test's, in virtual time.
#include "lichen/net/dhcp/client.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "lichen/net/wire/fields.hpp"

namespace lichen::net::dhcp {
namespace {

using ip::second;

constexpr wire::MacAddress mac{{2, 0, 0, 0, 0, 1}};
constexpr wire::Ipv4Address server{{10, 0, 0, 1}};
constexpr wire::Ipv4Address offered_address{{10, 0, 0, 50}};

struct Sent {
  MessageType type{};
  std::uint32_t transaction = 0;
  bool broadcast_flag = false;
  wire::Ipv4Address current{};
  wire::Ipv4Address to{};
  bool from_nobody = false;
  std::vector<std::byte> bytes;

  // An option's value, or nothing.
  [[nodiscard]] std::vector<std::uint8_t> option(std::uint8_t wanted) const {
    for (std::size_t at = 240; at + 1 < bytes.size();) {
      const std::uint8_t code = wire::load8(bytes, at);
      if (code == 255) break;
      const std::size_t size = wire::load8(bytes, at + 1);
      std::vector<std::uint8_t> value;
      for (std::size_t i = 0; i < size; ++i) value.push_back(wire::load8(bytes, at + 2 + i));
      if (code == wanted) return value;
      at += 2 + size;
    }
    return {};
  }
};

struct Dhcp : testing::Test, Owner {
  void send(Bytes message, const wire::Ipv4Address& to, bool from_nobody) noexcept override {
    Sent one;
    one.bytes.assign(message.begin(), message.end());
    one.type = static_cast<MessageType>(one.option(53).at(0));
    one.transaction = wire::load32(message, 4);
    one.broadcast_flag = (wire::load16(message, 10) & 0x8000) != 0;
    one.current = wire::load_octets<wire::Ipv4Address>(message, 12);
    one.to = to;
    one.from_nobody = from_nobody;
    sent.push_back(one);
  }
  void offered(const Lease&) noexcept override { ++offers; }
  void renewed(const Lease&) noexcept override { ++renewals; }
  void lost(const Lease&) noexcept override { ++losses; }

  void run_until(std::uint64_t time) {
    while (client.deadline() <= time) {
      now = std::max(now, client.deadline());
      client.advance(now);
    }
    now = time;
  }
  void run_for(std::uint64_t time) { run_until(now + time); }

  using Option = std::pair<std::uint8_t, std::vector<std::uint8_t>>;
  std::vector<std::byte> reply(MessageType type, const std::vector<Option>& options,
                               wire::Ipv4Address address = offered_address) {
    std::vector<std::byte> bytes(240);
    wire::store8(bytes, 0, 2);
    wire::store8(bytes, 1, 1);
    wire::store8(bytes, 2, 6);
    wire::store32(bytes, 4, sent.back().transaction);
    wire::store_octets(bytes, 16, address);
    wire::store_octets(bytes, 28, mac);
    wire::store32(bytes, 236, 0x63825363);
    const auto add = [&](std::uint8_t code, const std::vector<std::uint8_t>& value) {
      bytes.push_back(std::byte{code});
      bytes.push_back(static_cast<std::byte>(value.size()));
      for (const std::uint8_t byte : value) bytes.push_back(std::byte{byte});
    };
    add(53, {static_cast<std::uint8_t>(type)});
    for (const auto& [code, value] : options) add(code, value);
    bytes.push_back(std::byte{255});
    return bytes;
  }
  static Option number(std::uint8_t code, std::uint32_t value) {
    return {code,
            {static_cast<std::uint8_t>(value >> 24), static_cast<std::uint8_t>(value >> 16),
             static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)}};
  }
  static std::vector<Option> usual(std::uint32_t lease_s) {
    return {{54, {10, 0, 0, 1}},
            {1, {255, 255, 255, 0}},
            {3, {10, 0, 0, 1}},
            {6, {10, 0, 0, 1, 8, 8, 8, 8}},
            number(51, lease_s)};
  }
  void answer(MessageType type, const std::vector<Option>& options,
              wire::Ipv4Address address = offered_address) {
    client.receive(reply(type, options, address), now);
  }
  void bind(std::uint32_t lease_s = 1'000) {
    client.start(now);
    run_for(second);
    answer(MessageType::offer, usual(lease_s));
    answer(MessageType::acknowledge, usual(lease_s));
    ASSERT_EQ(client.state(), State::probing);
    client.probed(now);
    ASSERT_EQ(client.state(), State::bound);
    sent.clear();
  }

  std::uint64_t now = 1'000 * second;
  ip::Unpredictable random{{1, 2}};
  std::vector<Sent> sent;
  int offers = 0, renewals = 0, losses = 0;
  Client client{*this, mac, random};
};

// RFC 2131 section 3.1, 4.4.1: discover, offer, request, acknowledge.
TEST_F(Dhcp, Bound) {
  client.start(now);
  run_for(second);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].type, MessageType::discover);
  EXPECT_TRUE(sent[0].from_nobody);
  EXPECT_TRUE(sent[0].to.is_broadcast());
  EXPECT_TRUE(sent[0].broadcast_flag);
  answer(MessageType::offer, usual(1'000));
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[1].type, MessageType::request);
  EXPECT_TRUE(sent[1].current.is_unspecified());
  EXPECT_EQ(sent[1].option(50), (std::vector<std::uint8_t>{10, 0, 0, 50}));
  EXPECT_EQ(sent[1].option(54), (std::vector<std::uint8_t>{10, 0, 0, 1}));
  answer(MessageType::acknowledge, usual(1'000));
  EXPECT_EQ(offers, 1);
  client.probed(now);
  EXPECT_EQ(client.state(), State::bound);
  EXPECT_EQ(client.lease().address, offered_address);
  EXPECT_EQ(client.lease().bits, 24);
  EXPECT_EQ(client.lease().router, server);
  EXPECT_EQ(client.lease().dns_server_count, 2u);
  EXPECT_EQ(client.lease().renew_at, now + 500 * second);
  EXPECT_EQ(client.lease().rebind_at, now + 875 * second);
  EXPECT_EQ(client.lease().expires, now + 1'000 * second);
}

// Section 4.1: 4, 8, 16, 32, 64, 64 s, give or take one.
TEST_F(Dhcp, DiscoverIsRepeated) {
  client.start(now);
  run_for(second);
  std::uint64_t before = now;
  for (const std::uint64_t wait : {4, 8, 16, 32, 64, 64}) {
    sent.clear();
    run_until(client.deadline());
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_LE(now - before, (wait + 2) * second);
    EXPECT_GE(now - before + 1, (wait - 2) * second);
    before = now;
  }
}

TEST_F(Dhcp, AServerThatFallsSilentIsLeft) {
  client.start(now);
  run_for(second);
  answer(MessageType::offer, usual(1'000));
  run_for(200 * second);
  EXPECT_EQ(client.state(), State::selecting);
}

// Section 4.4.5: renew with the server, then rebind with any, then give up.
TEST_F(Dhcp, RenewRebindExpire) {
  bind();
  const std::uint64_t bound = now;
  run_until(bound + 500 * second);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].to, server);
  EXPECT_FALSE(sent[0].from_nobody);
  EXPECT_EQ(sent[0].current, offered_address);
  EXPECT_TRUE(sent[0].option(50).empty());
  EXPECT_TRUE(sent[0].option(54).empty());
  run_until(bound + 874 * second);
  for (std::size_t i = 2; i < sent.size(); ++i) EXPECT_EQ(sent[i].to, server);
  EXPECT_LE(sent.size(), 4u);
  sent.clear();
  run_until(bound + 876 * second);
  ASSERT_FALSE(sent.empty());
  EXPECT_TRUE(sent.back().to.is_broadcast());
  EXPECT_EQ(client.state(), State::rebinding);
  EXPECT_EQ(losses, 0);
  run_until(bound + 1'000 * second);
  EXPECT_EQ(losses, 1);
  EXPECT_EQ(client.state(), State::selecting);
}

TEST_F(Dhcp, RenewalCountsFromTheRequest) {
  bind();
  run_for(500 * second);
  const std::uint64_t asked = now;
  run_for(second);
  answer(MessageType::acknowledge, usual(1'000));
  EXPECT_EQ(client.state(), State::bound);
  EXPECT_EQ(renewals, 1);
  EXPECT_EQ(client.lease().expires, asked + 1'000 * second);
}

// In rebinding another server may answer.
TEST_F(Dhcp, AnotherServerRebinds) {
  bind();
  run_for(876 * second);
  auto options = usual(1'000);
  options[0].second = {10, 0, 0, 2};
  answer(MessageType::acknowledge, options);
  EXPECT_EQ(client.state(), State::bound);
  EXPECT_EQ(client.lease().server, (wire::Ipv4Address{{10, 0, 0, 2}}));
}

// Section 3.1 (5), 3.2 (4).
TEST_F(Dhcp, Refused) {
  client.start(now);
  run_for(second);
  answer(MessageType::offer, usual(1'000));
  answer(MessageType::refuse, {{54, {10, 0, 0, 1}}});
  EXPECT_EQ(client.state(), State::waiting);
  EXPECT_EQ(losses, 0);
  run_for(3 * second);
  EXPECT_EQ(client.state(), State::selecting);
}

TEST_F(Dhcp, RefusedWhileRenewing) {
  bind();
  run_for(500 * second);
  answer(MessageType::refuse, {{54, {10, 0, 0, 9}}});  // by one it did not ask
  EXPECT_EQ(losses, 0);
  answer(MessageType::refuse, {{54, {10, 0, 0, 1}}});
  EXPECT_EQ(losses, 1);
  EXPECT_EQ(client.state(), State::waiting);
}

// Section 3.1 (5), 4.4.4: declined, and begun anew after ten seconds at least.
TEST_F(Dhcp, Conflict) {
  client.start(now);
  run_for(second);
  answer(MessageType::offer, usual(1'000));
  answer(MessageType::acknowledge, usual(1'000));
  sent.clear();
  client.conflict(now);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].type, MessageType::decline);
  EXPECT_EQ(sent[0].option(50), (std::vector<std::uint8_t>{10, 0, 0, 50}));
  EXPECT_EQ(losses, 1);
  run_for(9 * second);
  EXPECT_EQ(sent.size(), 1u);
  run_for(second);
  EXPECT_EQ(sent.back().type, MessageType::discover);
}

// Section 4.4.6.
TEST_F(Dhcp, Release) {
  bind();
  client.stop(now);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].type, MessageType::release);
  EXPECT_EQ(sent[0].to, server);
  EXPECT_EQ(losses, 1);
  EXPECT_EQ(client.deadline(), ip::never);
}

// RFC 2132 section 3.3, 9.2; RFC 2131 section 4.4.1: what makes no sense is not taken.
TEST_F(Dhcp, NonsenseIsIgnored) {
  client.start(now);
  run_for(second);
  answer(MessageType::offer, {{1, {255, 255, 255, 0}}});  // of no server
  auto options = usual(1'000);
  options[1].second = {255, 0, 255, 0};
  answer(MessageType::offer, options);
  for (const wire::Ipv4Address bad :
       {wire::Ipv4Address{}, {{127, 0, 0, 1}}, {{224, 0, 0, 1}}, {{255, 255, 255, 255}}})
    answer(MessageType::offer, usual(1'000), bad);
  answer(MessageType::acknowledge, usual(1'000));  // not asked for
  EXPECT_EQ(client.state(), State::selecting);
  auto other = reply(MessageType::offer, usual(1'000));
  other[4] ^= std::byte{1};
  client.receive(other, now);
  other[4] ^= std::byte{1};
  other[28] ^= std::byte{1};
  client.receive(other, now);
  EXPECT_EQ(client.state(), State::selecting);
  EXPECT_EQ(client.ignored(), 9u);
  answer(MessageType::offer, usual(1'000));
  answer(MessageType::acknowledge, usual(0));
  options = usual(1'000);
  options.pop_back();
  answer(MessageType::acknowledge, options);
  answer(MessageType::acknowledge, usual(1'000), {{10, 0, 0, 51}});
  EXPECT_EQ(client.state(), State::requesting);
}

// Times that make no order are replaced (RFC 2131 section 4.4.5); a lease for ever has no end.
TEST_F(Dhcp, Times) {
  auto options = usual(1'000);
  options.push_back(number(58, 990));
  options.push_back(number(59, 5'000));
  client.start(now);
  run_for(second);
  answer(MessageType::offer, options);
  answer(MessageType::acknowledge, options);
  EXPECT_EQ(client.lease().renew_at, now + 500 * second);
  EXPECT_EQ(client.lease().rebind_at, now + 875 * second);
  client.stop(now);
  client.start(now);
  run_for(second);
  answer(MessageType::offer, usual(UINT32_MAX));
  answer(MessageType::acknowledge, usual(UINT32_MAX));
  client.probed(now);
  EXPECT_EQ(client.deadline(), ip::never);
}

// Section 4.1: options in the fields for names; and every cut of a message.
TEST_F(Dhcp, OverloadAndTruncation) {
  client.start(now);
  run_for(second);
  auto message = reply(MessageType::offer, {{54, {10, 0, 0, 1}}, {52, {1}}});
  message[108] = std::byte{1};
  message[109] = std::byte{4};
  for (int i = 0; i < 3; ++i) message[110 + i] = std::byte{255};
  message[114] = std::byte{255};
  const auto parsed = parse_reply(message);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->mask, (wire::Ipv4Address{{255, 255, 255, 0}}));
  for (std::size_t size = 0; size < message.size(); ++size) {
    const std::vector<std::byte> cut(message.begin(),
                                     message.begin() + static_cast<std::ptrdiff_t>(size));
    (void)parse_reply(cut);
  }
  message[109] = std::byte{200};
  EXPECT_EQ(parse_reply(message).error(), wire::Drop::bad_option);
}

}  // namespace
}  // namespace lichen::net::dhcp
