#include "lichen/net/wire/tcp.hpp"

#include <gtest/gtest.h>

#include <array>

#include "lichen/base/random.hpp"
#include "lichen/net/wire/ipv4.hpp"
#include "lichen/net/wire/test_bytes.hpp"

namespace lichen::net::wire {
namespace {

const IpAddress from = *IpAddress::parse("10.0.0.1");
const IpAddress to = *IpAddress::parse("10.0.0.2");

Bytes written(const TcpHeader& header, const Bytes& payload = {}) {
  std::array<std::byte, TcpHeader::max_size> room;
  const auto bytes = std::span{room}.first(write(room, header));
  Sum sum = pseudo_header(from, to, protocol::tcp, bytes.size() + payload.size());
  sum.add(payload);
  seal<TcpHeader>(bytes, sum);
  Bytes all{bytes.begin(), bytes.end()};
  all.insert(all.end(), payload.begin(), payload.end());
  return all;
}

Verify verify_for(const Bytes& bytes) {
  return pseudo_header(from, to, protocol::tcp, bytes.size());
}

TcpHeader syn() {
  TcpHeader header{.from_port = 1024,
                   .to_port = 80,
                   .sequence = 0x01020304,
                   .flags = tcp_flag::syn,
                   .window = 64'240};
  header.options.mss = 1460;
  header.options.sack_permitted = true;
  header.options.has_timestamps = true;
  header.options.timestamp = 0xaabbccdd;
  header.options.window_scale = 7;
  return header;
}

TEST(Tcp, WritesTheOptionsOfASynAsLinuxDoes) {
  const Bytes bytes = written(syn());
  EXPECT_EQ(Bytes(bytes.begin() + 20, bytes.end()),
            hex("020405b4 0402080a aabbccdd 00000000 01030307"));
  EXPECT_EQ(Bytes(bytes.begin(), bytes.begin() + 16), hex("0400 0050 01020304 00000000 a002 faf0"));
}

TEST(Tcp, ReadsWhatItWrites) {
  TcpHeader header{.from_port = 80,
                   .to_port = 1024,
                   .sequence = 7,
                   .acknowledgment = 9,
                   .flags = tcp_flag::ack | tcp_flag::psh | tcp_flag::urg,
                   .window = 1,
                   .urgent = 3};
  header.options.has_timestamps = true;
  header.options.timestamp = 5;
  header.options.timestamp_echo = 6;
  header.options.sack_count = 3;
  header.options.sack = {{{1, 2}, {3, 4}, {0xfffffff0, 5}}};
  const Bytes bytes = written(header, bytes_of_text("odd"));
  const auto segment = parse_tcp(bytes, verify_for(bytes));
  ASSERT_TRUE(segment);
  EXPECT_EQ(segment->from_port, 80);
  EXPECT_EQ(segment->to_port, 1024);
  EXPECT_EQ(segment->sequence, 7u);
  EXPECT_EQ(segment->acknowledgment, 9u);
  EXPECT_EQ(segment->flags, header.flags);
  EXPECT_EQ(segment->window, 1);
  EXPECT_EQ(segment->urgent, 3);
  EXPECT_EQ(segment->length(), 3u);
  EXPECT_EQ(segment->options.timestamp, 5u);
  EXPECT_EQ(segment->options.timestamp_echo, 6u);
  ASSERT_EQ(segment->options.sack_count, 3);
  EXPECT_EQ(segment->options.sack, header.options.sack);
}

TEST(Tcp, ReadsTheOptionsOfASyn) {
  for (const bool timestamps : {true, false}) {
    TcpHeader header = syn();
    header.options.has_timestamps = timestamps;
    const Bytes bytes = written(header);
    const auto segment = parse_tcp(bytes, verify_for(bytes));
    ASSERT_TRUE(segment);
    EXPECT_EQ(segment->options.mss, 1460);
    EXPECT_EQ(segment->options.window_scale, 7);
    EXPECT_TRUE(segment->options.sack_permitted);
    EXPECT_EQ(segment->options.has_timestamps, timestamps);
    EXPECT_EQ(segment->length(), 1u);
  }
}

Parsed<TcpSegment> with_options(std::string_view options) {
  Bytes bytes = hex("0400 0050 01020304 00000000 5002 faf0 0000 0000");
  const Bytes more = hex(options);
  bytes.insert(bytes.end(), more.begin(), more.end());
  bytes[12] = static_cast<std::byte>(bytes.size() / 4 << 4);
  return parse_tcp(bytes, Verify::done_by_device());
}

// RFC 9293 section 3.1 and MUST-7.
TEST(Tcp, TakesOptionsThatAreWellFormed) {
  EXPECT_EQ(with_options("0101 0204 05b4 0000")->options.mss, 0x5b4);
  EXPECT_EQ(with_options("fe04 abcd 0204 05b4")->options.mss, 0x5b4) << "unknown ones are skipped";
  EXPECT_EQ(with_options("0000 0000 0204 05b4")->options.mss, 0) << "nothing follows the end";
  EXPECT_EQ(with_options("0303 ff00")->options.window_scale, 14) << "RFC 7323 section 2.3";
  EXPECT_EQ(with_options("0000 0002")->options.mss, 0);
}

TEST(Tcp, TakesTheLastOfSeveralSackOptions) {
  const auto segment =
      with_options("0512 00000001 00000002 00000003 00000004 050a 00000005 00000006 00000000");
  ASSERT_TRUE(segment);
  ASSERT_EQ(segment->options.sack_count, 1);
  EXPECT_EQ(segment->options.sack, (decltype(segment->options.sack){{{5, 6}}}));
}

TEST(Tcp, RefusesOptionsThatAreNot) {
  for (const char* options :
       {"02000000", "02010000", "01010204", "01010102", "02030500", "03020000", "04030000",
        "080a000000000000", "05020000", "050b00000000000000000000"})
    EXPECT_EQ(with_options(options).error(), Drop::bad_option) << options;
}

TEST(Tcp, NamesWhyItDrops) {
  const Bytes good = written(syn(), bytes_of_text("abc"));
  for (std::size_t size = 0; size < 40; ++size)
    EXPECT_EQ(parse_tcp(std::span{good}.first(size), Verify::done_by_device()).error(),
              Drop::truncated);
  for (std::size_t i = 0; i < good.size(); ++i) {
    Bytes wrong = good;
    wrong[i] ^= std::byte{0x01};
    EXPECT_FALSE(parse_tcp(wrong, verify_for(wrong))) << i;
  }
  Bytes wrong = good;
  wrong[12] = std::byte{0x40};
  EXPECT_EQ(parse_tcp(wrong, Verify::done_by_device()).error(), Drop::bad_header_length);
  wrong = good;
  wrong[2] = wrong[3] = std::byte{0};
  EXPECT_EQ(parse_tcp(wrong, Verify::done_by_device()).error(), Drop::bad_port);
}

TEST(Tcp, LeavesTheSumToTheDevice) {
  std::array<std::byte, TcpHeader::max_size> room;
  const auto bytes = std::span{room}.first(write(room, syn()));
  seal_partial<TcpHeader>(bytes, pseudo_header(from, to, protocol::tcp, bytes.size()));
  // What virtio 1.2 section 5.1.6.2 has the device do from csum_start on.
  Sum sum;
  sum.add(bytes);
  base::store_big(bytes.subspan(TcpHeader::checksum_at), sum.checksum());
  const Bytes sent{bytes.begin(), bytes.end()};
  EXPECT_TRUE(parse_tcp(sent, verify_for(sent)));
}

}  // namespace
}  // namespace lichen::net::wire
