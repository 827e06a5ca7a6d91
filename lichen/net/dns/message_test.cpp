#include "lichen/net/dns/message.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "lichen/base/format.hpp"
#include "lichen/base/random.hpp"
#include "lichen/net/dns/cache.hpp"
#include "lichen/net/dns/test_message.hpp"
#include "lichen/net/ip/time.hpp"

namespace lichen::net::dns {
namespace {

Name name(std::string_view text) { return *Name::parse(text); }

std::string text(const Name& name) {
  char room[1'100];
  base::TextBuffer buffer{room};
  format_value(buffer, name);
  return std::string{buffer.text()};
}

// RFC 1035 section 2.3.4, 3.1; RFC 4343.
TEST(DnsName, Text) {
  EXPECT_EQ(text(name("WWW.Example.com")), "www.example.com");
  EXPECT_EQ(name("a.b."), name("A.B"));
  EXPECT_NE(name("a.b"), name("a.c"));
  for (const char* bad : {"", ".", "..", "a..b", "a b", ".a", "a..", "a/b"})
    EXPECT_FALSE(Name::parse(bad)) << bad;
  EXPECT_TRUE(Name::parse(std::string(63, 'a')));
  EXPECT_FALSE(Name::parse(std::string(64, 'a')));
  const std::string label = std::string(63, 'a') + ".";
  EXPECT_TRUE(Name::parse(label + label + label + std::string(61, 'a')));
  EXPECT_FALSE(Name::parse(label + label + label + std::string(62, 'a')));
}

TEST(DnsName, IsWithin) {
  EXPECT_TRUE(name("a.example.com").is_within(name("example.com")));
  EXPECT_TRUE(name("example.com").is_within(name("example.com")));
  EXPECT_TRUE(name("example.com").is_within(TestMessage::root()));
  EXPECT_FALSE(name("anexample.com").is_within(name("example.com")));
  EXPECT_FALSE(name("com").is_within(name("example.com")));
}

// RFC 1035 section 4.1.4: pointers, and those that would never end.
TEST(DnsName, Compression) {
  std::vector<std::byte> message(12);
  const auto put = [&](std::initializer_list<unsigned> bytes) {
    for (const unsigned byte : bytes) message.push_back(static_cast<std::byte>(byte));
  };
  put({3, 'c', 'o', 'm', 0});  // 12
  put({1, 'a', 0xc0, 12});     // 17
  put({1, 'b', 0xc0, 17});     // 21
  put({0xc0, 25});             // 25: to itself
  put({1, 'x', 0xc0, 27});     // 27: in a circle
  put({0xc0, 33, 0});          // 31: forwards
  put({0x40, 1});              // 34: no such kind of label
  put({5, 'a'});               // 36: cut off
  std::size_t at = 21;
  EXPECT_EQ(text(*Name::read(message, at)), "b.a.com");
  EXPECT_EQ(at, 25u);
  for (const std::size_t bad : {25u, 27u, 31u, 34u, 36u, 38u, 100u}) {
    at = bad;
    EXPECT_FALSE(Name::read(message, at)) << bad;
  }
  // As long as names can be, by many steps backwards.
  message.assign(12, {});
  put({0});
  for (int i = 0; i < 200; ++i) {
    const std::size_t before = i == 0 ? 12 : message.size() - 4;
    put({1, 'a', 0xc0 | static_cast<unsigned>(before >> 8), static_cast<unsigned>(before & 255)});
  }
  at = 13 + 126 * 4;
  EXPECT_TRUE(Name::read(message, at));
  at = 13 + 127 * 4;
  EXPECT_FALSE(Name::read(message, at));
}

const Question question{name("www.example.com"), Kind::ipv4};

// RFC 1035 section 4.1.2, RFC 6891 section 6.1.2.
TEST(DnsMessage, Query) {
  std::array<std::byte, most_query> room;
  const std::size_t size = write_query(room, 0x1234, question);
  EXPECT_EQ(size, 12u + 17 + 4 + 11);
  std::size_t at = 12;
  EXPECT_EQ(*Name::read(Bytes{room}.first(size), at), question.name);
  EXPECT_EQ(room[0], std::byte{0x12});
  EXPECT_EQ(room[2], std::byte{1});
}

TEST(DnsMessage, Addresses) {
  const auto message = TestMessage{7, question}
                           .address(question.name, {10, 0, 0, 1}, 300)
                           .address(question.name, {10, 0, 0, 2}, 100)
                           .address(name("evil.com"), {6, 6, 6, 6}, 9)
                           .bytes();
  const auto response = parse_response(message, 7, question);
  ASSERT_TRUE(response);
  EXPECT_EQ(response->outcome, Outcome::found);
  EXPECT_EQ(response->addresses.count, 2u);
  EXPECT_EQ(response->ttl_s, 100u);
  EXPECT_EQ(response->addresses.list[1], (wire::IpAddress{wire::Ipv4Address{{10, 0, 0, 2}}}));
}

// RFC 1034 section 3.6.2, 4.3.2: aliases in any order; the time is that of the shortest.
TEST(DnsMessage, Aliases) {
  const auto message = TestMessage{7, question}
                           .address(name("c.net"), {1, 2, 3, 4}, 500)
                           .alias(name("b.net"), name("c.net"), 50)
                           .alias(question.name, name("b.net"), 400)
                           .bytes();
  const auto response = parse_response(message, 7, question);
  ASSERT_TRUE(response);
  EXPECT_EQ(response->outcome, Outcome::found);
  EXPECT_EQ(response->ttl_s, 50u);
  EXPECT_EQ(response->aliases, 2u);
  // In a circle.
  const auto circle = TestMessage{7, question}
                          .alias(question.name, name("b.net"), 1)
                          .alias(name("b.net"), question.name, 1)
                          .bytes();
  EXPECT_EQ(parse_response(circle, 7, question)->outcome, Outcome::failed);
  const auto half = TestMessage{7, question}.alias(question.name, name("b.net"), 60).bytes();
  EXPECT_EQ(parse_response(half, 7, question)->outcome, Outcome::alias);
  EXPECT_EQ(parse_response(half, 7, question)->target, name("b.net"));
}

// RFC 2308 section 2, 5.
TEST(DnsMessage, Negative) {
  auto response = parse_response(
      TestMessage{7, question, 3}.authority(name("com"), 900, 60).bytes(), 7, question);
  EXPECT_EQ(response->outcome, Outcome::no_name);
  EXPECT_EQ(response->ttl_s, 60u);
  response =
      parse_response(TestMessage{7, question}.authority(name("com"), 30, 60).bytes(), 7, question);
  EXPECT_EQ(response->outcome, Outcome::no_data);
  EXPECT_EQ(response->ttl_s, 30u);
  // Of another zone: not to be remembered.
  response = parse_response(TestMessage{7, question, 3}.authority(name("net"), 900, 60).bytes(), 7,
                            question);
  EXPECT_EQ(response->outcome, Outcome::no_name);
  EXPECT_FALSE(response->ttl_s);
  EXPECT_EQ(parse_response(TestMessage{7, question, 2}.bytes(), 7, question)->outcome,
            Outcome::failed);
  EXPECT_EQ(parse_response(TestMessage{7, question, 5}.bytes(), 7, question)->outcome,
            Outcome::failed);
}

// RFC 5452 section 9.1: not the answer to this question.
TEST(DnsMessage, NotAnAnswer) {
  const auto good = TestMessage{7, question}.address(question.name, {1, 2, 3, 4}, 9).bytes();
  EXPECT_FALSE(parse_response(good, 8, question));
  EXPECT_FALSE(parse_response(good, 7, {name("www.example.net"), Kind::ipv4}));
  EXPECT_FALSE(parse_response(good, 7, {question.name, Kind::ipv6}));
  auto bad = good;
  bad[2] &= std::byte{0x7f};  // a query
  EXPECT_FALSE(parse_response(bad, 7, question));
  bad = good;
  bad[2] |= std::byte{2};
  EXPECT_EQ(parse_response(bad, 7, question)->outcome, Outcome::truncated);
  for (std::size_t size = 0; size < good.size(); ++size) {
    const std::vector<std::byte> cut{good.begin(),
                                     good.begin() + static_cast<std::ptrdiff_t>(size)};
    EXPECT_FALSE(parse_response(cut, 7, question));
  }
}

// Whatever is changed: inside the bytes, and in bounded time.
TEST(DnsMessage, Mutations) {
  const auto good = TestMessage{7, question}
                        .alias(question.name, name("b.net"), 400)
                        .address(name("b.net"), {1, 2, 3, 4}, 9)
                        .authority(name("net"), 900, 60)
                        .bytes();
  Random random{5};
  for (int i = 0; i < 20'000; ++i) {
    auto bad = good;
    for (std::uint64_t n = 1 + random.below(4); n > 0; --n)
      bad[12 + random.below(bad.size() - 12)] = static_cast<std::byte>(random());
    bad.resize(12 + random.below(bad.size() - 11));
    bad.shrink_to_fit();
    if (const auto response = parse_response(bad, 7, question)) {
      EXPECT_LE(response->addresses.count, Addresses::most);
      EXPECT_LE(response->aliases, most_aliases + 1);
    }
  }
}

TEST(DnsCache, TimesAndBounds) {
  Cache cache{1};
  Addresses one;
  one.count = 1;
  cache.add(question, one, 10, 0);
  EXPECT_NE(cache.find(question, 10 * ip::second - 1), nullptr);
  EXPECT_EQ(cache.find(question, 10 * ip::second), nullptr);
  EXPECT_EQ(cache.find({question.name, Kind::ipv6}, 0), nullptr);
  cache.add(question, {}, UINT32_MAX, 0);
  EXPECT_EQ(cache.find(question, 10'799 * ip::second)->count, 0u);
  EXPECT_EQ(cache.find(question, 10'800 * ip::second), nullptr);
  unsigned kept = 0;
  for (int i = 0; i < 2'000; ++i)
    cache.add({name("n" + std::to_string(i)), Kind::ipv4}, one, 99, 0);
  for (int i = 0; i < 2'000; ++i)
    kept += cache.find({name("n" + std::to_string(i)), Kind::ipv4}, 0) != nullptr;
  EXPECT_GT(kept, 200u);
  EXPECT_LE(kept, 256u);
  cache.clear();
  EXPECT_EQ(cache.find({name("n1999"), Kind::ipv4}, 0), nullptr);
}

}  // namespace
}  // namespace lichen::net::dns
