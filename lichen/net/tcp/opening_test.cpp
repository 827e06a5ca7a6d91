// Opening and closing connections, resets and what does not belong: RFC 9293, RFC 5961, RFC 6298.
#include "lichen/net/tcp/test_script.hpp"

namespace lichen::net::tcp {
namespace {

EXCHANGE(OpensInThreeSteps, "RFC 9293 3.5", "an active opening: SYN, SYN-ACK, ACK") {
  Script s;
  s.connect();
  s.out("S 0 mss=1460 win=64240");
  s.state(State::syn_sent);
  s.in("SA 0 ack=1 win=65535 mss=1460");
  s.out("A 1 ack=1");
  s.state(State::established);
  EXPECT_TRUE(s.changes & change::connected);
  s.quiet();
}

EXCHANGE(AnswersAnOpening, "RFC 9293 3.5", "a passive opening: SYN, SYN-ACK, ACK") {
  Script s;
  s.accept("S 0 win=1000 mss=1000");
  s.out("SA 0 ack=1 mss=1460");
  s.state(State::syn_received);
  s.in("A 1 ack=1 win=1000");
  s.state(State::established);
  s.quiet();
  s.write(100);
  s.out("PA 1:101 ack=1");
}

EXCHANGE(BothOpenAtOnce, "RFC 9293 3.5 figure 7", "two SYNs cross: both ends get there") {
  Script s;
  s.connect();
  s.out("S 0");
  s.in("S 0 win=1000 mss=1000");
  s.out("SA 0 ack=1");
  s.state(State::syn_received);
  s.in("SA 0 ack=1 win=1000 mss=1000");
  s.state(State::established);
  s.write(10);
  s.out("PA 1:11 ack=1");
}

EXCHANGE(BothOpenAtOnceAndAnAckIsEnough, "RFC 9293 3.5", "crossed SYNs, completed by an ACK") {
  Script s;
  s.connect();
  s.in("S 0 win=1000 mss=1000");
  s.forget();
  s.in("A 1 ack=1");
  s.state(State::established);
}

EXCHANGE(AnOldSynAckIsReset, "RFC 9293 3.5 figure 8",
         "an ACK of something never sent gets a reset") {
  Script s;
  s.connect();
  s.out("S 0");
  s.in("SA 0 ack=100");
  s.out("R 100");
  s.state(State::syn_sent);
  s.in("SA 0 ack=1");
  s.state(State::established);
}

EXCHANGE(AResetOfOurSynIsARefusal, "RFC 9293 3.10.7.3", "RST with an acceptable ACK refuses") {
  Script s;
  s.connect();
  s.in("RA 0 ack=1");
  s.state(State::closed);
  EXPECT_EQ(s.connection->error(), Error::connection_refused);
  EXPECT_TRUE(s.changes & change::closed);
}

EXCHANGE(AResetWithoutOurNumberIsNone, "RFC 9293 3.10.7.3",
         "a RST in SYN-SENT must acknowledge it") {
  Script s;
  s.connect();
  s.forget();
  s.in("R 0");
  s.in("RA 0 ack=5");
  s.in("A 0 ack=1");
  s.state(State::syn_sent);
  s.quiet();
}

EXCHANGE(SynIsSentAgain, "RFC 6298 2.1, 5.5", "after 1 s, 2 s, 4 s, ... and then given up") {
  Script s;
  s.connect();
  s.out("S 0");
  s.pass(999);
  s.quiet();
  s.pass(1);
  s.out("S 0");
  for (const std::uint64_t wait : {2, 4, 8, 16, 32}) {
    s.pass(wait * 1'000 - 1);
    s.quiet();
    s.pass(1);
    s.out("S 0 mss=1460");
  }
  s.pass(64'000);
  s.quiet();
  s.state(State::closed);
  EXPECT_EQ(s.connection->error(), Error::timed_out);
}

EXCHANGE(ALostSynMakesTheWindowSmall, "RFC 5681 3.1", "after a lost SYN: one segment at first") {
  Script s;
  s.connect();
  s.pass(1'000);
  s.forget();
  s.in("SA 0 ack=1 mss=1000");
  s.forget();
  s.write(5'000);
  s.out("A 1:1001");
  s.quiet();
}

EXCHANGE(SynAckIsSentAgain, "RFC 9293 3.10.7.4, RFC 6298", "by time, and for a second SYN") {
  Script s;
  s.accept("S 0");
  s.out("SA 0 ack=1");
  s.pass(1'000);
  s.out("SA 0 ack=1");
  s.in("S 0");
  s.out("SA 0 ack=1");
  s.pass(200'000);
  s.state(State::closed);
}

EXCHANGE(AWrongAckInSynReceivedIsReset, "RFC 9293 3.10.7.4 fifth",
         "RST with the number of the ACK") {
  Script s;
  s.accept("S 0");
  s.forget();
  s.in("A 1 ack=7");
  s.out("R 7");
  s.state(State::syn_received);
  s.in("A 1 ack=1");
  s.state(State::established);
}

EXCHANGE(AResetInSynReceivedEndsIt, "RFC 9293 3.10.7.4 second",
         "a passive opening goes without a word") {
  Script s;
  s.accept("S 0");
  s.forget();
  s.in("R 1");
  s.state(State::closed);
  s.quiet();
}

EXCHANGE(DataRidesOnTheHandshake, "RFC 9293 3.4", "data with the third ACK is taken") {
  Script s;
  s.accept("S 0");
  s.forget();
  s.in("PA 1:11 ack=1");
  s.state(State::established);
  EXPECT_EQ(s.read(), 10u);
}

EXCHANGE(TheFinOfTheHandshake, "RFC 9293 3.10.7.4", "ACK, data and FIN in one segment") {
  Script s;
  s.accept("S 0");
  s.forget();
  s.in("FPA 1:11 ack=1");
  s.state(State::close_wait);
  s.out("A 1 ack=12");
  EXPECT_EQ(s.read(), 10u);
  auto end = s.connection->receive();
  ASSERT_TRUE(end);
  EXPECT_TRUE(end->empty());
}

// ---- closing

EXCHANGE(ClosesFirst, "RFC 9293 3.6 figure 12", "FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT, gone") {
  Script s;
  s.open();
  s.shutdown();
  s.out("FA 1 ack=1");
  s.state(State::fin_wait_1);
  s.in("A 1 ack=2");
  s.state(State::fin_wait_2);
  s.in("FA 1 ack=2");
  s.out("A 2 ack=2");
  s.state(State::time_wait);
  s.pass(59'999);
  s.state(State::time_wait);
  s.pass(1);
  s.state(State::closed);
  EXPECT_EQ(s.connection->error(), Error::closed);
}

EXCHANGE(ClosesSecond, "RFC 9293 3.6 figure 12", "CLOSE-WAIT, LAST-ACK, gone") {
  Script s;
  s.open();
  s.in("FA 1 ack=1");
  s.out("A 1 ack=2");
  s.state(State::close_wait);
  EXPECT_TRUE(s.changes & change::readable);
  s.shutdown();
  s.out("FA 1 ack=2");
  s.state(State::last_ack);
  s.in("A 2 ack=2");
  s.state(State::closed);
}

EXCHANGE(BothCloseAtOnce, "RFC 9293 3.6 figure 13", "FINs cross: CLOSING, TIME-WAIT") {
  Script s;
  s.open();
  s.shutdown();
  s.out("FA 1 ack=1");
  s.in("FA 1 ack=1");
  s.out("A 2 ack=2");
  s.state(State::closing);
  s.in("A 2 ack=2");
  s.state(State::time_wait);
}

EXCHANGE(FinAndItsAckTogether, "RFC 9293 3.10.7.4 eighth",
         "FIN with the ACK of ours: straight to TIME-WAIT") {
  Script s;
  s.open();
  s.shutdown();
  s.forget();
  s.in("FA 1 ack=2");
  s.out("A 2 ack=2");
  s.state(State::time_wait);
}

EXCHANGE(SendsAfterThePeerHasClosed, "RFC 9293 3.6",
         "half-closed: data still flows the other way") {
  Script s;
  s.open();
  s.in("FA 1 ack=1");
  s.forget();
  s.write(100);
  s.out("PA 1:101 ack=2");
  s.in("A 2 ack=101");
  s.state(State::close_wait);
}

EXCHANGE(ReceivesAfterItHasClosed, "RFC 9293 3.6",
         "half-closed: data still arrives in FIN-WAIT-2") {
  Script s;
  s.open();
  s.shutdown();
  s.in("A 1 ack=2");
  s.forget();
  s.in("PA 1:101 ack=2");
  EXPECT_EQ(s.read(), 100u);
  s.in("FA 101 ack=2");
  s.state(State::time_wait);
}

EXCHANGE(FinWaitsForTheData, "RFC 9293 3.10.4", "FIN goes with the last of the data") {
  Script s;
  s.open("win=1000 mss=1000");
  s.write(1'500);
  s.out("A 1:1001");
  s.shutdown();
  s.state(State::fin_wait_1);
  s.quiet();
  s.in("A 1 ack=1001 win=1000");
  s.out("FPA 1001:1501");
  s.in("A 1 ack=1502");
  s.state(State::fin_wait_2);
}

EXCHANGE(FinIsSentAgain, "RFC 6298 5.4", "a lost FIN like lost data") {
  Script s;
  s.open();
  s.shutdown();
  s.out("FA 1 ack=1");
  s.pass(201);
  s.out("FA 1 ack=1");
  s.pass(400);
  s.out("FA 1 ack=1");
}

EXCHANGE(TheLastAckIsSentAgain, "RFC 9293 3.10.7.4 eighth",
         "a second FIN in TIME-WAIT: ACK, and the wait starts anew") {
  Script s;
  s.open();
  s.shutdown();
  s.in("FA 1 ack=2");
  s.forget();
  s.pass(50'000);
  s.in("FA 1 ack=2");
  s.out("A 2 ack=2");
  s.pass(59'999);
  s.state(State::time_wait);
  s.pass(1);
  s.state(State::closed);
}

EXCHANGE(AFinThatCameEarlyWaits, "RFC 9293 3.10.7.4",
         "FIN behind a gap is taken when the gap is filled") {
  Script s;
  s.open();
  s.in("FA 101 ack=1");
  s.out("A 1 ack=1");
  s.state(State::established);
  s.in("PA 1:101 ack=1");
  s.out("A 1 ack=102");
  s.state(State::close_wait);
  EXPECT_EQ(s.read(), 100u);
}

EXCHANGE(NothingIsBehindAFin, "RFC 9293 3.10.7.4, RFC 2018 8",
         "what came early and lies behind a FIN is forgotten with it") {
  Script s{modern()};
  s.open("win=65535 mss=1460 sackok ws=7");
  s.in("A 102:202 ack=1");
  s.out("A 1 ack=1 sack=102-202");
  s.in("FPA 1:101 ack=1");
  s.out("A 1 ack=102 nosack");
  s.state(State::close_wait);
  EXPECT_EQ(s.connection->broken(), nullptr);
  EXPECT_EQ(s.read(), 100u);
}

EXCHANGE(FinWait2EndsWithoutAnApp, "Linux tcp_fin_timeout",
         "the app has gone: not for ever in FIN-WAIT-2") {
  Script s;
  s.open();
  s.release();
  s.forget();
  s.in("A 1 ack=2");
  s.state(State::fin_wait_2);
  s.pass(60'000);
  s.state(State::closed);
}

EXCHANGE(UnreadDataMakesAReset, "RFC 2525 2.17", "closing with unread data resets") {
  Script s;
  s.open();
  s.in("PA 1:101 ack=1");
  s.forget();
  s.release();
  s.out("RA 1 ack=101");
  s.state(State::closed);
}

EXCHANGE(DataForNobodyMakesAReset, "RFC 9293 3.6.1, RFC 5961 3",
         "data after the app has gone: reset, with the number that the peer expects") {
  {
    Script s;
    s.open();
    s.release();
    s.out("FA 1 ack=1");
    s.in("PA 1:101 ack=2");
    s.out("R 2");
    s.state(State::closed);
  }
  // One that has not seen our FIN would only challenge a number behind it.
  Script s;
  s.open();
  s.release();
  s.out("FA 1 ack=1");
  s.in("PA 1:101 ack=1");
  s.out("R 1");
  s.state(State::closed);
}

EXCHANGE(AbortResets, "RFC 9293 3.10.5", "ABORT: RST with the next number") {
  Script s;
  s.open();
  s.write(10);
  s.forget();
  s.abort();
  s.out("RA 11 ack=1");
  s.state(State::closed);
  EXPECT_EQ(s.connection->write(s.now, {}).error(), Error::connection_reset);
}

// ---- what does not belong

EXCHANGE(AnExactResetEndsIt, "RFC 5961 3.2", "RST at RCV.NXT") {
  Script s;
  s.open();
  s.in("R 1");
  s.state(State::closed);
  EXPECT_EQ(s.connection->error(), Error::connection_reset);
  s.quiet();
}

EXCHANGE(AnInexactResetIsChallenged, "RFC 5961 3.2", "RST elsewhere in the window: challenge ACK") {
  Script s;
  s.open();
  s.in("R 2");
  s.out("A 1 ack=1");
  s.in("R 60000");
  s.out("A 1 ack=1");
  s.state(State::established);
}

EXCHANGE(AResetOutsideTheWindowIsNothing, "RFC 5961 3.2", "RST outside: silence") {
  Script s;
  s.open();
  s.in("R 70000");
  s.in("R 0");
  s.quiet();
  s.state(State::established);
}

EXCHANGE(ASynIsChallenged, "RFC 5961 4.2",
         "SYN in a synchronized state: challenge ACK, wherever it is") {
  Script s;
  s.open();
  s.in("S 1");
  s.out("A 1 ack=1");
  s.in("S 2000");
  s.out("A 1 ack=1");
  s.in("S 3000000");
  s.out("A 1 ack=1");
  s.state(State::established);
}

EXCHANGE(AnAckOfTheFutureIsChallenged, "RFC 5961 5.2", "ACK beyond SND.NXT") {
  Script s;
  s.open();
  s.in("PA 1:11 ack=100");
  s.out("A 1 ack=1");
  EXPECT_EQ(s.read(), 0u);
}

EXCHANGE(AnAckOfThePastIsChallenged, "RFC 5961 5.2", "ACK older than the largest window") {
  Script s;
  s.open("win=1000 mss=1000");
  s.write(1'000);
  s.in("A 1 ack=1001 win=1000");
  s.forget();
  s.in("PA 1:11 ack=1");
  EXPECT_EQ(s.read(), 10u) << "old, but not too old";
  s.forget();
  Script t;
  t.open("win=1000 mss=1000");
  t.in("PA 1:11 ack=4294960000");
  t.out("A 1 ack=1");
  EXPECT_EQ(t.read(), 0u);
}

EXCHANGE(ChallengesAreLimited, "RFC 5961 7", "so many in a second, and again in the next") {
  Script s;
  s.open();
  for (int i = 0; i < 100; ++i) s.in("R 5");
  EXPECT_EQ(s.count(), s.config.challenge_acks);
  s.forget();
  s.pass(1'000);
  s.in("R 5");
  s.out("A 1 ack=1");
}

EXCHANGE(ASegmentOutsideTheWindowIsAnswered, "RFC 9293 3.10.7.4 first",
         "old data: ACK; beyond the window: ACK") {
  Script s;
  s.open();
  s.in("PA 1:101 ack=1");
  s.read();
  s.forget();
  s.in("PA 1:101 ack=1");
  s.out("A 1 ack=101");
  s.in("PA 70000:70100 ack=1");
  s.out("A 1 ack=101");
  EXPECT_EQ(s.read(), 0u);
}

EXCHANGE(EmptySegmentsOutsideAreAnsweredSeldom, "RFC 9293 3.10.7.4, RFC 5961 7",
         "no storm of ACKs between two ends that disagree") {
  Script s;
  s.open();
  for (int i = 0; i < 50; ++i) s.in("A 0 ack=1");
  EXPECT_EQ(s.count(), 1u);
  s.forget();
  s.pass(500);
  s.in("A 0 ack=1");
  s.out("A 1 ack=1");
}

EXCHANGE(ASegmentWithoutAckIsDropped, "RFC 9293 3.10.7.4 fifth", "no ACK bit: no effect") {
  Script s;
  s.open();
  s.in("P 1:11");
  s.in(". 1");
  s.quiet();
  EXPECT_EQ(s.read(), 0u);
}

EXCHANGE(UrgentDataIsData, "RFC 6093", "the urgent pointer changes nothing") {
  Script s;
  s.open();
  s.in("UPA 1:11 ack=1 urg=5");
  EXPECT_EQ(s.read(), 10u);
  s.state(State::established);
}

EXCHANGE(NumbersWrapWhileOpening, "RFC 9293 3.4", "initial numbers at the end of the circle") {
  Script s{plain(), 0xffff'ffff, 0xffff'fffe};
  s.open();
  s.write(10);
  s.out("PA 1:11 ack=1");
  s.in("PA 1:11 ack=11");
  EXPECT_EQ(s.read(), 10u);
  s.shutdown();
  s.in("FA 11 ack=12");
  s.state(State::time_wait);
}

EXCHANGE(TheOptionsAreThoseOfLinux, "RFC 9293 3.2, Linux",
         "MSS, SACK permitted, timestamps, window scale") {
  Script s{Config{}};
  s.connect();
  s.out("S 0 win=64240 mss=1460 sackok ts=1000,0 ws=7");
  s.in("SA 0 ack=1 win=65160 mss=1460 sackok ts=5,1000 ws=7");
  s.out("A 1 ack=1 ts=1000,5 win=502");
}

EXCHANGE(WhatIsNotOfferedIsNotUsed, "RFC 7323 2.2, 3.2, RFC 2018 2",
         "a peer without options gets none") {
  Script s{Config{}};
  s.accept("S 0 win=1000");
  s.out("SA 0 ack=1 nots win=64240");
  s.in("A 1 ack=1 win=1000");
  s.write(2'000);
  s.out("A 1:537 nots");  // RFC 9293, MUST-15
  EXPECT_FALSE(s.info().timestamps || s.info().sack);
  EXPECT_EQ(s.info().send_scale + s.info().receive_scale, 0);
}

EXCHANGE(AnUnreachablePeerIsNamed, "RFC 5927 4, RFC 1122 4.2.3.9",
         "ICMP errors are soft: told when time runs out") {
  Script s;
  s.connect();
  s.connection->unreachable(s.now, Seq{s.iss});
  s.state(State::syn_sent);
  s.pass(200'000);
  EXPECT_EQ(s.connection->error(), Error::unreachable);
}

}  // namespace
}  // namespace lichen::net::tcp
