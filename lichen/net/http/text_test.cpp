#include "lichen/net/http/text.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "lichen/net/http/head_writer.hpp"
#include "lichen/net/http/media_type.hpp"
#include "lichen/net/http/scan.hpp"
#include "lichen/net/http/status.hpp"

namespace lichen::net::http {
namespace {

TEST(HttpText, Compares_without_case) {
  EXPECT_TRUE(equals("Content-Type", "cONTENT-tYPE"));
  EXPECT_FALSE(equals("a[", "a{"));
  EXPECT_FALSE(equals("a", "ab"));
}

TEST(HttpText, Takes_lists_apart) {
  std::string_view list = " a , ,\"b,\\\"c\" ;q=1,, d ";
  EXPECT_EQ(next_element(list), "a");
  EXPECT_EQ(next_element(list), "\"b,\\\"c\" ;q=1");
  EXPECT_EQ(next_element(list), "d");
  EXPECT_EQ(next_element(list), "");
  EXPECT_TRUE(has_token("foo, Keep-Alive", "keep-alive"));
  EXPECT_FALSE(has_token("not-keep-alive", "keep-alive"));
}

TEST(HttpText, Reads_numbers) {
  EXPECT_EQ(parse_decimal("18446744073709551615"), ~std::uint64_t{0});
  EXPECT_EQ(parse_decimal("18446744073709551616"), std::nullopt);
  EXPECT_EQ(parse_decimal(""), std::nullopt);
  EXPECT_EQ(parse_decimal("1 "), std::nullopt);
  for (unsigned i = 0; i < 16; ++i) {
    EXPECT_EQ(hex_value("0123456789abcdef"[i]), i);
    EXPECT_EQ(hex_value("0123456789ABCDEF"[i]), i);
  }
}

// Every octet at every distance from both ends, against the table.
TEST(HttpScanner, Agrees_with_the_table) {
  for (std::size_t size = 16; size < 50; ++size) {
    for (unsigned octet = 0; octet < 256; ++octet) {
      for (std::size_t at = 0; at < size; ++at) {
        std::string text(size, 'a');
        text[at] = static_cast<char>(octet);
        const char* begin = text.data();
        const char* end = begin + size;
        const Scanner scanner{begin, end};
        const char c = text[at];
        for (std::size_t from = 0; from < size; from += 7) {
          const auto expected = [&](bool stops) { return stops && at >= from ? begin + at : end; };
          ASSERT_EQ(scanner.find_value_end(begin + from), expected(!is(value_char, c)));
          ASSERT_EQ(scanner.find_target_end(begin + from), expected(!is(target_char, c)));
          const bool name = is(alpha_char, c) || is(digit_char, c) || c == '-' || c == '_';
          ASSERT_EQ(scanner.find_name_end(begin + from), expected(!name));
        }
      }
    }
  }
}

TEST(HttpStatus, Has_lines_and_reasons) {
  EXPECT_EQ(status_line(Status::ok), "HTTP/1.1 200 OK\r\n");
  EXPECT_EQ(reason(Status::http_version_not_supported), "HTTP Version Not Supported");
  EXPECT_EQ(reason(static_cast<Status>(299)), "");
  EXPECT_EQ(reason(Status::none), "");
  EXPECT_EQ(reason(static_cast<Status>(999)), "");
  for (unsigned number = 0; number < 1'000; ++number) {
    const auto status = static_cast<Status>(number);
    if (reason(status).empty()) continue;
    EXPECT_EQ(status_line(status),
              "HTTP/1.1 " + std::to_string(number) + " " + std::string{reason(status)} + "\r\n");
  }
}

TEST(HttpHeadWriter, Writes_heads) {
  std::array<char, 200> storage;
  HeadWriter writer{storage};
  writer.status(Status::ok);
  writer.field("Content-Type", "text/plain");
  writer.field("Content-Length", 18'446'744'073'709'551'615ULL);
  writer.field("X-Empty", "");
  writer.finish();
  ASSERT_TRUE(writer.ok());
  EXPECT_EQ(
      writer.text(),
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 18446744073709551615\r\n"
      "X-Empty: \r\n\r\n");
  HeadWriter other{storage};
  other.status(static_cast<Status>(299));
  EXPECT_EQ(other.text(), "HTTP/1.1 299 \r\n");
  HeadWriter request{storage};
  request.request("GET", "/a?b");
  EXPECT_EQ(request.text(), "GET /a?b HTTP/1.1\r\n");
}

TEST(HttpHeadWriter, Cannot_be_made_to_write_a_second_message) {
  std::array<char, 200> storage;
  const auto refused = [&](auto write) {
    HeadWriter writer{storage};
    write(writer);
    return !writer.ok() && writer.text().empty();
  };
  EXPECT_TRUE(refused([](HeadWriter& w) { w.field("Location", "/\r\nSet-Cookie: a"); }));
  EXPECT_TRUE(refused([](HeadWriter& w) { w.field("A", "b\nc"); }));
  EXPECT_TRUE(refused([](HeadWriter& w) { w.field("A", std::string_view{"b\0c", 3}); }));
  EXPECT_TRUE(refused([](HeadWriter& w) { w.field("A:", "b"); }));
  EXPECT_TRUE(refused([](HeadWriter& w) { w.field("", "b"); }));
  EXPECT_TRUE(refused([](HeadWriter& w) { w.field("A b", 1); }));
  EXPECT_TRUE(refused([](HeadWriter& w) { w.request("GET", "/a b"); }));
  EXPECT_TRUE(refused([](HeadWriter& w) { w.request("GET", ""); }));
  EXPECT_TRUE(refused([](HeadWriter& w) { w.status(static_cast<Status>(42)); }));
  EXPECT_TRUE(refused([](HeadWriter& w) { w.field("A", std::string(200, 'b')); }));
}

TEST(HttpMediaType, Goes_by_the_ending) {
  EXPECT_EQ(media_type("index.html"), "text/html; charset=utf-8");
  EXPECT_EQ(media_type("A/B.C/LOGO.SVG"), "image/svg+xml");
  EXPECT_EQ(media_type("a.tar.gz"), "application/gzip");
  EXPECT_EQ(media_type("x.7z"), "application/x-7z-compressed");
  EXPECT_EQ(media_type("x.zst"), "application/zstd");
  for (const std::string_view name :
       {"", "html", "a.html/b", "a.", ".", "a.htmlx", "a.webmanifestx"})
    EXPECT_EQ(media_type(name), "application/octet-stream") << name;
}

}  // namespace
}  // namespace lichen::net::http
