// The profile of Linux where RFCs leave a choice, and what packetdrill's public tests have found.
#include "lichen/net/tcp/test_script.hpp"

namespace lichen::net::tcp {
namespace {

constexpr std::string_view sack_peer = "win=65535 mss=1000 sackok";

EXCHANGE(ABurstEndsWithPush, "Linux", "PSH on the last of several segments that go at once") {
  Script s{modern()};
  s.open("win=65535 mss=1000 sackok");
  s.write(3'500);
  EXPECT_EQ(s.count(), 4u);
  const std::uint8_t pushed[] = {0, wire::tcp_flag::psh, 0, wire::tcp_flag::psh};
  for (std::size_t i = 0; i < s.count(); ++i)
    EXPECT_EQ(s.sent[i].header.flags & wire::tcp_flag::psh, pushed[i]) << i;
  s.forget();
}

EXCHANGE(ABurstIsHalfAWindow, "Linux",
         "two bursts make a window, also where the device cuts them") {
  Config config = modern();
  config.largest_burst = 65'000;
  Script s{config};
  s.open("win=65535 mss=1000 sackok");
  s.write(30'000);
  ASSERT_EQ(s.count(), 2u);
  s.out("PA 1:5001");
  s.out("PA 5001:10001");
}

EXCHANGE(WhatFollowsIsNotPushed, "RFC 9293 3.9.1.2, Linux MSG_MORE",
         "no PSH while more of the same write comes") {
  Script s;
  s.open();
  const std::byte bytes[] = {Script::pattern(0), Script::pattern(1)};
  ASSERT_TRUE(s.connection->write(s.now, std::span{bytes}.first(1), true));
  s.flush();
  ASSERT_TRUE(s.connection->write(s.now, std::span{bytes}.last(1)));
  s.flush();
  ASSERT_EQ(s.count(), 2u);
  EXPECT_EQ(s.sent[0].header.flags & wire::tcp_flag::psh, 0);
  EXPECT_NE(s.sent[1].header.flags & wire::tcp_flag::psh, 0);
  s.forget();
}

EXCHANGE(RecordsShareNoSegment, "Linux MSG_EOR",
         "neither when they are sent nor when they are sent again") {
  Script s{modern()};
  s.open_slowly("win=65535 mss=1000 sackok ws=7");
  s.connection->set_cork(true);
  s.write(2'400);
  s.out("A 1:1001");
  s.out("A 1001:2001");
  s.quiet();
  s.connection->end_record();
  s.write(300);
  s.out("PA 2001:2401");
  s.connection->end_record();
  s.write(1'500);
  s.out("PA 2401:2701");
  s.out("A 2701:3701");
  s.quiet();
  s.pass(100);
  s.in("A 1 ack=2001 sack=2701-3701");
  s.pass(100);
  s.out("PA 2001:2401");
  s.out("PA 2401:2701");
  s.quiet();
  s.connection->set_cork(false);
  s.flush();
  s.out("PA 3701:4201");
}

EXCHANGE(ACorkIsPushed, "Linux TCP_NODELAY", "what a cork holds goes once when it is asked for") {
  Script s;
  s.open();
  s.connection->set_cork(true);
  s.write(10);
  s.quiet();
  s.connection->push();
  s.flush();
  s.out("PA 1:11");
  s.write(10);
  s.quiet();
}

EXCHANGE(TheTimeoutIsAboveTheRoundTrip, "RFC 6298 2, Linux",
         "the lower bound of 200 ms comes on top of the smoothed round trip") {
  Script s;
  s.open_slowly("win=65535 mss=1460");
  std::uint32_t at = 1;
  for (int i = 0; i < 40; ++i) {  // until hardly any variation is left
    s.write(10);
    s.forget();
    s.pass(100);
    at += 10;
    s.in_ack(at);
  }
  EXPECT_EQ(s.info().rto_ns / millisecond, 300u);
}

EXCHANGE(TheProbeComesInPlaceOfTheTimeout, "RFC 8985 7.2",
         "a timeout that is nearer than the probe: the probe, at its time") {
  Script s{modern()};
  s.open_slowly(sack_peer);
  s.write(500);
  s.out("PA 1:501");
  s.pass(299);
  s.quiet();
  s.pass(1);
  s.out("PA 1:501");
  EXPECT_EQ(s.info().statistics.probes, 1u);
  EXPECT_EQ(s.info().statistics.timeouts, 0u);
  EXPECT_EQ(s.info().congestion_window, 10'000u);
  s.pass(300);
  s.out("PA 1:501");
  EXPECT_EQ(s.info().statistics.timeouts, 1u);
}

EXCHANGE(DuplicatesDoNotGrowTheWindow, "RFC 5681 3.2 (1), RFC 3042",
         "SACK before a loss: a new segment for each, and the window stays") {
  Script s{modern()};
  s.open_slowly(sack_peer);
  s.write(15'000);
  s.forget();
  s.pass(100);
  s.in("A 1 ack=1 sack=1001-2001");
  s.out("A 10001:11001");
  s.quiet();
  s.in("A 1 ack=1 sack=1001-3001");
  s.out("A 11001:12001");
  s.quiet();
  EXPECT_EQ(s.info().congestion_window, 10'000u);
  // It was reordering: what had not arrived by then counts.
  s.in("A 1 ack=3001");
  EXPECT_EQ(s.info().congestion_window, 11'000u);
  s.out("A 12001:13001");
  s.out("A 13001:14001");
  s.quiet();
}

EXCHANGE(DuplicatesCountOnce, "RFC 5681 3.2 (1), RFC 3042",
         "the same without SACK: what they told of does not grow the window later") {
  Script s;
  s.open("win=65535 mss=1000");
  s.write(15'000);
  s.forget();
  s.in("A 1 ack=1");
  s.out("A 10001:11001");
  s.in("A 1 ack=1");
  s.out("A 11001:12001");
  s.quiet();
  s.in("A 1 ack=3001");
  EXPECT_EQ(s.info().congestion_window, 11'000u);
  s.forget();
}

EXCHANGE(AnOldAckTellsOfWhatArrived, "RFC 2018 5, RFC 6675 5",
         "SACK of an acknowledgment that was overtaken counts") {
  Script s{modern()};
  s.open_slowly(sack_peer);
  s.write(5'000);
  s.forget();
  s.pass(100);
  s.in("A 1 ack=2001");
  s.in("A 1 ack=1001 sack=3001-5001");
  EXPECT_EQ(s.info().sacked, 2'000u);
  EXPECT_EQ(s.info().unacked, 3'000u);
  s.in("A 1 ack=1001");
  s.check();
}

EXCHANGE(UseIsRemembered, "RFC 5681 3.1, RFC 7661 4.3, Linux",
         "a window that was used in this round trip grows to its last acknowledgment") {
  Script s{modern()};
  s.open_slowly(sack_peer);
  s.write(10'000);
  s.forget();
  s.pass(100);
  for (std::uint32_t ack = 2'001; ack <= 10'001; ack += 2'000) s.in_ack(ack);
  EXPECT_EQ(s.info().congestion_window, 20'000u);
  // And not by what an app sends that uses little of it.
  for (std::uint32_t ack = 12'001; ack <= 20'001; ack += 2'000) {
    s.write(2'000);
    s.forget();
    s.pass(100);
    s.in_ack(ack);
  }
  EXPECT_EQ(s.info().congestion_window, 20'000u);
}

EXCHANGE(NoUpdatesOfAFullWindow, "RFC 9293 3.8.6.2.2",
         "without window scaling a large buffer is no reason to tell of one") {
  Config config = plain();
  config.receive_buffer = 1024 * 1024;
  Script s{config};
  s.open();
  s.in("A 1:1001 ack=1");
  s.out("A 1 ack=1001");
  EXPECT_EQ(s.read(), 1'000u);
  s.quiet();
}

EXCHANGE(ResetsHaveTimestamps, "RFC 7323 3.2", "once agreed, also on a reset of ours") {
  Script s{with_timestamps()};
  s.open("mss=1460 ts=7,1000");
  s.pass(50);
  s.connection->abort(s.now);
  s.out("RA 1 ts=1050,7");
}

EXCHANGE(FewIsToldOfAsRoom, "Linux TCP_NOTSENT_LOWAT",
         "no room while so much is unsent, and word of it when half of that has gone") {
  Config config = plain();
  config.unsent_most = 4'000;
  Script s{config};
  s.open("win=65535 mss=1000");
  s.write(20'000);
  EXPECT_EQ(s.connection->writable(), 0u) << "10,000 wait";
  EXPECT_TRUE(s.connection->write(s.now, {}).has_value());
  const std::byte one{};
  EXPECT_TRUE(s.connection->write(s.now, {&one, 1}).failed_with(Error::would_block));
  s.changes = 0;
  s.in("A 1 ack=4001");
  EXPECT_EQ(s.changes & change::writable, 0) << "still 2,000";
  s.in("A 1 ack=5001");
  EXPECT_NE(s.changes & change::writable, 0);
  EXPECT_GT(s.connection->writable(), 0u);
  s.forget();
}

// A round of ten acknowledgments of a segment each, with one round trip.
void round_of(Congestion& policy, CongestionWindow& window, std::uint64_t rtt) {
  for (int i = 0; i < 10; ++i) policy.acked(window, {second, 1'000, 1'000, rtt, rtt, i == 0});
}

EXCHANGE(SlowStartEndsBeforeALoss, "RFC 9406 4.2 (HyStart++)",
         "longer round trips: a quarter of the pace for five rounds, then the threshold is there") {
  NewReno reno;
  Cubic cubic;
  for (Congestion* policy : {static_cast<Congestion*>(&reno), static_cast<Congestion*>(&cubic)}) {
    CongestionWindow window{.size = 10'000};
    round_of(*policy, window, 100 * millisecond);
    round_of(*policy, window, 112 * millisecond);  // less than an eighth more
    EXPECT_EQ(window.size, 30'000u);
    round_of(*policy, window, 126 * millisecond);
    EXPECT_EQ(window.size, 30'000u + 7 * 1'000 + 3 * 250) << "known with the eighth";
    for (int i = 0; i < 4; ++i) round_of(*policy, window, 130 * millisecond);
    EXPECT_EQ(window.size, 37'750u + 40 * 250);
    EXPECT_EQ(window.threshold, CongestionWindow::unlimited);
    policy->acked(window, {second, 1'000, 1'000, 130 * millisecond, 130 * millisecond, true});
    EXPECT_EQ(window.threshold, 47'750u);
  }
}

EXCHANGE(SlowStartGoesOn, "RFC 9406 4.2 (HyStart++)",
         "when the round trips become short again it was jitter") {
  Cubic policy;
  CongestionWindow window{.size = 10'000};
  round_of(policy, window, 100 * millisecond);
  round_of(policy, window, 120 * millisecond);
  EXPECT_EQ(window.size, 20'000u + 7 * 1'000 + 3 * 250);
  round_of(policy, window, 101 * millisecond);
  EXPECT_EQ(window.size, 27'750u + 7 * 250 + 3 * 1'000);
  round_of(policy, window, 101 * millisecond);
  EXPECT_EQ(window.size, 42'500u);
  EXPECT_EQ(window.threshold, CongestionWindow::unlimited);
}

EXCHANGE(RoundTripsAreCounted, "RFC 9406 4.2 (HyStart++)",
         "a connection whose round trips grow leaves slow start without a loss") {
  Config config = modern();
  config.send_buffer = 1024 * 1024;
  Script s{config};
  s.open_slowly(sack_peer);
  s.write(900'000);
  std::uint32_t at = 1;
  for (int round = 0; round < 8; ++round) {
    const std::uint32_t out = s.info().unacked;
    s.forget();
    s.pass(round == 0 ? 100 : 150);
    for (std::uint32_t i = 0; i < out / 1'000; ++i) {
      at += 1'000;
      s.in_ack(at);
      if (s.info().unsent == 0) break;
    }
    s.forget();
  }
  EXPECT_NE(s.info().slow_start_threshold, CongestionWindow::unlimited);
  EXPECT_EQ(s.info().statistics.retransmissions, 0u);
}

}  // namespace
}  // namespace lichen::net::tcp
