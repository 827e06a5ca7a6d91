// Reductions of the window that had no reason: RFC 5682 (F-RTO), RFC 3522 and RFC 4015 (Eifel), RFC
// 3708 (D-SACK), RFC 9438 section 4.9.
#include <gtest/gtest.h>

#include <string>

#include "lichen/net/tcp/test_script.hpp"

namespace lichen::net::tcp {
namespace {

constexpr const char* peer = "win=65535 mss=1000 sackok ws=7";
constexpr const char* plain_peer = "win=65535 mss=1000 ws=7";

Config without_probes() {
  Config config = modern();
  config.tail_loss_probes = false;
  return config;
}

// A round trip of 100 ms, ten segments of 1,000 bytes on their way, `more` bytes behind them.
void send_ten(Script& s, std::size_t more = 0, const char* to = peer) {
  s.open_slowly(to);
  for (int i = 0; i < 10; ++i) {
    s.write(1'000);
    s.pass(1);
  }
  EXPECT_EQ(s.count(), 10u);
  if (more > 0) s.write(more);
  s.forget();
}

// Nothing comes until the retransmission timer has run out.
void time_out(Script& s) {
  for (int ms = 0; ms < 2'000 && s.count() == 0; ++ms) s.pass(1);
  s.out("A 1:1001");
  s.quiet();
  EXPECT_EQ(s.info().recovery, Recovery::timeout);
  EXPECT_EQ(s.info().congestion_window, 1'000u);
}

EXCHANGE(ATimeoutThatCameTooEarlyIsUndone, "RFC 5682 3.1 (F-RTO), RFC 9438 4.9.1",
         "acknowledged, new data goes; what was sent once arrives: nothing more again, and the "
         "window as before") {
  Script s{without_probes()};
  send_ten(s, 5'000);
  time_out(s);
  s.in("A 1 ack=1001");
  s.out("A 10001:11001");
  s.out("A 11001:12001");
  s.quiet();
  s.in("A 1 ack=2001");
  EXPECT_EQ(s.info().recovery, Recovery::none);
  EXPECT_EQ(s.info().congestion_window, 11'000u) << "ten, and one that was acknowledged since";
  EXPECT_EQ(s.info().slow_start_threshold, CongestionWindow::unlimited);
  EXPECT_EQ(s.info().lost, 0u);
  EXPECT_EQ(s.info().statistics.undone, 1u);
  s.forget();
  s.in("A 1 ack=12001");
  s.forget();
  s.in("A 1 ack=15001");
  s.quiet();
  EXPECT_EQ(s.info().statistics.retransmissions, 1u);
}

EXCHANGE(ATimeoutIsUndoneByBlocks, "RFC 5682 3.1 (F-RTO)",
         "a block of what was sent once: it was not lost") {
  Script s{without_probes()};
  send_ten(s, 5'000);
  time_out(s);
  s.in("A 1 ack=1001 sack=2001-3001");
  EXPECT_EQ(s.info().recovery, Recovery::none);
  EXPECT_EQ(s.info().statistics.undone, 1u);
}

EXCHANGE(ATimeoutForALossIsNotUndone, "RFC 5682 3.1 (F-RTO)",
         "only the new data arrives: the rest is sent again") {
  Script s{without_probes()};
  send_ten(s, 5'000);
  time_out(s);
  s.in("A 1 ack=1001");
  s.forget();
  s.in("A 1 ack=1001 sack=10001-11001");
  s.out("A 1001:2001");
  EXPECT_EQ(s.info().recovery, Recovery::timeout);
  EXPECT_EQ(s.info().statistics.undone, 0u);
  EXPECT_EQ(s.info().slow_start_threshold, 7'000u);
}

EXCHANGE(ATimeoutIsUndoneWithoutSack, "RFC 5682 2.1 (F-RTO)",
         "two acknowledgments that move on, the second after new data: nothing more again") {
  Script s{without_probes()};
  send_ten(s, 5'000, plain_peer);
  time_out(s);
  s.in("A 1 ack=1001");
  s.out("A 10001:11001");
  s.out("A 11001:12001");
  s.quiet();
  s.in("A 1 ack=2001");
  EXPECT_EQ(s.info().recovery, Recovery::none);
  EXPECT_EQ(s.info().statistics.undone, 1u);
  EXPECT_EQ(s.info().lost, 0u);
  EXPECT_EQ(s.info().statistics.retransmissions, 1u);
  EXPECT_GE(s.info().congestion_window, 10'000u);
}

EXCHANGE(AFilledHoleUndoesNothing, "RFC 5682 2.1 step 2 (F-RTO)",
         "without SACK: the first acknowledgment covers more than was sent again, and then comes a "
         "duplicate: the rest is sent again") {
  Script s{without_probes()};
  send_ten(s, 5'000, plain_peer);
  time_out(s);
  s.in("A 1 ack=4001");  // the hole at the front is filled, there is another one
  EXPECT_EQ(s.info().recovery, Recovery::timeout);
  s.out("A 10001:11001");
  s.forget();
  s.in("A 1 ack=4001");
  s.out("A 4001:5001");
  EXPECT_EQ(s.info().recovery, Recovery::timeout);
  EXPECT_EQ(s.info().statistics.undone, 0u);
}

EXCHANGE(ADuplicateEndsTheLookForward, "RFC 5682 2.1 step 2a (F-RTO)",
         "without SACK: a duplicate before anything is acknowledged: as after any timeout") {
  Script s{without_probes()};
  send_ten(s, 5'000, plain_peer);
  time_out(s);
  s.in("A 1 ack=1");
  s.quiet();
  s.in("A 1 ack=1001");
  s.out("A 1001:2001");
  s.out("A 2001:3001");
  s.in("A 1 ack=2001");
  EXPECT_EQ(s.info().recovery, Recovery::timeout);
  EXPECT_EQ(s.info().statistics.undone, 0u);
}

EXCHANGE(WithoutNewDataTheRestIsSentAgain, "RFC 5682 3.1 step 2b",
         "nothing to look forward with: as after any timeout") {
  Script s{without_probes()};
  send_ten(s);
  time_out(s);
  s.in("A 1 ack=1001");
  s.out("A 1001:2001");
  s.out("A 2001:3001");
  s.quiet();
}

EXCHANGE(ASecondTimeoutIsUndoneWithTheFirst, "RFC 5682 3.1",
         "the window is what it was before the first") {
  Script s{without_probes()};
  send_ten(s, 5'000);
  time_out(s);
  time_out(s);
  s.in("A 1 ack=1001");
  s.forget();
  s.in("A 1 ack=2001");
  EXPECT_EQ(s.info().congestion_window, 11'000u);
  EXPECT_EQ(s.info().backoff, 0u);
}

EXCHANGE(AnEchoTellsOfTheOriginal, "RFC 3522 3.2, RFC 4015 (Eifel)",
         "an acknowledgment older than what was sent again: the timeout is undone at once") {
  Config config = without_probes();
  config.timestamps = true;
  config.forward_recovery = false;
  Script s{config};
  s.open_slowly("win=65535 mss=1012 sackok ws=7 ts=1,1000");
  const std::uint64_t sent = s.now / millisecond;
  s.write(10'000);
  s.forget();
  time_out(s);
  s.in("A 1 ack=1001 ts=2," + std::to_string(sent));
  EXPECT_EQ(s.info().recovery, Recovery::none);
  EXPECT_EQ(s.info().statistics.undone, 1u);
  EXPECT_GE(s.info().congestion_window, 10'000u);
  s.quiet();
}

EXCHANGE(AnEchoOfWhatWasSentAgainUndoesNothing, "RFC 3522 3.2 (Eifel)",
         "it arrived, so the first had been lost") {
  Config config = without_probes();
  config.timestamps = true;
  Script s{config};
  s.open_slowly("win=65535 mss=1012 sackok ws=7 ts=1,1000");
  s.write(10'000);
  s.forget();
  time_out(s);
  const std::uint64_t again = s.now / millisecond;
  s.pass(100);
  s.in("A 1 ack=1001 ts=2," + std::to_string(again));
  EXPECT_EQ(s.info().recovery, Recovery::timeout);
  EXPECT_EQ(s.info().statistics.undone, 0u);
}

EXCHANGE(DuplicatesUndoARecovery, "RFC 3708, RFC 2883 5",
         "all that was sent again had arrived: the window as before") {
  Script s{without_probes()};
  send_ten(s, 5'000);
  s.pass(90);
  s.in("A 1 ack=1 sack=1001-4001");
  EXPECT_EQ(s.info().recovery, Recovery::fast);
  s.forget();
  s.in("A 1 ack=10001");
  EXPECT_EQ(s.info().recovery, Recovery::none);
  EXPECT_LT(s.info().congestion_window, 8'000u);
  s.in("A 1 ack=10001 sack=1-1001");
  EXPECT_EQ(s.info().statistics.undone, 1u);
  EXPECT_GE(s.info().congestion_window, 10'000u);
  EXPECT_EQ(s.info().slow_start_threshold, CongestionWindow::unlimited);
}

EXCHANGE(OneDuplicateOfTwoUndoesNothing, "RFC 3708",
         "something else that was sent again was needed") {
  Script s{without_probes()};
  send_ten(s, 5'000);
  s.pass(90);
  s.in("A 1 ack=1 sack=2001-5001");
  s.in("A 1 ack=1 sack=2001-10001");
  EXPECT_EQ(s.info().recovery, Recovery::fast);
  EXPECT_EQ(s.info().statistics.retransmissions, 2u);
  s.in("A 1 ack=10001");
  s.in("A 1 ack=10001 sack=1-1001");
  EXPECT_EQ(s.info().statistics.undone, 0u);
  EXPECT_EQ(s.info().slow_start_threshold, 7'000u);
}

}  // namespace
}  // namespace lichen::net::tcp
