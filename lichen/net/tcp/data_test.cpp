// Data: sending, windows, timers: RFC 9293, RFC 5681, RFC 6298, RFC 7323, RFC 3168.
#include "lichen/base/random.hpp"
#include "lichen/net/tcp/test_script.hpp"

namespace lichen::net::tcp {
namespace {

Config with_nagle() {
  Config config = plain();
  config.no_delay = false;
  return config;
}

// ---- sending

EXCHANGE(PushEndsAWrite, "RFC 9293 3.9.1.2, Linux", "PSH on the last segment of a write only") {
  Script s;
  s.open();
  s.write(4'000);
  s.out("A 1:1461");
  s.out("A 1461:2921");
  s.out("PA 2921:4001");
  EXPECT_EQ(s.count(), 0u);
}

EXCHANGE(TheInitialWindowIsTenSegments, "RFC 6928 2", "ten segments, then ACKs open the window") {
  Script s;
  s.open();
  s.write(30'000);
  EXPECT_EQ(s.count(), 10u);
  s.forget();
  s.in("A 1 ack=2921");
  EXPECT_EQ(s.count(), 4u) << "slow start: two for each acknowledged";
}

EXCHANGE(ASmallWriteWaits, "RFC 9293 3.7.4, RFC 1122 4.2.3.4",
         "Nagle: no second small segment unacknowledged") {
  Script s{with_nagle()};
  s.open();
  s.write(10);
  s.out("PA 1:11");
  s.write(10);
  s.write(10);
  s.quiet();
  s.in("A 1 ack=11");
  s.out("PA 11:31");
}

EXCHANGE(AFullSegmentDoesNotWait, "RFC 9293 3.7.4",
         "Nagle: full segments go, the rest waits (Minshall)") {
  Script s{with_nagle()};
  s.open();
  s.write(10);
  s.write(2'000);
  s.out("A 1:11");
  s.out("A 11:1471");
  s.quiet();
  s.in("A 1 ack=11");
  s.out("PA 1471:2011");
}

EXCHANGE(ALargeWriteIsNotHeldBack, "Minshall",
         "the rest of a large write goes although full segments fly") {
  Script s{with_nagle()};
  s.open();
  s.write(2'000);
  s.out("A 1:1461");
  s.out("PA 1461:2001");
}

EXCHANGE(ACorkHoldsBack, "Linux TCP_CORK", "only full segments while corked") {
  Script s;
  s.open();
  s.connection->set_cork(true);
  s.write(2'000);
  s.out("A 1:1461");
  s.quiet();
  s.connection->set_cork(false);
  s.write(10);
  s.out("PA 1461:2011");
}

EXCHANGE(ThePeersSegmentSizeIsKept, "RFC 9293 3.7.1", "no segment is larger than the peer's MSS") {
  Script s;
  s.open("win=65535 mss=700");
  s.write(1'500);
  s.out("A 1:701");
  s.out("A 701:1401");
  s.out("PA 1401:1501");
}

EXCHANGE(OptionsComeOutOfTheSegment, "RFC 6691 2", "timestamps take 12 bytes of the payload") {
  Script s{with_timestamps()};
  s.open("mss=1460 ts=7,0");
  s.write(3'000);
  s.out("A 1:1449 ts=1000,7");
  s.out("A 1449:2897");
}

// ---- windows

EXCHANGE(TheWindowIsKept, "RFC 9293 3.8.6", "nothing beyond the peer's window") {
  Script s;
  s.open("win=3000 mss=1460");
  s.write(10'000);
  s.out("A 1:1461");
  s.out("A 1461:2921");
  s.quiet();
  s.in("A 1 ack=2921 win=1460");
  s.out("A 2921:4381");
  s.quiet();
}

EXCHANGE(TheSenderIsNotSilly, "RFC 9293 3.8.6.2.1",
         "a small opening of the window is not used at once") {
  Script s;
  s.open("win=2920 mss=1460");
  s.write(10'000);
  s.forget();
  s.in("A 1 ack=2921 win=100");
  s.quiet();
  s.in("A 1 ack=2921 win=1460");
  s.out("A 2921:4381");
}

EXCHANGE(ASmallWindowIsUsedInTheEnd, "RFC 9293 3.8.6.2.1", "but after some time it is") {
  Script s;
  s.open("win=2920 mss=1460");
  s.write(10'000);
  s.forget();
  s.in("A 1 ack=2921 win=100");
  s.pass(199);
  s.quiet();
  s.pass(2);
  s.out("A 2921:3021");
}

EXCHANGE(AClosedWindowIsProbed, "RFC 9293 3.8.6.1", "after an RTO, with back-off, until it opens") {
  Script s;
  s.open("win=1000 mss=1000");
  s.write(2'000);
  s.out("A 1:1001");
  s.in("A 1 ack=1001 win=0");
  s.quiet();
  s.pass(201);
  s.out("A 1000 ack=1");
  s.in("A 1 ack=1001 win=0");
  s.pass(399);
  s.quiet();
  s.pass(2);
  s.out("A 1000 ack=1");
  s.in("A 1 ack=1001 win=1000");
  s.out("A 1001:2001");
}

EXCHANGE(AClosedWindowMayStayClosed, "RFC 9293 3.8.6.1",
         "a peer that answers may keep it closed for ever") {
  Script s;
  s.open("win=1000 mss=1000");
  s.write(2'000);
  s.in("A 1 ack=1001 win=0");
  s.forget();
  for (int i = 0; i < 100; ++i) {
    s.pass(120'000);
    EXPECT_LE(s.count(), 10u);
    s.forget();
    s.in("A 1 ack=1001 win=0");
  }
  s.state(State::established);
}

EXCHANGE(AClosedWindowEndsForAnOrphan, "Linux tcp_orphan_retries",
         "but not when the app has gone") {
  Script s;
  s.open("win=1000 mss=1000");
  s.write(2'000);
  s.in("A 1 ack=1001 win=0");
  s.release();
  for (int i = 0; i < 100 && s.connection->state() != State::closed; ++i) {
    s.pass(10'000);
    s.in("A 1 ack=1001 win=0");
  }
  s.state(State::closed);
}

EXCHANGE(APeerThatFallsSilentBehindAClosedWindow, "RFC 9293 3.8.3",
         "probes without an answer: timed out") {
  Script s;
  s.open("win=1000 mss=1000");
  s.write(2'000);
  s.in("A 1 ack=1001 win=0");
  s.pass(3'600'000);
  s.state(State::closed);
  EXPECT_EQ(s.connection->error(), Error::timed_out);
}

EXCHANGE(OurWindowCloses, "RFC 9293 3.8.6.2.2",
         "unread data closes the window; reading opens it, with an update") {
  Config config = plain();
  config.receive_buffer = 4'380;
  Script s{config};
  s.open("win=65535 mss=1460");
  s.in("A 1:1461 ack=1");
  s.out("A 1 ack=1461 win=2920");
  s.in("A 1461:2921 ack=1");
  s.out("A 1 ack=2921 win=1460");
  s.in("A 2921:4381 ack=1");
  s.out("A 1 ack=4381 win=0");
  s.in("A 4381:4382 ack=1");  // a probe
  s.out("A 1 ack=4381 win=0");
  EXPECT_EQ(s.read(), 4'380u);
  s.out("A 1 ack=4381 win=4380");
}

EXCHANGE(OurWindowDoesNotShrink, "RFC 9293 3.8.6", "the right edge never moves to the left") {
  Config config = modern();
  config.receive_buffer = 100'000;
  Script s{config};
  s.open("win=65535 mss=1460 ws=2");
  std::uint32_t edge = 0;
  Random random{7};
  std::uint32_t at = 1;
  for (int i = 0; i < 300; ++i) {
    const auto size = static_cast<std::uint32_t>(1 + random.below(1'460));
    s.in_data(at, at + size);
    at += size;
    if (random.chance(0.05)) s.read();
    while (!s.sent.empty()) {
      const auto& header = s.sent.front().header;
      const std::uint32_t now_edge = header.acknowledgment - s.peer_iss +
                                     (std::uint32_t{header.window} << s.info().receive_scale);
      EXPECT_GE(now_edge, edge);
      EXPECT_LE(now_edge, at + config.receive_buffer + 4);
      edge = std::max(edge, now_edge);
      s.sent.pop_front();
    }
    if (at + 1'460 > edge) s.read();
    s.forget();
  }
  s.read();
}

EXCHANGE(WindowsAreScaled, "RFC 7323 2.2, 2.3", "scaled after the SYNs, both ways") {
  Config config = plain();
  config.window_scaling = true;
  config.receive_buffer = 1024 * 1024;
  Script s{config};
  s.connect();
  s.out("S 0 win=64240 ws=5");
  s.in("SA 0 ack=1 win=100 mss=1000 ws=3");
  s.out("A 1 ack=1 win=32768");
  s.write(2'000);
  s.out("A 1:101");  // the window of a SYN is not scaled
  s.quiet();
  s.in("A 1 ack=101 win=125");
  s.out("A 101:1101");
  s.quiet();
}

EXCHANGE(AScaleAbove14Is14, "RFC 7323 2.3", "a larger shift is taken as 14") {
  Config config = plain();
  config.window_scaling = true;
  Script s{config};
  s.accept("S 0 ws=14");
  EXPECT_EQ(s.info().send_scale, 14);
}

EXCHANGE(AShrunkWindowIsSurvived, "RFC 9293 3.8.6",
         "the peer takes back window: what is out is kept, nothing more sent") {
  Script s;
  s.open("win=3000 mss=1000");
  s.write(5'000);
  EXPECT_EQ(s.count(), 3u);
  s.forget();
  s.in("A 1 ack=1001 win=500");
  s.quiet();
  s.pass(201);
  s.out("A 1001:2001");  // the first may be tried
  s.in("A 1 ack=3001 win=3000");
  s.out("A 3001:4001");
}

// ---- retransmission

EXCHANGE(DataIsSentAgain, "RFC 6298 2, 5",
         "after the RTO, with back-off, until it is acknowledged") {
  Script s;
  s.open();
  s.write(100);
  s.out("PA 1:101");
  for (const std::uint64_t wait : {200, 400, 800, 1'600}) {
    s.pass(wait - 1);
    s.quiet();
    s.pass_ns(millisecond + 20);  // the round trip is a nanosecond
    s.out("PA 1:101");
  }
  s.in("A 1 ack=101");
  s.pass(10'000);
  s.quiet();
  EXPECT_EQ(s.info().retries, 0u);
}

EXCHANGE(TheRoundTripIsMeasured, "RFC 6298 2.2, 2.3",
         "SRTT and RTTVAR of the first and the next sample") {
  Script s;
  s.connect();
  s.pass(100);
  s.in("SA 0 ack=1 mss=1460");
  EXPECT_EQ(s.info().rtt_ns, 100 * millisecond);
  EXPECT_EQ(s.info().rtt_variation_ns, 50 * millisecond);
  EXPECT_EQ(s.info().rto_ns, 300 * millisecond);
  s.write(100);
  s.pass(180);
  s.in("A 1 ack=101");
  EXPECT_EQ(s.info().rtt_ns, 110 * millisecond);
  EXPECT_EQ(s.info().rtt_variation_ns, (50'000'000 - 12'500'000 + 20'000'000));
}

EXCHANGE(ARetransmissionIsNotMeasured, "RFC 6298 3 (Karn)", "no sample from what was sent twice") {
  Script s;
  s.open();
  const auto rtt = s.info().rtt_ns;
  s.write(100);
  s.pass(900);
  s.in("A 1 ack=101");
  EXPECT_EQ(s.info().rtt_ns, rtt);
}

EXCHANGE(TimestampsMeasureRetransmissions, "RFC 7323 4.1", "but the echo tells which one it was") {
  Script s{with_timestamps()};
  s.open("mss=1460 ts=7,1000");
  s.write(100);
  s.pass(250);  // sent again at 200
  s.in("A 1 ack=101 ts=8,1200");
  EXPECT_GT(s.info().rtt_ns, 1 * millisecond);
  EXPECT_LT(s.info().rtt_ns, 50 * millisecond);
}

EXCHANGE(TheWindowCollapsesAtATimeout, "RFC 5681 3.1 (4)",
         "one segment, half of the flight as threshold") {
  Script s{with_reno()};
  s.open("win=65535 mss=1000");
  s.write(10'000);
  s.forget();
  s.pass(201);
  s.out("A 1:1001");
  s.quiet();
  EXPECT_EQ(s.info().congestion_window, 1'000u);
  EXPECT_EQ(s.info().slow_start_threshold, 5'000u);
  s.in("A 1 ack=1001");
  EXPECT_EQ(s.count(), 2u) << "slow start goes on with what is lost";
  s.out("A 1001:2001");
  s.out("A 2001:3001");
  // A second timeout of other data halves again, one of the same does not.
  s.pass(201);
  s.pass(400);
  s.pass(800);
  EXPECT_EQ(s.info().recovery, Recovery::timeout);
}

EXCHANGE(APeerThatNeverAcknowledges, "RFC 9293 3.8.3 (R2)",
         "15 retransmissions, more than 100 s, then timed out") {
  Script s;
  s.open();
  s.write(100);
  const auto from = s.now;
  while (s.connection->state() != State::closed) s.pass(1'000);
  EXPECT_EQ(s.connection->error(), Error::timed_out);
  EXPECT_EQ(s.count(), 16u);
  EXPECT_GT(s.now - from, 100 * second);
  EXPECT_LT(s.now - from, 3'600 * second);
}

EXCHANGE(TheUserTimeoutEndsIt, "RFC 5482, RFC 9293 3.9.1",
         "without progress for so long: timed out") {
  Script s;
  s.open();
  s.connection->set_user_timeout(5 * second);
  s.write(100);
  s.pass(4'999);
  s.state(State::established);
  s.pass(1);
  s.state(State::closed);
  EXPECT_EQ(s.connection->error(), Error::timed_out);
}

EXCHANGE(TheUserTimeoutEndsAClosedWindow, "RFC 5482", "also behind a window that stays closed") {
  Script s;
  s.open("win=1000 mss=1000");
  s.connection->set_user_timeout(5 * second);
  s.write(2'000);
  s.in("A 1 ack=1001 win=0");
  for (int i = 0; i < 60 && s.connection->state() != State::closed; ++i) {
    s.pass(100);
    s.in("A 1 ack=1001 win=0");
  }
  s.state(State::closed);
}

EXCHANGE(IdlePeersAreProbed, "RFC 1122 4.2.3.6, RFC 9293 3.8.4",
         "keep-alive: probes, and the end without answers") {
  Script s;
  s.open();
  s.connection->set_keep_alive(s.now, 10 * second);
  s.pass(9'999);
  s.quiet();
  s.pass(1);
  s.out("A 0 ack=1");
  s.in("A 1 ack=1");
  s.pass(9'999);
  s.quiet();
  s.pass(1);
  s.out("A 0 ack=1");
  s.pass(9 * 75'000);
  EXPECT_EQ(s.count(), 9u) << "eight more probes and a reset";
  s.state(State::closed);
  EXPECT_EQ(s.connection->error(), Error::timed_out);
}

EXCHANGE(AKeepAliveProbeIsAnswered, "RFC 9293 3.8.4", "a segment before the window gets an ACK") {
  Script s;
  s.open();
  s.in("A 0 ack=1");
  s.out("A 1 ack=1");
}

EXCHANGE(TheWindowShrinksWhileIdle, "RFC 5681 4.1",
         "after idling longer than an RTO: back to the initial window") {
  Script s;
  s.open("win=65535 mss=1000");
  s.write(10'000);
  s.forget();
  for (std::uint32_t ack = 1'001; ack <= 10'001; ack += 1'000) s.in_ack(ack);
  EXPECT_EQ(s.info().congestion_window, 20'000u) << "grows while it is used";
  s.pass(10'000);
  s.write(30'000);
  EXPECT_EQ(s.count(), 10u);
}

// ---- a device and memory that have no room

EXCHANGE(OutputMayHaveNoRoom, "flow", "nothing is lost when the device is full, it goes later") {
  Script s;
  s.open();
  s.set_blocked(true);
  s.write(1'000);
  s.in("PA 1:11 ack=1");
  s.quiet();
  EXPECT_TRUE(s.connection->blocked());
  s.set_blocked(false);
  s.connection->flush(s.now);
  s.out("PA 1:1001 ack=11");
  EXPECT_EQ(s.read(), 10u);
}

EXCHANGE(WithoutMemoryThingsWait, "memory",
         "write says so, segments are dropped, and later all goes on") {
  Script s;
  s.open();
  s.memory.refuses = true;
  s.in("PA 1:11 ack=1");
  s.out("A 1 ack=1");
  EXPECT_EQ(s.info().statistics.memory_drops, 1u);
  const std::byte byte{};
  EXPECT_TRUE(s.connection->write(s.now, {&byte, 1}).failed_with(Error::would_block));
  s.memory.refuses = false;
  s.in("PA 1:11 ack=1");
  EXPECT_EQ(s.read(), 10u);
  s.write(10);
  s.forget();
}

EXCHANGE(NumbersWrapInTheMiddle, "RFC 9293 3.4", "data across the end of the circle, both ways") {
  Script s{plain(), 0xffff'fc00, 0xffff'ff00};
  s.open("win=65535 mss=1000");
  s.write(5'000);
  s.forget();
  s.in("A 1 ack=5001");
  s.in("A 1:1001 ack=5001");
  s.in("A 1001:2001 ack=5001");
  EXPECT_EQ(s.read(), 2'000u);
  EXPECT_EQ(s.info().unacked, 0u);
}

}  // namespace
}  // namespace lichen::net::tcp
