// Receiving, and when what has come is acknowledged: RFC 9293, RFC 5681, and as Linux does it.
#include "lichen/net/tcp/test_script.hpp"

namespace lichen::net::tcp {
namespace {

Config with_delayed_acks() {
  Config config = plain();
  config.quick_acks = 0;
  return config;
}

EXCHANGE(EverySecondSegmentIsAcknowledged, "RFC 5681 4.2", "two full segments: ACK at once") {
  Script s{with_delayed_acks()};
  s.open();
  s.in("A 1:1461 ack=1");
  s.quiet();
  s.in("A 1461:2921 ack=1");
  s.out("A 1 ack=2921");
  EXPECT_EQ(s.read(), 2'920u);
}

EXCHANGE(AnAckIsDelayed, "RFC 9293 3.8.6.3, RFC 5681 4.2",
         "one segment: ACK within 40 ms, less than 500") {
  Script s{with_delayed_acks()};
  s.open();
  s.in("PA 1:101 ack=1");
  s.pass(39);
  s.quiet();
  s.pass(1);
  s.out("A 1 ack=101");
  EXPECT_EQ(s.read(), 100u);
}

EXCHANGE(AnAckRidesOnData, "RFC 9293 3.8.6.3", "data that goes anyway carries the ACK") {
  Script s{with_delayed_acks()};
  s.open();
  s.in("PA 1:101 ack=1");
  s.write(10);
  s.out("PA 1:11 ack=101");
  s.pass(100);
  s.quiet();
  s.read();
}

EXCHANGE(AYoungConnectionAcknowledgesAtOnce, "Linux quickack",
         "the first 16 segments are not delayed") {
  Script s;
  s.open();
  for (std::uint32_t i = 0; i < 17; ++i) {
    s.in("PA " + std::to_string(1 + i * 10) + ":" + std::to_string(11 + i * 10) + " ack=1");
    if (i < 16) s.out("A 1 ack=" + std::to_string(11 + i * 10));
  }
  s.quiet();
  EXPECT_EQ(s.read(), 170u);
}

EXCHANGE(AnswersCarryAcknowledgments, "Linux pingpong",
         "once an answer was sent within 40 ms, the next request is acknowledged by its answer") {
  Script s;
  s.open();
  s.pass(100);
  s.in("PA 1:11 ack=1");
  s.out("A 1 ack=11");
  s.read();
  s.write(10);
  s.out("PA 1:11 ack=11");
  for (std::uint32_t i = 1; i < 5; ++i) {
    const std::string at = std::to_string(1 + i * 10), end = std::to_string(11 + i * 10);
    s.in("PA " + at + ":" + end + " ack=" + at);
    s.read();
    s.quiet();
    s.write(10);
    s.out("PA " + at + ":" + end + " ack=" + end);
  }
}

EXCHANGE(ALateAnswerEndsTheTurns, "Linux pingpong",
         "when the delay has passed without one, acknowledgments go at once again") {
  Script s;
  s.open();
  s.write(10);
  s.out("PA 1:11");
  s.in("PA 1:11 ack=11");
  s.quiet();
  s.pass(40);
  s.out("A 11 ack=11");
  s.in("PA 11:21 ack=11");
  s.out("A 11 ack=21");
  s.read();
}

EXCHANGE(WhatTheAppHasTakenIsAcknowledged, "Linux tcp_cleanup_rbuf",
         "less than a full segment, and no answer expected: at once when the app has it") {
  Script s{with_delayed_acks()};
  s.open();
  s.pass(100);
  s.in("A 1:1461 ack=1");
  s.read();
  s.flush();
  s.quiet();
  s.pass(40);
  s.out("A 1 ack=1461");
  s.in("PA 1461:1471 ack=1");
  s.quiet();
  s.read();
  s.flush();
  s.out("A 1 ack=1471");
}

EXCHANGE(AfterSilenceAcksAreQuick, "Linux quickack",
         "a peer that sends again after more than a timeout has a small window") {
  Script s;
  s.open();
  s.in_data(1, 1461);
  for (std::uint32_t i = 1; i < 18; ++i) s.in_data(1 + i * 1'460, 1'461 + i * 1'460);
  s.read();
  s.flush();
  s.pass(1'000);
  s.forget();
  s.in_data(1 + 18 * 1'460, 1'461 + 18 * 1'460);
  s.out("A 1 ack=27741");
  s.read();
}

EXCHANGE(ADuplicateMakesAcksQuick, "Linux quickack",
         "who sends again what has arrived has waited for an acknowledgment") {
  Script s;
  s.open();
  s.write(10);
  s.forget();
  s.in("PA 1:11 ack=11");
  s.quiet();
  s.in("PA 1:11 ack=11");
  s.out("A 11 ack=11");
  s.in("PA 11:21 ack=11");
  s.out("A 11 ack=21");
  s.read();
}

EXCHANGE(AGapIsTold, "RFC 5681 4.2", "out of order: a duplicate ACK at once, for each") {
  Script s;
  s.open();
  s.in("A 1461:2921 ack=1");
  s.out("A 1 ack=1");
  s.in("A 2921:4381 ack=1");
  s.out("A 1 ack=1");
  s.in("A 1:1461 ack=1");
  s.out("A 1 ack=4381");
  EXPECT_EQ(s.read(), 4'380u);
}

EXCHANGE(OverlapsAreCut, "RFC 9293 3.10.7.4 seventh", "old, new and overlapping bytes: each once") {
  Script s;
  s.open();
  s.in("A 1:101 ack=1");
  s.in("A 51:151 ack=1");   // half of it is old
  s.in("A 201:301 ack=1");  // behind a gap
  s.in("A 251:351 ack=1");  // overlaps that at its end
  s.in("A 171:211 ack=1");  // and at its front
  s.in("A 161:361 ack=1");  // covers all of it
  EXPECT_EQ(s.read(), 150u);
  s.in("A 101:171 ack=1");
  EXPECT_EQ(s.read(), 210u);
}

EXCHANGE(SmallPiecesArePutTogether, "memory", "many small segments do not keep many buffers") {
  Script s;
  s.open();
  for (std::uint32_t at = 1; at < 2'001; ++at) {
    s.in("PA " + std::to_string(at) + ":" + std::to_string(at + 1) + " ack=1");
    if (at % 1'000 == 0) EXPECT_EQ(s.read(), 1'000u);
  }
}

}  // namespace
}  // namespace lichen::net::tcp
