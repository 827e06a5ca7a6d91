// A resolver on one machine and a name server on another.
#include "lichen/net/dns/resolver.hpp"

#include <map>
#include <string>

#include "lichen/net/dns/test_message.hpp"
#include "tests/net/two_hosts.hpp"

namespace lichen::net::dns {
namespace {

using ip::millisecond;
using ip::second;

Name name(std::string_view text) { return *Name::parse(text); }

struct Asked final : Lookup {
  void done(const Result<Addresses>& result) noexcept override {
    ++answers;
    if (result)
      addresses = *result;
    else
      error = result.error();
  }
  int answers = 0;
  Addresses addresses;
  std::optional<Error> error;
};

struct World : ip::TwoHosts {
  explicit World(const ip::LinkModel& model = {}, std::uint64_t seed = 1)
      : TwoHosts{model, seed}, resolver{*a.stack, *a.udp} {
    EXPECT_TRUE(b.udp->open(server, {{}, server_port}));
    const wire::IpAddress servers[] = {b.ipv4, b.ipv6};
    resolver.set_servers(servers);
  }
  ~World() { b.udp->close(server); }

  void run(std::uint64_t time) {
    const std::uint64_t end = now + time;
    while (now < end) {
      run_until(std::min({end, now + 5 * millisecond, std::max(resolver.deadline(), now + 1)}));
      while (resolver.deadline() <= now) resolver.advance(now);
      serve();
    }
  }
  void serve() {
    std::vector<std::byte> query(600);
    while (const auto got = server.receive(query)) {
      ++queries;
      ports.push_back(got->from.port);
      ids.push_back(wire::load16(query, 0));
      if (silent) continue;
      std::size_t at = 12;
      const auto asked = Name::read(query, at);
      if (!asked) continue;
      const Question question{*asked, static_cast<Kind>(wire::load16(query, at))};
      const std::uint16_t id = ids.back();
      const auto reply = [&](const TestMessage& message) {
        (void)b.udp->send(server, got->from, ip::Pieces{message.bytes()}, now);
      };
      if (refuses > 0) {
        --refuses;
        reply(TestMessage{id, question, 2});
      } else if (question.name == name("www.test")) {
        reply(question.kind == Kind::ipv4
                  ? TestMessage{id, question}.address(question.name, {10, 1, 2, 3}, 60)
                  : TestMessage{id, question}.authority(name("test"), 60, 60));
      } else if (question.name == name("chain0.test")) {
        // Each answer names only the next one.
        reply(TestMessage{id, question}.alias(question.name, name("chain1.test"), 60));
      } else if (question.name == name("chain1.test")) {
        reply(TestMessage{id, question}.alias(question.name, name("www.test"), 60));
      } else if (question.name == name("loop.test")) {
        reply(TestMessage{id, question}.alias(question.name, name("pool.test"), 60));
      } else if (question.name == name("pool.test")) {
        reply(TestMessage{id, question}.alias(question.name, name("loop.test"), 60));
      } else {
        reply(TestMessage{id, question, 3}.authority(name("test"), 60, 60));
      }
    }
  }

