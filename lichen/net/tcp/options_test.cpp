// Timestamps, ECN and the path: RFC 7323, RFC 3168, RFC 1191, RFC 8201, RFC 5927.
#include "lichen/net/tcp/test_script.hpp"

namespace lichen::net::tcp {
namespace {

// ---- timestamps

EXCHANGE(AnOldTimestampIsRefused, "RFC 7323 5.3 R1 (PAWS)",
         "a segment older than TS.Recent: ACK, and nothing of it taken") {
  Script s{with_timestamps()};
  s.open("mss=1460 ts=100,1000");
  s.in("PA 1:11 ack=1 ts=100,1000");
  EXPECT_EQ(s.read(), 10u);
  s.forget();
  s.in("PA 11:21 ack=1 ts=99,1000");
  s.out("A 1 ack=11");
  EXPECT_EQ(s.read(), 0u);
  EXPECT_EQ(s.info().statistics.paws_drops, 1u);
}

EXCHANGE(AnOldTimestampDoesNotSaveFromAReset, "RFC 7323 5.2", "RST is not subject to PAWS") {
  Script s{with_timestamps()};
  s.open("mss=1460 ts=100,1000");
  s.in("R 1 ts=1,0");
  s.state(State::closed);
}

EXCHANGE(TimestampsExpire, "RFC 7323 5.5", "after 24 days of silence TS.Recent means nothing") {
  Script s{with_timestamps()};
  s.open("mss=1460 ts=100,1000");
  s.pass(25ull * 24 * 3'600 * 1'000);
  s.in("PA 1:11 ack=1 ts=4294960000,0");
  EXPECT_EQ(s.read(), 10u);
}

EXCHANGE(ASegmentWithoutTimestampIsTaken, "RFC 7323 3.2, Linux", "some path has lost them") {
  Script s{with_timestamps()};
  s.open("mss=1460 ts=100,1000");
  s.in("PA 1:11 ack=1");
  s.out("A 1 ack=11 ts=1000,100");
  EXPECT_EQ(s.read(), 10u);
}

EXCHANGE(ASegmentWithoutTimestampIsDropped, "RFC 7323 3.2",
         "where they are required, once agreed: all but RST have them") {
  Config config = with_timestamps();
  config.timestamps_required = true;
  Script s{config};
  s.open("mss=1460 ts=100,1000");
  s.in("PA 1:11 ack=1");
  s.quiet();
  EXPECT_EQ(s.read(), 0u);
}

EXCHANGE(ASecondSynIsEchoed, "RFC 7323 4.3 (3)",
         "the answer to a SYN that was sent again has its timestamp, not that of the first") {
  Script s{with_timestamps()};
  s.accept("S 0 ts=100,0");
  s.out("SA 0 ack=1 ts=1000,100");
  s.pass(300);
  s.in("S 0 ts=400,0");
  s.out("SA 0 ack=1 ts=1300,400");
  s.in("S 0 ts=99,0");
  s.out("SA 0 ack=1 ts=1300,400");
}

EXCHANGE(AnAnswerToAnEarlierSynIsNoMeasurement, "RFC 6298 5.7, RFC 7323 4",
         "who answers may have answered for long: 3 s are waited, as when nothing is known") {
  Script s{with_timestamps()};
  s.connect();
  s.pass(1'000 + 2'000 + 4'000);
  s.forget();
  s.in("SA 0 ack=1 mss=1460 ts=100,1000");
  EXPECT_EQ(s.info().rto_ns, 3 * second);
}

EXCHANGE(AnAnswerToTheLastSynIsAMeasurement, "RFC 7323 4.1",
         "its echo tells when the SYN was sent that it answers") {
  Script s{with_timestamps()};
  s.connect();
  s.pass(1'000 + 2'000 + 4'000);
  s.pass(50);
  s.forget();
  s.in("SA 0 ack=1 mss=1460 ts=100,8000");
  EXPECT_EQ(s.info().rtt_ns, 50 * millisecond);
}

EXCHANGE(TheEchoIsOfTheSegmentAtTheEdge, "RFC 7323 4.3",
         "a segment behind a gap does not change TS.Recent") {
  Script s{with_timestamps()};
  s.open("mss=1460 ts=100,1000");
  s.in("PA 11:21 ack=1 ts=105,1000");
  s.out("A 1 ack=1 ts=1000,100");
  s.in("PA 1:11 ack=1 ts=103,1000");
  s.out("A 1 ack=21 ts=1000,103");
  EXPECT_EQ(s.read(), 20u);
}

// ---- ECN

EXCHANGE(EcnIsAgreedWhenAsked, "RFC 3168 6.1.1",
         "SYN with ECE and CWR: SYN-ACK with ECE, data with ECT") {
  Script s;
  s.accept("SEW 0");
  s.out("SAE 0 ack=1");
  s.in("A 1 ack=1");
  EXPECT_TRUE(s.info().ecn);
  s.write(10);
  s.out("PA 1:11 ect");
  s.pass(300);
  EXPECT_EQ(s.sent.front().ecn, wire::Ecn::not_capable) << "6.1.5: not what is sent again";
}

EXCHANGE(EcnIsAskedFor, "RFC 3168 6.1.1", "our SYN with ECE and CWR; without an answer without") {
  Config config = plain();
  config.ecn = EcnMode::request;
  Script s{config};
  s.connect();
  s.out("SEW 0");
  s.pass(1'000);
  s.out("SEW 0");
  s.pass(2'000);
  s.out("S 0");
  s.in("SAE 0 ack=1");
  EXPECT_TRUE(s.info().ecn);
}

EXCHANGE(MarksAreEchoed, "RFC 3168 6.1.3", "CE: ECE on every ACK until CWR") {
  Script s;
  s.accept("SEW 0");
  s.in("A 1 ack=1");
  s.forget();
  s.in("PA 1:11 ack=1 ce");
  s.out("AE 1 ack=11");
  s.in("PA 11:21 ack=1 ect");
  s.out("AE 1 ack=21");
  s.in("PAW 21:31 ack=1 ect");
  s.out("A 1 ack=31");
  EXPECT_EQ(s.read(), 30u);
}

EXCHANGE(AnEchoReducesTheWindowOnce, "RFC 3168 6.1.2",
         "ECE: less window, CWR on new data, once a round trip") {
  Script s{with_reno()};
  s.accept("SEW 0 win=65535 mss=1000");
  s.in("A 1 ack=1");
  s.write(30'000);
  EXPECT_EQ(s.count(), 11u);
  s.forget();
  s.in("AE 1 ack=1001");
  EXPECT_EQ(s.info().congestion_window, 4'500u);
  s.in("AE 1 ack=2001");
  EXPECT_EQ(s.info().congestion_window, 4'500u);
  s.in("A 1 ack=9001");
  s.out("AW 10001:11001 ect");
  s.out("A 11001:12001 ect");
  EXPECT_EQ(s.info().statistics.congestion_marks, 1u);
}

// ---- the path

EXCHANGE(TheSegmentFollowsThePath, "RFC 1191 6, RFC 8201 5.4",
         "a smaller path MTU: smaller segments, sent again at once") {
  Script s;
  s.open();
  s.write(3'000);
  s.forget();
  s.connection->path_mtu(s.now, 1'040, Seq{s.iss + 1});
  s.connection->flush(s.now);
  s.out("A 1:1001");
  s.in("A 1 ack=1001");
  s.out("A 1001:2001");
  s.out("PA 2001:3001");
  EXPECT_EQ(s.info().send_mss, 1'000u);
}

EXCHANGE(ALieAboutThePathIsNotBelieved, "RFC 5927 7",
         "a message about nothing in flight, or absurd") {
  Script s;
  s.open();
  s.write(3'000);
  s.forget();
  s.connection->path_mtu(s.now, 1'000, Seq{s.iss + 5'000});
  EXPECT_EQ(s.info().send_mss, 1'460u);
  s.connection->path_mtu(s.now, 68, Seq{s.iss + 1});
  EXPECT_EQ(s.info().send_mss, 512u) << "no less than 552 bytes a packet";
}

EXCHANGE(TheDeviceCutsSegments, "segmentation offload",
         "one call for many segments, in whole ones") {
  Config config = modern();
  config.largest_burst = 65'000;
  Script s{config};
  s.open("win=65535 mss=1460 sackok ws=7");
  s.write(7'000);
  ASSERT_EQ(s.count(), 1u);
  EXPECT_EQ(s.sent.front().payload.size(), 7'000u);
  EXPECT_EQ(s.sent.front().segment_size, 1'460u);
  s.forget();
  s.in("A 1 ack=1461");
  s.in("A 1 ack=1461 sack=4381-5841");
  s.in("A 1 ack=1461 sack=4381-7001");
  ASSERT_GE(s.count(), 1u);
  EXPECT_EQ(s.sent.front().header.sequence - s.iss, 1'461u);
}

}  // namespace
}  // namespace lichen::net::tcp
