// Loss, its detection and its repair: RFC 2018, RFC 2883, RFC 5681, RFC 6582, RFC 6675, RFC 8985,
// RFC 9438, RFC 9937.
#include <gtest/gtest.h>

#include "lichen/net/tcp/congestion.hpp"
#include "lichen/net/tcp/test_script.hpp"

namespace lichen::net::tcp {
namespace {

// Connections with a round trip of 100 ms and `segments` of 1,000 bytes on their way, each sent at
// a time of its own.
void send_train(Script& s, int segments) {
  for (int i = 0; i < segments; ++i) {
    s.write(1'000);
    s.pass(1);
  }
  EXPECT_EQ(s.count(), static_cast<std::size_t>(segments));
  s.forget();
  s.pass(100 - static_cast<std::uint64_t>(segments));
}

constexpr const char* sack_peer = "win=65535 mss=1000 sackok ws=7";

// ---- what the receiver tells

EXCHANGE(BlocksAreReported, "RFC 2018 4", "the block with the latest segment first") {
  Script s{modern()};
  s.open("mss=1460 sackok");
  s.in("A 1001:2001 ack=1");
  s.out("A 1 ack=1 sack=1001-2001");
  s.in("A 3001:4001 ack=1");
  s.out("A 1 ack=1 sack=3001-4001,1001-2001");
  s.in("A 5001:6001 ack=1");
  s.out("A 1 ack=1 sack=5001-6001,3001-4001,1001-2001");
  s.in("A 2001:3001 ack=1");
  s.out("A 1 ack=1 sack=1001-4001,5001-6001");
  s.in("A 1:1001 ack=1");
  s.out("A 1 ack=4001 sack=5001-6001");
  s.in("A 4001:5001 ack=1");
  s.out("A 1 ack=6001 nosack");
  EXPECT_EQ(s.read(), 6'000u);
}

EXCHANGE(FourBlocksFit, "RFC 2018 3", "four blocks, three beside timestamps") {
  Config config = modern();
  config.timestamps = true;
  for (const bool timestamps : {false, true}) {
    config.timestamps = timestamps;
    Script s{config};
    const std::string ts = timestamps ? " ts=9,1000" : "";
    s.open("mss=1460 sackok" + ts);
    for (std::uint32_t i = 1; i <= 5; ++i)
      s.in("A " + std::to_string(i * 2'000) + ":" + std::to_string(i * 2'000 + 10) + " ack=1" + ts);
    EXPECT_EQ(s.sent.back().header.options.sack_count, timestamps ? 3 : 4);
  }
}

EXCHANGE(DuplicatesAreReported, "RFC 2883 4", "D-SACK: what came twice, first and once") {
  Script s{modern()};
  s.open("mss=1460 sackok");
  s.in("A 1:1001 ack=1");
  s.read();
  s.forget();
  s.in("A 1:1001 ack=1");
  s.out("A 1 ack=1001 sack=1-1001");
  s.in("A 2001:3001 ack=1");
  s.out("A 1 ack=1001 sack=2001-3001");
  s.in("A 2001:3001 ack=1");
  s.out("A 1 ack=1001 sack=2001-3001,2001-3001");
}

EXCHANGE(BlocksMayBeForgotten, "RFC 2018 8",
         "out of memory: what came early goes, and is not reported") {
  Config config = modern();
  config.receive_buffer = 20'000;
  config.out_of_order_most = 4;
  Script s{config};
  s.open("mss=1460 sackok");
  for (std::uint32_t i = 1; i < 10; ++i) s.in_data(i * 2'000, i * 2'000 + 1'000);
  EXPECT_LE(s.pools->pieces.used(), 4u);
  EXPECT_EQ(s.info().statistics.memory_drops, 5u);
}

// ---- without SACK

EXCHANGE(ThreeDuplicatesMeanLoss, "RFC 5681 3.2", "fast retransmit after the third duplicate ACK") {
  Script s{with_reno()};
  s.open_slowly("win=65535 mss=1000");
  send_train(s, 10);
  s.in("A 1 ack=1");
  s.in("A 1 ack=1");
  s.quiet();
  s.in("A 1 ack=1");
  s.out("A 1:1001");
  EXPECT_EQ(s.info().recovery, Recovery::fast);
  EXPECT_EQ(s.info().slow_start_threshold, 5'000u);
  s.in("A 1 ack=10001");
  EXPECT_EQ(s.info().recovery, Recovery::none);
  EXPECT_EQ(s.info().congestion_window, 5'000u);
}

EXCHANGE(APartialAckRepairsTheNext, "RFC 6582 3.2",
         "NewReno: a partial ACK sends the next hole at once") {
  Script s{with_reno()};
  s.open_slowly("win=65535 mss=1000");
  send_train(s, 10);
  for (int i = 0; i < 6; ++i) s.in("A 1 ack=1");
  s.out("A 1:1001");
  s.forget();
  s.in("A 1 ack=4001");
  s.out("A 4001:5001");
  EXPECT_EQ(s.info().recovery, Recovery::fast);
  s.in("A 1 ack=10001");
  EXPECT_EQ(s.info().recovery, Recovery::none);
}

EXCHANGE(AWindowUpdateIsNoDuplicate, "RFC 5681 2",
         "ACKs that change the window, or carry data, do not count") {
  Script s{with_reno()};
  s.open_slowly("win=65535 mss=1000");
  send_train(s, 5);
  for (std::uint32_t i = 1; i <= 5; ++i) s.in("A 1 ack=1 win=" + std::to_string(65'535 - i));
  for (std::uint32_t i = 0; i < 5; ++i)
    s.in("A " + std::to_string(1 + i * 10) + ":" + std::to_string(11 + i * 10) +
         " ack=1 win=65530");
  EXPECT_EQ(s.info().recovery, Recovery::none);
  s.read();
}

EXCHANGE(DuplicatesAfterATimeoutMeanNothing, "RFC 6582 3.2 step 2",
         "no fast retransmit for what the timeout sent again") {
  Script s{with_reno()};
  s.open_slowly("win=65535 mss=1000");
  send_train(s, 5);
  s.pass(1'000);
  s.forget();
  s.in("A 1 ack=1001");
  s.forget();
  for (int i = 0; i < 4; ++i) s.in("A 1 ack=1001");
  EXPECT_EQ(s.info().statistics.fast_recoveries, 0u);
}

// ---- with SACK

EXCHANGE(ABlockAheadMeansLoss, "RFC 8985 6.2 (RACK)",
         "sent later and arrived: after a quarter of the round trip it is lost") {
  Script s{modern()};
  s.open_slowly(sack_peer);
  send_train(s, 5);
  s.in("A 1 ack=1 sack=1001-2001");
  s.quiet();  // it may have been overtaken
  s.pass(20);
  s.quiet();
  s.pass(10);
  s.out("A 1:1001");
  EXPECT_EQ(s.info().recovery, Recovery::fast);
  s.in("A 1 ack=5001");
  EXPECT_EQ(s.info().recovery, Recovery::none);
}

EXCHANGE(ThreeBlocksAheadMeanLossAtOnce, "RFC 8985 6.2.1, RFC 6675 5",
         "three segments ahead and no reordering seen: at once") {
  Script s{modern()};
  s.open_slowly(sack_peer);
  send_train(s, 8);
  s.in("A 1 ack=1 sack=1001-2001");
  s.in("A 1 ack=1 sack=1001-3001");
  s.quiet();
  s.in("A 1 ack=1 sack=1001-4001");
  s.out("A 1:1001");
  s.quiet();
}

EXCHANGE(ReorderingIsCounted, "Linux tcpi_reordering", "by how many segments one was overtaken") {
  Script s{modern()};
  s.open_slowly(sack_peer);
  send_train(s, 10);
  EXPECT_EQ(s.info().reordering, 3u);
  s.in("A 1 ack=1 sack=8001-9001");
  s.in("A 1 ack=1 sack=3001-4001,8001-9001");
  EXPECT_EQ(s.info().reordering, 6u);
  EXPECT_TRUE(s.info().reordering_seen);
}

EXCHANGE(ReorderingIsNoLoss, "RFC 8985 6.2",
         "what was overtaken arrives in time: nothing is sent again") {
  Script s{modern()};
  s.open_slowly(sack_peer);
  send_train(s, 5);
  s.in("A 1 ack=1 sack=1001-2001");
  s.pass(10);
  s.in("A 1 ack=5001");
  s.pass(1'000);
  s.quiet();
  EXPECT_EQ(s.info().statistics.retransmissions, 0u);
}

EXCHANGE(ALostRetransmissionIsSentAgain, "RFC 8985 3.2", "found by time, without a timeout") {
  Script s{modern()};
  s.open_slowly(sack_peer);
  send_train(s, 8);
  s.in("A 1 ack=1 sack=1001-4001");
  s.out("A 1:1001");
  s.pass(1);
  s.write(1'000);
  s.write(1'000);
  s.forget();
  s.pass(99);
  s.in("A 1 ack=1 sack=1001-8001");
  s.forget();
  s.pass(5);
  s.in("A 1 ack=1 sack=1001-10001");  // sent after the retransmission
  s.pass(30);
  s.out("A 1:1001");
  EXPECT_EQ(s.info().statistics.timeouts, 0u);
}

EXCHANGE(SeveralHolesAreFilled, "RFC 6675 5", "in order, as the window allows") {
  Script s{modern()};
  s.open_slowly(sack_peer);
  send_train(s, 10);
  s.in("A 1 ack=1 sack=1001-2001,3001-4001,5001-10001");
  s.out("A 1:1001");
  s.in("A 1 ack=2001 sack=3001-4001,5001-10001");
  s.out("A 2001:3001");
  s.out("A 4001:5001");
  s.in("A 1 ack=10001");
  EXPECT_EQ(s.info().recovery, Recovery::none);
  EXPECT_EQ(s.info().statistics.retransmissions, 3u);
}

EXCHANGE(SendingGoesOnInProportion, "RFC 9937 6 (PRR)",
         "during recovery as much goes out as the threshold's share of what arrives") {
  Config config = modern();
  config.congestion = CongestionAlgorithm::new_reno;
  Script s{config};
  s.open_slowly(sack_peer);
  send_train(s, 10);
  s.write(20'000);
  s.in("A 1 ack=1 sack=1001-4001");
  s.out("A 1:1001");
  s.forget();
  for (std::uint32_t i = 5; i <= 10; ++i)
    s.in("A 1 ack=1 sack=1001-" + std::to_string(i * 1'000 + 1));
  const auto sent = s.count();
  EXPECT_GE(sent, 2u);
  EXPECT_LE(sent, 4u) << "half of the six that arrived, about";
  EXPECT_LE(s.info().in_flight, 10'000u);
}

EXCHANGE(TheTailIsProbed, "RFC 8985 7 (TLP)",
         "the last segments are lost: a probe after two round trips and 2 ms") {
  Script s{modern()};
  s.open_slowly(sack_peer);
  send_train(s, 5);
  s.in("A 1 ack=3001");
  s.pass(201);
  s.quiet();
  s.pass(1);
  s.out("A 4001:5001");
  EXPECT_EQ(s.info().statistics.probes, 1u);
  // The probe arrives: the one before it is lost.
  s.pass(100);
  s.in("A 1 ack=3001 sack=4001-5001");
  s.pass(30);
  s.out("A 3001:4001");
  EXPECT_EQ(s.info().statistics.timeouts, 0u);
}

EXCHANGE(AProbeCarriesNewData, "RFC 8985 7.3", "if there is any that the peer's window allows") {
  Script s{modern()};
  s.open_slowly(sack_peer);
  s.write(11'000);
  EXPECT_EQ(s.count(), 10u);
  s.forget();
  s.pass(202);
  s.out("A 10001:11001");
}

EXCHANGE(AProbeThatRepairedIsALoss, "RFC 8985 7.4",
         "one that only the probe made arrive: the window is reduced") {
  Config config = modern();
  config.congestion = CongestionAlgorithm::new_reno;
  Script s{config};
  s.open_slowly(sack_peer);
  send_train(s, 4);
  s.pass(202);
  s.out("A 3001:4001");
  s.write(1'000);
  s.forget();
  const auto before = s.info().congestion_window;
  s.in("A 1 ack=5001");
  EXPECT_LT(s.info().congestion_window, before);
}

EXCHANGE(AProbeThatWasNotNeededIsNone, "RFC 8985 7.4.2",
         "D-SACK tells that the original had arrived") {
  Script s{modern()};
  s.open_slowly(sack_peer);
  send_train(s, 4);
  s.pass(202);
  s.out("A 3001:4001");
  s.in("A 1 ack=4001");
  const auto before = s.info().congestion_window;
  s.in("A 1 ack=4001 sack=3001-4001");
  s.write(1'000);
  s.in("A 1 ack=5001");
  EXPECT_GE(s.info().congestion_window, before);
  EXPECT_EQ(s.info().statistics.duplicates_reported, 1u);
}

EXCHANGE(TheTimeoutFollowsTheProbe, "RFC 8985 7.3",
         "a lost probe: the retransmission timer, one RTO later") {
  Script s{modern()};
  s.open_slowly(sack_peer);
  send_train(s, 4);
  s.pass(105);
  s.out("A 3001:4001");
  const std::uint64_t rto = s.info().rto_ns;
  s.pass_ns(rto - 10 * millisecond);
  s.quiet();
  s.pass(10);
  s.out("A 1:1001");
  EXPECT_EQ(s.info().statistics.timeouts, 1u);
}

EXCHANGE(APeerMayForget, "RFC 2018 8",
         "reneging: at a timeout sacked data at the front is sent again") {
  Script s{modern()};
  s.open_slowly(sack_peer);
  send_train(s, 4);
  s.in("A 1 ack=1 sack=1001-4001");
  s.forget();
  s.in("A 1 ack=1001");  // the hole is filled, and what was behind it is gone
  s.pass(3'000);
  ASSERT_GE(s.count(), 1u);
  s.out("A 1001:2001");
}

EXCHANGE(NonsenseBlocksAreIgnored, "RFC 2018, hostile",
         "empty, backward, beyond what was sent, before what was acknowledged") {
  Script s{modern()};
  s.open_slowly(sack_peer);
  send_train(s, 4);
  s.in("A 1 ack=1 sack=2001-2001,3001-1001,3001-9001,4294960000-5");
  EXPECT_EQ(s.info().sacked, 0u);
  s.in("A 1 ack=1 sack=1101-1102,1203-1204,1305-1306,1407-1408");
  EXPECT_EQ(s.info().sacked, 4u);
}

EXCHANGE(DuplicatesWidenTheWindowOfReordering, "RFC 8985 6.2 step 4",
         "D-SACK: more patience for the next rounds") {
  Script s{modern()};
  s.open_slowly(sack_peer);
  send_train(s, 6);
  s.in("A 1 ack=1 sack=1001-2001");
  s.pass(30);
  s.out("A 1:1001");                 // 25 ms were too short
  s.in("A 1 ack=2001");              // the original
  s.in("A 1 ack=6001 sack=1-1001");  // and the retransmission
  send_train(s, 4);
  s.in("A 1 ack=6001 sack=7001-8001");
  s.pass(45);
  s.quiet();
  s.in("A 1 ack=10001");
  EXPECT_EQ(s.info().statistics.retransmissions, 1u);
}

// ---- congestion control

CongestionWindow grow(Congestion& policy, CongestionWindow window, std::uint64_t rtt,
                      std::uint64_t duration, std::uint64_t& now) {
  constexpr std::uint32_t mss = 1'000;
  for (const std::uint64_t until = now + duration; now < until; now += rtt)
    for (std::uint32_t left = window.size; left >= mss; left -= mss)
      policy.acked(window, {now, mss, mss, rtt});
  return window;
}

EXCHANGE(RenoGrowsByASegment, "RFC 5681 3.1", "congestion avoidance: one segment in a round trip") {
  NewReno policy;
  std::uint64_t now = second;
  const CongestionWindow start{100'000, 50'000};
  const auto window = grow(policy, start, 100 * millisecond, 10 * second, now);
  EXPECT_NEAR(window.size, 200'000, 2'000);
}

EXCHANGE(SlowStartDoubles, "RFC 5681 3.1",
         "slow start: twice in a round trip, up to the threshold") {
  NewReno reno;
  Cubic cubic;
  for (Congestion* policy : {static_cast<Congestion*>(&reno), static_cast<Congestion*>(&cubic)}) {
    std::uint64_t now = second;
    CongestionWindow window{10'000, 100'000};
    window = grow(*policy, window, 100 * millisecond, 100 * millisecond, now);
    EXPECT_EQ(window.size, 20'000u);
    window = grow(*policy, window, 100 * millisecond, 200 * millisecond, now);
    EXPECT_EQ(window.size, 80'000u);
  }
}

EXCHANGE(CubicReturnsToWhereItWas, "RFC 9438 4.2, 4.6",
         "0.7 of the window, and back after K seconds") {
  Cubic policy;
  std::uint64_t now = second;
  CongestionWindow window{1'000'000, 1'000'000};
  window.threshold = window.size = policy.congested(window, 1'000'000, 1'000);
  EXPECT_EQ(window.size, 700'000u);
  // K = cbrt((1000 - 700) / 0.4) = 9.09 s.
  auto early = grow(policy, window, 100 * millisecond, 3 * second, now);
  EXPECT_GT(early.size, 850'000u) << "steep at first";
  auto later = grow(policy, early, 100 * millisecond, 6 * second, now);
  EXPECT_NEAR(later.size, 1'000'000, 25'000);
  auto plateau = grow(policy, later, 100 * millisecond, 1 * second, now);
  EXPECT_LT(plateau.size - later.size, 30'000u) << "flat in the middle";
  auto last = grow(policy, plateau, 100 * millisecond, 10 * second, now);
  EXPECT_GT(last.size, 1'300'000u) << "and steep again";
}

EXCHANGE(CubicIsNoSlowerThanReno, "RFC 9438 4.3",
         "in small windows and short round trips as fast as Reno") {
  Cubic cubic;
  std::uint64_t now = second;
  CongestionWindow window{20'000, 20'000};
  window.threshold = window.size = cubic.congested(window, 20'000, 1'000);
  EXPECT_EQ(window.size, 14'000u);
  // alpha = 0.53: about 0.53 segments in each of 100 round trips, and more from W_max on.
  const auto grown = grow(cubic, window, 10 * millisecond, 1 * second, now);
  EXPECT_GT(grown.size, 14'000u + 50'000u);
}

EXCHANGE(CubicMakesRoom, "RFC 9438 4.7", "fast convergence: W_max below the last one") {
  Cubic policy;
  std::uint64_t now = second;
  CongestionWindow window{1'000'000, 1'000'000};
  window.threshold = window.size = policy.congested(window, 1'000'000, 1'000);
  window.threshold = window.size = policy.congested(window, 700'000, 1'000);
  EXPECT_EQ(window.size, 490'000u);
  // W_max is 0.85 * 700,000 now.
  const auto grown = grow(policy, window, 100 * millisecond, 6 * second, now);
  EXPECT_NEAR(grown.size, 595'000, 30'000);
}

TEST(Cubic, RootsAreRight) {
  EXPECT_EQ(cube_root(0), 0u);
  EXPECT_EQ(cube_root(26), 2u);
  EXPECT_EQ(cube_root(27), 3u);
  EXPECT_EQ(cube_root(~std::uint64_t{0}), 2'642'245u);
}

}  // namespace
}  // namespace lichen::net::tcp
