// Listeners, and who floods them.
#include <vector>

#include "lichen/base/random.hpp"
#include "lichen/net/tcp/test_engines.hpp"

namespace lichen::net::tcp {
namespace {

namespace flag = wire::tcp_flag;

TEST_F(EngineTest, ListenersOfAFamily) {
  Listener ipv4, ipv6, both;
  ipv4.families = Families::ipv4;
  ipv6.families = Families::ipv6;
  for (Listener* each : {&ipv4, &ipv6, &both}) {
    each->local = {{}, 81};
    each->backlog = 4;
  }
  EXPECT_TRUE(server.engine->listen(ipv4));
  EXPECT_TRUE(server.engine->listen(ipv6));
  EXPECT_EQ(server.engine->listen(both).error(), Error::address_in_use);
  Packet packet = syn(1, 1);
  packet.path.local.port = 81;
  server.input(now, packet);
  EXPECT_EQ(ipv4.opening, 1u);
  const auto ip6 = *wire::IpAddress::parse("2001:db8::1");
  packet.path = {{ip6, 81}, {ip6, 1'000}};
  server.input(now, packet);
  EXPECT_EQ(ipv6.opening, 1u);
  server.engine->close(now, ipv4);
  server.engine->close(now, ipv6);
}

TEST_F(EngineTest, ListenersHaveSettings) {
  Config config = small_engine().connection;
  config.largest_mss = 700;
  listener.config = &config;
  EXPECT_FALSE(server.engine->has_connections({{}, 80}));
  server.input(now, syn(1, 1));
  EXPECT_EQ(server.sent.front().header.options.mss, 700u);
  EXPECT_TRUE(server.engine->has_connections({{}, 80}));
  EXPECT_TRUE(server.engine->has_connections({there, 80}));
  EXPECT_FALSE(server.engine->has_connections({here, 80}));
  EXPECT_FALSE(server.engine->has_connections({{}, 81}));
}

TEST_F(EngineTest, AFloodOfSynsKeepsNothing) {
  for (std::uint32_t i = 0; i < 10'000; ++i) server.input(now, syn(0x0a000000 + i, i));
  EXPECT_EQ(server.engine->connections(), listener.backlog);
  EXPECT_EQ(server.engine->statistics().cookies_sent, 10'000u - listener.backlog);
  EXPECT_EQ(server.sent.size(), 10'000u);
  server.sent.clear();
  // One who is honest still gets in.
  Connection* ours = connect();
  pump();
  EXPECT_EQ(ours->state(), State::established);
  EXPECT_EQ(server.engine->statistics().cookies_taken, 1u);
  Connection* theirs = server.engine->take(listener, this);
  ASSERT_NE(theirs, nullptr);
  EXPECT_TRUE(theirs->info(now).sack && theirs->info(now).timestamps) << "kept in the timestamp";
  EXPECT_EQ(theirs->info(now).send_scale, ours->info(now).receive_scale);
  EXPECT_EQ(theirs->info(now).send_mss, 1'448u);
  const std::vector<std::byte> hello(1'000, std::byte{7});
  EXPECT_TRUE(ours->write(now, hello));
  client.engine->touched(now, *ours);
  pump();
  std::vector<std::byte> into(2'000);
  EXPECT_EQ(*theirs->read(into), hello.size());
  pass(300 * second);
  EXPECT_EQ(server.engine->connections(), 1u) << "the half-open ones are gone";
}

TEST_F(EngineTest, CookiesAreNotGuessed) {
  for (std::uint32_t i = 0; i < 5; ++i) server.input(now, syn(0x0a000000 + i, i));
  server.sent.clear();
  Random random{1};
  Packet ack = syn(0x0b000000, 0);
  ack.header.flags = flag::ack;
  for (int i = 0; i < 10'000; ++i) {
    ack.header.acknowledgment = static_cast<std::uint32_t>(random());
    server.input(now, ack);
  }
  EXPECT_EQ(server.engine->statistics().cookies_taken, 0u);
  EXPECT_EQ(server.engine->connections(), 4u);
  server.sent.clear();
}

TEST_F(EngineTest, ABacklogIsKept) {
  for (int i = 0; i < 20; ++i) {
    connect();
    pump();
  }
  EXPECT_EQ(listener.waiting, listener.backlog);
  int taken = 0;
  while (Connection* theirs = server.engine->take(listener, this)) {
    ++taken;
    server.engine->release(now, *theirs);
  }
  EXPECT_EQ(taken, 4);
  pass(20 * second);  // the others have tried again
  EXPECT_GT(listener.waiting, 0u);
}

TEST_F(EngineTest, ClosingAListenerCutsWhatNobodyTook) {
  Connection* ours = connect();
  pump();
  server.engine->close(now, listener);
  pump();
  EXPECT_EQ(server.engine->connections(), 0u);
  EXPECT_EQ(ours->error(), Error::connection_reset);
  Connection* again = connect();
  pump();
  EXPECT_EQ(again->error(), Error::connection_refused);
  EXPECT_TRUE(server.engine->listen(listener));
}

TEST_F(EngineTest, ListenersAreFoundByAddress) {
  Listener same;
  same.local = listener.local;
  EXPECT_TRUE(server.engine->listen(same).failed_with(Error::address_in_use));
  Listener one;
  one.local = {there, 80};
  one.backlog = 1;
  EXPECT_TRUE(server.engine->listen(one));
  connect();
  pump();
  EXPECT_EQ(one.waiting, 1u);
  EXPECT_EQ(listener.waiting, 0u);
  server.engine->close(now, one);
}

}  // namespace
}  // namespace lichen::net::tcp
