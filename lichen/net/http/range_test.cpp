#include "lichen/net/http/range.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lichen::net::http {
namespace {

using Outcome = RangeSet::Outcome;
using Ranges = std::vector<ByteRange>;

Ranges ranges(std::string_view value, std::uint64_t size) {
  const RangeSet set = RangeSet::parse(value, size);
  EXPECT_EQ(set.outcome(), Outcome::partial) << value;
  return {set.ranges().begin(), set.ranges().end()};
}
Outcome outcome(std::string_view value, std::uint64_t size) {
  return RangeSet::parse(value, size).outcome();
}

TEST(HttpRange, Reads_every_form) {
  EXPECT_EQ(ranges("bytes=0-499", 10'000), (Ranges{{0, 499}}));
  EXPECT_EQ(ranges("BYTES=9500-", 10'000), (Ranges{{9'500, 9'999}}));
  EXPECT_EQ(ranges("bytes=-500", 10'000), (Ranges{{9'500, 9'999}}));
  EXPECT_EQ(ranges("bytes=-99999999999999999999999", 100), (Ranges{{0, 99}}));
  EXPECT_EQ(ranges("bytes=0-99999999999999999999999", 100), (Ranges{{0, 99}}));
  EXPECT_EQ(ranges("bytes=500-600, 0-0 ,, -1", 10'000),
            (Ranges{{500, 600}, {0, 0}, {9'999, 9'999}}));
  EXPECT_EQ(ranges("bytes=20000-, 5-6", 10'000), (Ranges{{5, 6}}));
}

TEST(HttpRange, Joins_ranges_that_overlap_or_nearly_touch) {
  EXPECT_EQ(ranges("bytes=0-0,0-0,0-0,0-0", 10), (Ranges{{0, 0}}));
  EXPECT_EQ(ranges("bytes=0-99,150-200", 10'000), (Ranges{{0, 200}}));
  EXPECT_EQ(ranges("bytes=0-99,1000-1099,500-1010", 10'000), (Ranges{{0, 99}, {500, 1'099}}));
  EXPECT_EQ(ranges("bytes=0-99,1000-1099,50-1010,5000-", 10'000),
            (Ranges{{0, 1'099}, {5'000, 9'999}}));
  EXPECT_EQ(ranges("bytes=0-0,-1", ~std::uint64_t{0}),
            (Ranges{{0, 0}, {~std::uint64_t{0} - 1, ~std::uint64_t{0} - 1}}));
}

TEST(HttpRange, Is_unsatisfiable_behind_the_end) {
  EXPECT_EQ(outcome("bytes=100-", 100), Outcome::unsatisfiable);
  EXPECT_EQ(outcome("bytes=100-200,300-", 100), Outcome::unsatisfiable);
  EXPECT_EQ(outcome("bytes=-0", 100), Outcome::unsatisfiable);
  EXPECT_EQ(outcome("bytes=0-", 0), Outcome::unsatisfiable);
  EXPECT_EQ(outcome("bytes=-5", 0), Outcome::unsatisfiable);
}

TEST(HttpRange, Ignores_what_it_does_not_understand) {
  for (const std::string_view value :
       {"", "bytes", "bytes=", "bytes=,", "lines=0-1", "bytes=1", "bytes=2-1", "bytes=a-b",
        "bytes=0-1,x", "bytes=-", "bytes=0--1", "bytes= 0 - 1", "bytes=+1-2", "0-1"})
    EXPECT_EQ(outcome(value, 100), Outcome::whole) << value;
  std::string many = "bytes=0-0";
  for (int i = 1; i < 17; ++i)
    many += "," + std::to_string(i * 1'000) + "-" + std::to_string(i * 1'000);
  EXPECT_EQ(outcome(many, 100'000), Outcome::whole);
}

TEST(HttpRange, Writes_content_range) {
  EXPECT_EQ((ContentRange{{0, 99}, 1'000}).text(), "bytes 0-99/1000");
  EXPECT_EQ(ContentRange{1'000}.text(), "bytes */1000");
  const std::uint64_t most = ~std::uint64_t{0};
  EXPECT_EQ((ContentRange{{most - 1, most - 1}, most}).text(),
            "bytes 18446744073709551614-18446744073709551614/18446744073709551615");
}

TEST(HttpMultipart, Is_as_long_as_it_says) {
  const Multipart multipart{{0x0123456789abcdef, 0xfedcba9876543210}};
  EXPECT_EQ(multipart.content_type(),
            "multipart/byteranges; boundary=fedcba98765432100123456789abcdef");
  const Ranges parts{{0, 9}, {500, 599}};
  std::string body;
  for (const ByteRange part : parts) {
    std::array<char, Multipart::max_part_head> scratch;
    body += multipart.head(scratch, part, 1'000, "text/plain");
    body += std::string(part.size(), 'x');
  }
  body += multipart.end();
  EXPECT_EQ(body.size(), multipart.length(parts, 1'000, "text/plain"));
  EXPECT_TRUE(body.starts_with(
      "\r\n--fedcba98765432100123456789abcdef\r\nContent-Type: text/plain\r\n"
      "Content-Range: bytes 0-9/1000\r\n\r\nxxxxxxxxxx\r\n--fedcba98765432100123456789abcdef\r\n"));
  EXPECT_TRUE(body.ends_with("x\r\n--fedcba98765432100123456789abcdef--\r\n"));
}

}  // namespace
}  // namespace lichen::net::http
