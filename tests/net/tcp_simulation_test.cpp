// Streams over a link that loses, doubles, damages, delays and reorders: each arrives whole, or the
// connection fails with a reason. A seed that does not is printed and can be run alone with
// LICHEN_TCP_SEED; LICHEN_TCP_SEEDS says how many are run, LICHEN_TCP_FIRST_SEED from where.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "tests/net/tcp_pair.hpp"

namespace lichen::net::tcp {
namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

Config some_config(Random& random) {
  Config config;
  config.timestamps = random.chance(0.7);
  config.sack = random.chance(0.8);
  config.window_scaling = random.chance(0.8);
  config.no_delay = random.chance(0.5);
  config.pacing = random.chance(0.2);
  config.congestion =
      random.chance(0.5) ? CongestionAlgorithm::cubic : CongestionAlgorithm::new_reno;
  config.ecn = static_cast<EcnMode>(random.below(3));
  config.largest_burst = random.chance(0.3) ? 65'000 : 0;
  config.receive_buffer = static_cast<std::uint32_t>(4'000 + random.below(200'000));
  config.send_buffer = static_cast<std::uint32_t>(4'000 + random.below(200'000));
  if (random.chance(0.3)) config.receive_buffer_most = config.send_buffer_most = 0;
  config.out_of_order_most = static_cast<std::uint32_t>(1 + random.below(200));
  config.time_wait = second;
  return config;
}

