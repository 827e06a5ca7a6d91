#include "lichen/net/http/date.hpp"

#include <gtest/gtest.h>

#include <string>

namespace lichen::net::http {
namespace {

constexpr std::int64_t example = 784'111'777;

TEST(HttpDate, Writes) {
  EXPECT_EQ(DateText{example}.text(), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(DateText{0}.text(), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(DateText{-1}.text(), "Wed, 31 Dec 1969 23:59:59 GMT");
  EXPECT_EQ(DateText{1'709'210'096}.text(), "Thu, 29 Feb 2024 12:34:56 GMT");
  EXPECT_EQ(DateText{INT64_MAX}.text(), "Fri, 31 Dec 9999 23:59:59 GMT");
  EXPECT_EQ(DateText{INT64_MIN}.text(), "Sat, 01 Jan 0000 00:00:00 GMT");
}

TEST(HttpDate, Reads_all_three_formats) {
  EXPECT_EQ(parse_date("Sun, 06 Nov 1994 08:49:37 GMT"), example);
  EXPECT_EQ(parse_date("Sunday, 06-Nov-94 08:49:37 GMT", example), example);
  EXPECT_EQ(parse_date("Sun Nov  6 08:49:37 1994"), example);
  EXPECT_EQ(parse_date("Wed Nov 16 08:49:37 1994"), example + 10 * 86'400);
}

TEST(HttpDate, Takes_a_short_year_as_past_when_it_is_far_ahead) {
  const std::int64_t now = *parse_date("Sat, 21 Nov 2026 00:00:00 GMT");
  EXPECT_EQ(parse_date("Sunday, 06-Nov-94 08:49:37 GMT", now), example);
  EXPECT_EQ(parse_date("Saturday, 06-Nov-60 08:49:37 GMT", now),
            parse_date("Sat, 06 Nov 2060 08:49:37 GMT"));
  EXPECT_EQ(parse_date("Saturday, 06-Nov-77 08:49:37 GMT", now),
            parse_date("Sat, 06 Nov 1977 08:49:37 GMT"));
}

TEST(HttpDate, Reads_what_it_writes) {
  for (std::int64_t t = -62'000'000'000; t < 253'000'000'000; t += 86'399 * 331)
    ASSERT_EQ(parse_date(DateText{t}.text()), t);
}

TEST(HttpDate, Refuses_the_rest) {
  for (const std::string_view text :
       {"", "Sun", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT",
        "Xyz, 06 Nov 1994 08:49:37 GMT", "Sun, 06 anF 1994 08:49:37 GMT",
        "Sun, -6 Nov 1994 08:49:37 GMT", "Sun Nov 6 08:49:37 1994", "784111777"})
    EXPECT_EQ(parse_date(text), std::nullopt) << text;
}

}  // namespace
}  // namespace lichen::net::http
