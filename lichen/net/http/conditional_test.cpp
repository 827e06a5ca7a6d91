#include "lichen/net/http/conditional.hpp"

#include <gtest/gtest.h>

#include <string>

namespace lichen::net::http {
namespace {

constexpr std::int64_t modified = 784'111'777;  // Sun, 06 Nov 1994 08:49:37 GMT
constexpr std::string_view same = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr std::string_view earlier = "Sun, 06 Nov 1994 08:49:36 GMT";
constexpr Validators current{.tag = {.opaque = "\"a\""}, .modified = modified};
constexpr Validators weak{.tag = {.opaque = "\"a\"", .weak = true}, .modified = modified};

struct Request {
  std::string text;
  RequestHead head;

  explicit Request(std::string_view fields, std::string_view method = "GET")
      : text{std::string{method} + " / HTTP/1.1\r\nHost: h\r\n" + std::string{fields} +
             "\r\n\r\n"} {
    EXPECT_TRUE(parse_request(text, head).complete());
  }
};

Precondition check(std::string_view fields, const Validators& now = current,
                   std::string_view method = "GET") {
  const Request request{fields, method};
  return evaluate(request.head, now);
}
std::string since(std::string_view name, std::string_view date) {
  return std::string{name} + ": " + std::string{date};
}

TEST(HttpEntityTag, Parses) {
  EXPECT_EQ(EntityTag::parse("\"a\"")->opaque, "\"a\"");
  EXPECT_TRUE(EntityTag::parse("W/\"a\"")->weak);
  EXPECT_TRUE(EntityTag::parse("\"\""));
  for (const std::string_view text : {"", "a", "\"", "\"a", "w/\"a\"", "\"a\"b\"", "\"a b\"", "W/"})
    EXPECT_FALSE(EntityTag::parse(text)) << text;
}

TEST(HttpConditional, If_match_compares_strongly) {
  EXPECT_EQ(check("If-Match: \"a\"", current, "PUT"), Precondition::proceed);
  EXPECT_EQ(check("If-Match: \"b\", \"a\"", current, "PUT"), Precondition::proceed);
  EXPECT_EQ(check("If-Match: \"b\"", current, "PUT"), Precondition::failed);
  EXPECT_EQ(check("If-Match: W/\"a\"", current, "PUT"), Precondition::failed);
  EXPECT_EQ(check("If-Match: \"a\"", weak, "PUT"), Precondition::failed);
  EXPECT_EQ(check("If-Match: *", current, "PUT"), Precondition::proceed);
  EXPECT_EQ(check("If-Match: *", {.exists = false}, "PUT"), Precondition::failed);
}

TEST(HttpConditional, If_none_match_compares_weakly) {
  EXPECT_EQ(check("If-None-Match: \"a\""), Precondition::not_modified);
  EXPECT_EQ(check("If-None-Match: W/\"a\""), Precondition::not_modified);
  EXPECT_EQ(check("If-None-Match: \"a\"", weak), Precondition::not_modified);
  EXPECT_EQ(check("If-None-Match: \"b\"\r\nIf-None-Match: \"x,y\", \"a\""),
            Precondition::not_modified);
  EXPECT_EQ(check("If-None-Match: \"b\""), Precondition::proceed);
  EXPECT_EQ(check("If-None-Match: garbage, \"a\""), Precondition::proceed);
  EXPECT_EQ(check("If-None-Match: *"), Precondition::not_modified);
  EXPECT_EQ(check("If-None-Match: *", current, "PUT"), Precondition::failed);
  EXPECT_EQ(check("If-None-Match: *", {.exists = false}, "PUT"), Precondition::proceed);
}

TEST(HttpConditional, Dates) {
  EXPECT_EQ(check(since("If-Modified-Since", same)), Precondition::not_modified);
  EXPECT_EQ(check(since("If-Modified-Since", earlier)), Precondition::proceed);
  EXPECT_EQ(check(since("If-Modified-Since", same), current, "POST"), Precondition::proceed);
  EXPECT_EQ(check(since("If-Modified-Since", "yesterday")), Precondition::proceed);
  EXPECT_EQ(check(since("If-Unmodified-Since", same)), Precondition::proceed);
  EXPECT_EQ(check(since("If-Unmodified-Since", earlier)), Precondition::failed);
  EXPECT_EQ(check(since("If-Unmodified-Since", earlier), {.tag = current.tag}),
            Precondition::proceed);
}

TEST(HttpConditional, Keeps_the_order_of_precedence) {
  EXPECT_EQ(check("If-Match: \"a\"\r\n" + since("If-Unmodified-Since", earlier)),
            Precondition::proceed);
  EXPECT_EQ(check("If-None-Match: \"b\"\r\n" + since("If-Modified-Since", same)),
            Precondition::proceed);
  EXPECT_EQ(check("If-Match: \"b\"\r\nIf-None-Match: \"a\""), Precondition::failed);
  EXPECT_EQ(check("If-Match: \"a\"\r\nIf-None-Match: \"a\""), Precondition::not_modified);
}

TEST(HttpConditional, If_range_needs_a_strong_validator) {
  const auto honoured = [](std::string_view fields, const Validators& now, std::int64_t time) {
    const Request request{fields};
    return range_is_current(request.head, now, time);
  };
  EXPECT_TRUE(honoured("Range: bytes=0-", current, modified + 10));
  EXPECT_TRUE(honoured("If-Range: \"a\"", current, modified + 10));
  EXPECT_FALSE(honoured("If-Range: \"b\"", current, modified + 10));
  EXPECT_FALSE(honoured("If-Range: W/\"a\"", weak, modified + 10));
  EXPECT_TRUE(honoured(since("If-Range", same), current, modified + 10));
  EXPECT_FALSE(honoured(since("If-Range", same), current, modified));
  EXPECT_FALSE(honoured(since("If-Range", earlier), current, modified + 10));
  EXPECT_FALSE(honoured("If-Range: rubbish", current, modified + 10));
}

}  // namespace
}  // namespace lichen::net::http