PairOptions some_options(std::uint64_t seed) {
  Random random{seed};
  PairOptions options;
  options.seed = seed;
  options.first_config = some_config(random);
  options.second_config = some_config(random);
  options.first_bytes = random.below(random.chance(0.2) ? 200'000 : 30'000);
  options.second_bytes = random.below(random.chance(0.2) ? 200'000 : 30'000);
  options.slow_reader = random.chance(0.2);
  auto& link = options.link;
  const std::uint64_t delay = 1 + random.below(100 * millisecond);
  link.latency = {delay, delay + random.below(delay)};
  link.bits_per_second = 1'000'000 + random.below(1'000'000'000);
  link.queue_bytes = 10'000 + random.below(200'000);
  link.largest_packet = 1'600;
  const auto rate = [&](std::uint32_t most) {
    return random.chance(0.5) ? static_cast<std::uint32_t>(random.below(most)) : 0;
  };
  link.lost = rate(300'000);
  link.doubled = rate(100'000);
  link.damaged = rate(50'000);
  link.overtaken = rate(200'000);
  link.overtaken_by = {0, 1 + random.below(2 * delay)};
  return options;
}

TEST(TcpSimulation, StreamsArriveWholeOrFailWithAReason) {
  const std::uint64_t only = from_environment("LICHEN_TCP_SEED", 0);
  const std::uint64_t seeds = only != 0 ? 1 : from_environment("LICHEN_TCP_SEEDS", 2'000);
  const std::uint64_t first = only != 0 ? only : from_environment("LICHEN_TCP_FIRST_SEED", 1);
  std::map<std::string, int> reasons;
  std::uint64_t whole = 0;
  std::uint64_t packets = 0;
  std::uint64_t damaged = 0;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    Pair pair{some_options(seed)};
    const PairResult result = pair.run();
    packets += pair.first.packets + pair.second_end.packets;
    for (const PairEnd* end : {&pair.first, &pair.second_end}) {
      damaged += end->frame_errors;
      for (const std::uint64_t drop : end->drops) damaged += drop;
      ASSERT_EQ(end->wrong, "") << "seed " << seed;
    }
    if (result.whole) {
      ++whole;
      continue;
    }
    ++reasons[result.reason];
    // Where much is lost a connection may give up, or wait for long: what was sent twice is no
    // measurement without timestamps, so the timeout stays where back-off has brought it (Karn).
    const bool slow =
        !pair.options.first_config.timestamps || !pair.options.second_config.timestamps;
    const bool allowed = pair.options.link.lost > 150'000 &&
                         (result.reason == "timed_out" || result.reason == "connection_reset" ||
                          (slow && result.reason == "it takes too long"));
    ASSERT_TRUE(allowed) << "seed " << seed << ": " << result.reason << ", "
                         << pair.options.link.lost << " of a million lost";
  }
  RecordProperty("whole", static_cast<int>(whole));
  if (only == 0) EXPECT_GT(whole, seeds - seeds / 50);
  if (only == 0) EXPECT_GT(damaged, seeds / 10) << "the links do damage";
  std::printf("%llu streams both ways whole, %llu packets, %llu damaged", (unsigned long long)whole,
              (unsigned long long)packets, (unsigned long long)damaged);
  for (const auto& [reason, count] : reasons) std::printf(", %d %s", count, reason.c_str());
  std::printf("\n");
}

// RFC 5961, RFC 7323 section 5, RFC 9293 section 3.4.1: packets that have lost their way and
// return, and segments of somebody who sees nothing, cost time at most.
TEST(TcpSimulation, NobodyElseEndsAStream) {
  const std::uint64_t first = from_environment("LICHEN_TCP_FIRST_SEED", 1);
  const std::uint64_t seeds = from_environment("LICHEN_TCP_SEEDS", 500);
  std::uint64_t forged = 0;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    PairOptions options = some_options(seed);
    options.meddled = 200'000;
    options.link.lost = std::min(options.link.lost, 50'000u);
    Pair pair{options};
    const PairResult result = pair.run();
    forged += pair.forged;
    ASSERT_TRUE(result.whole) << "seed " << seed << ": " << result.reason;
  }
  EXPECT_GT(forged, seeds * 5);
}

TEST(TcpSimulation, TheSameSeedIsTheSameRun) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Pair a{some_options(seed)};
    Pair b{some_options(seed)};
    const PairResult first = a.run();
    const PairResult second = b.run();
    EXPECT_EQ(first.took, second.took);
    EXPECT_EQ(a.first.packets, b.first.packets);
  }
}

// With little memory for flights, pieces and chunks things take longer, and work.
TEST(TcpSimulation, LittleMemoryIsEnough) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    PairOptions options = some_options(seed);
    options.pool_most = 8;
    options.link.lost = std::min(options.link.lost, 50'000u);
    Pair pair{options};
    const PairResult result = pair.run();
    ASSERT_TRUE(result.whole) << "seed " << seed << ": " << result.reason;
  }
}

// A clean link of 100 Mb/s and 20 ms: the window must open until it is full.
TEST(TcpSimulation, FillsALink) {
  for (const auto algorithm : {CongestionAlgorithm::new_reno, CongestionAlgorithm::cubic}) {
    PairOptions options;
    options.first_config.congestion = algorithm;
    options.first_bytes = 20'000'000;
    options.link.latency = {10 * millisecond, 10 * millisecond};
    options.link.bits_per_second = 100'000'000;
    options.link.largest_packet = 1'600;
    Pair pair{options};
    const PairResult result = pair.run();
    ASSERT_TRUE(result.whole) << result.reason;
    const double seconds = static_cast<double>(result.took) / 1e9;
    EXPECT_LT(seconds, 2.4) << "1.68 s are the limit of the link";
  }
}

// A link of 400 Mb/s and 100 ms, on which 5 MB are on their way: buffers that begin with as much as
// Linux's fill it; were they to stay as they are, it would take 30 s.
TEST(TcpSimulation, BuffersGrowUntilALongLinkIsFull) {
  PairOptions options;
  options.first_bytes = 20'000'000;
  options.link.latency = {50 * millisecond, 50 * millisecond};
  options.link.bits_per_second = 400'000'000;
  options.link.queue_bytes = 4'000'000;
  options.link.largest_packet = 1'600;
  options.app_chunk = 100'000;
  options.first_config.send_buffer_most = 12 * 1024 * 1024;
  options.second_config.receive_buffer_most = 12 * 1024 * 1024;
  options.first_config.largest_burst = 60'000;
  Pair pair{options};
  const PairResult result = pair.run();
  ASSERT_TRUE(result.whole) << result.reason;
  const double seconds = static_cast<double>(result.took) / 1e9;
  EXPECT_LT(seconds, 2) << "0.5 s are the limit of the link, and slow start takes one";
  EXPECT_GT(pair.second_end.connection->receive_buffer(), 3'000'000u);
  EXPECT_GT(pair.first.connection->send_buffer(), 3'000'000u);
}

// 1 % of loss on a link of 10 Mb/s and 20 ms: found and repaired without waiting for timeouts.
TEST(TcpSimulation, LossIsRepairedWithoutTimeouts) {
  std::uint64_t timeouts = 0;
  std::uint64_t recoveries = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    PairOptions options;
    options.seed = seed;
    options.first_bytes = 2'000'000;
    options.link.latency = {10 * millisecond, 10 * millisecond};
    options.link.bits_per_second = 10'000'000;
    options.link.largest_packet = 1'600;
    options.link.lost = 10'000;
    Pair pair{options};
    const PairResult result = pair.run();
    ASSERT_TRUE(result.whole) << result.reason;
    timeouts += pair.first.connection->statistics().timeouts;
    recoveries += pair.first.connection->statistics().fast_recoveries;
  }
  EXPECT_GT(recoveries, 100u);
  EXPECT_LT(timeouts, recoveries / 10);
}

// Reordering alone must not be taken for loss for long.
TEST(TcpSimulation, ReorderingIsNotTakenForLoss) {
  std::uint64_t again = 0;
  std::uint64_t undone = 0;
  std::uint64_t packets = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    PairOptions options;
    options.seed = seed;
    options.first_bytes = 2'000'000;
    options.link.latency = {10 * millisecond, 10 * millisecond};
    options.link.bits_per_second = 100'000'000;
    options.link.largest_packet = 1'600;
    options.link.queue_bytes = 4'000'000;  // so that nothing is lost
    options.link.overtaken = 50'000;
    options.link.overtaken_by = {0, 4 * millisecond};
    Pair pair{options};
    const PairResult result = pair.run();
    ASSERT_TRUE(result.whole) << result.reason;
    again += pair.first.connection->statistics().retransmissions;
    undone += pair.first.connection->statistics().undone;
    packets += pair.first.packets;
  }
  // Until it has been seen for the first time it looks like loss (RFC 8985 section 6.2.1).
  EXPECT_LT(again, packets / 50) << "of " << packets;
  EXPECT_GT(undone, 5u) << "and what it did to the window is undone";
}

}  // namespace
}  // namespace lichen::net::tcp