  Resolver resolver;
  std::vector<std::byte> memory = std::vector<std::byte>(32'768);
  ip::UdpSocket server{memory};
  int queries = 0;
  int refuses = 0;
  bool silent = false;
  std::vector<std::uint16_t> ports;
  std::vector<std::uint16_t> ids;
};

// RFC 1034 section 5.3.1; RFC 1035 section 7.3: asked once, and remembered for its time.
TEST(Resolver, AsksOnceAndRemembers) {
  World world;
  const Question question{name("www.test"), Kind::ipv4};
  Asked one;
  Asked two;
  ASSERT_TRUE(world.resolver.resolve(one, question, world.now).failed_with(Error::would_block));
  ASSERT_TRUE(world.resolver.resolve(two, question, world.now).failed_with(Error::would_block));
  world.run(100 * millisecond);
  EXPECT_EQ(one.answers, 1);
  EXPECT_EQ(two.answers, 1);
  EXPECT_EQ(one.addresses.list[0], (wire::IpAddress{wire::Ipv4Address{{10, 1, 2, 3}}}));
  EXPECT_EQ(world.queries, 1);
  EXPECT_TRUE(world.resolver.resolve(one, question, world.now));
  world.run(61 * second);
  EXPECT_TRUE(world.resolver.resolve(one, question, world.now).failed_with(Error::would_block));
  world.run(100 * millisecond);
  EXPECT_EQ(world.queries, 2);
}

// RFC 2308 section 5.
TEST(Resolver, RemembersWhatIsNot) {
  World world;
  for (const Question& question :
       {Question{name("nobody.test"), Kind::ipv4}, Question{name("www.test"), Kind::ipv6}}) {
    Asked asked;
    world.queries = 0;
    ASSERT_TRUE(world.resolver.resolve(asked, question, world.now).failed_with(Error::would_block));
    world.run(100 * millisecond);
    EXPECT_EQ(asked.error, Error::name_unresolved);
    EXPECT_TRUE(
        world.resolver.resolve(asked, question, world.now).failed_with(Error::name_unresolved));
    EXPECT_EQ(world.queries, 1);
  }
}

// RFC 1034 section 3.6.2, 5.2.2.
TEST(Resolver, FollowsAliasesAndNotForEver) {
  World world;
  Asked chain;
  Asked loop;
  (void)world.resolver.resolve(chain, {name("chain0.test"), Kind::ipv4}, world.now);
  (void)world.resolver.resolve(loop, {name("loop.test"), Kind::ipv4}, world.now);
  world.run(second);
  EXPECT_EQ(chain.addresses.count, 1u);
  EXPECT_EQ(loop.error, Error::protocol_error);
  EXPECT_LE(world.queries, 3 + 10);
}

// RFC 1035 section 7.2: another server, with an id and a port nobody can guess (RFC 5452).
TEST(Resolver, OtherServersAndTimeouts) {
  World world;
  Asked asked;
  world.refuses = 1;
  (void)world.resolver.resolve(asked, {name("www.test"), Kind::ipv4}, world.now);
  world.run(100 * millisecond);
  EXPECT_EQ(asked.addresses.count, 1u);
  EXPECT_EQ(world.queries, 2);

  world.silent = true;
  Asked lost;
  (void)world.resolver.resolve(lost, {name("other.test"), Kind::ipv4}, world.now);
  world.run(20 * second);
  EXPECT_EQ(lost.error, Error::timed_out);
  EXPECT_EQ(world.queries, 2 + 6);
  std::ranges::sort(world.ports);
  std::ranges::sort(world.ids);
  EXPECT_TRUE(std::ranges::unique(world.ports).empty());
  EXPECT_TRUE(std::ranges::unique(world.ids).empty());

  // A port where nobody listens is told by ICMP, so no time is lost.
  world.b.udp->close(world.server);
  Asked refused;
  const std::uint64_t began = world.now;
  (void)world.resolver.resolve(refused, {name("third.test"), Kind::ipv4}, world.now);
  while (refused.answers == 0 && world.now < began + 10 * second) world.run(10 * millisecond);
  EXPECT_EQ(refused.error, Error::connection_refused);
  EXPECT_LT(world.now, began + second);
}

TEST(Resolver, BoundsAndLocalNames) {
  World world;
  std::array<Asked, Resolver::most_queries + 1> asked;
  world.silent = true;
  for (std::size_t i = 0; i <= Resolver::most_queries; ++i) {
    const Question question{name("n" + std::to_string(i) + ".test"), Kind::ipv4};
    EXPECT_TRUE(
        world.resolver.resolve(asked[i], question, world.now)
            .failed_with(i < Resolver::most_queries ? Error::would_block : Error::limit_reached));
  }
  world.resolver.cancel(asked[0]);
  world.run(30 * second);
  EXPECT_EQ(asked[0].answers, 0);
  EXPECT_EQ(asked[1].answers, 1);
  // RFC 6761 section 6.3: never asked of anybody.
  const auto local = world.resolver.resolve(asked[0], {name("x.localhost"), Kind::ipv6}, world.now);
  ASSERT_TRUE(local);
  EXPECT_TRUE(local->list[0].is_loopback());
  world.resolver.set_servers({});
  EXPECT_TRUE(world.resolver.resolve(asked[0], {name("a.test"), Kind::ipv4}, world.now)
                  .failed_with(Error::invalid_state));
}

// The network may take its servers back at any time.
TEST(Resolver, ServersThatAreTakenBack) {
  World world;
  Asked alias;
  Asked silent;
  (void)world.resolver.resolve(alias, {name("chain0.test"), Kind::ipv4}, world.now);
  (void)world.resolver.resolve(silent, {name("www.test"), Kind::ipv6}, world.now);
  world.resolver.set_servers({});
  world.silent = true;
  world.run(30 * second);
  EXPECT_EQ(alias.answers, 1);
  EXPECT_EQ(silent.answers, 1);
  EXPECT_EQ(world.resolver.deadline(), ip::never);

  World answering;
  Asked late;
  (void)answering.resolver.resolve(late, {name("chain0.test"), Kind::ipv4}, answering.now);
  answering.resolver.set_servers({});
  answering.run(30 * second);
  EXPECT_EQ(late.answers, 1);
  EXPECT_EQ(late.error, Error::invalid_state);
}

// What is lost is asked again.
TEST(Resolver, OverABadLink) {
  int found = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    World world{{.lost = 150'000, .doubled = 50'000, .overtaken = 100'000}, seed};
    Asked asked;
    (void)world.resolver.resolve(asked, {name("www.test"), Kind::ipv4}, world.now);
    world.run(30 * second);
    EXPECT_EQ(asked.answers, 1);
    found += asked.addresses.count == 1;
  }
  EXPECT_GE(found, 38);
}

}  // namespace
}  // namespace lichen::net::dns
