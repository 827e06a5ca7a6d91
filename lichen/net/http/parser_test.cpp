#include "lichen/net/http/parser.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace lichen::net::http {
namespace {

// Parses every prefix from memory of exactly its size, so that a sanitizer sees a read past the
// end, and checks that the answer, once there is one, never changes. Returns the answer for the
// whole.
Parsed parse_prefixes(std::string_view input, RequestHead& head, const HeadLimits& limits = {}) {
  Parsed first;
  for (std::size_t size = 0; size <= input.size(); ++size) {
    const auto exact = std::make_unique<char[]>(size);
    std::ranges::copy(input.substr(0, size), exact.get());
    RequestHead scratch;
    const Parsed now = parse_request({exact.get(), size}, scratch, limits);
    if (!first.incomplete()) {
      EXPECT_EQ(now.size, first.size) << input.substr(0, size);
      EXPECT_EQ(now.error, first.error) << input.substr(0, size);
    }
    first = now;
  }
  return parse_request(input, head, limits);
}

Status error_of(std::string_view input, const HeadLimits& limits = {}) {
  RequestHead head;
  return parse_prefixes(input, head, limits).error;
}

struct Accepted {
  std::string text;
  RequestHead head;
};
std::unique_ptr<Accepted> accept(std::string text) {
  auto accepted = std::make_unique<Accepted>();
  accepted->text = std::move(text);
  const Parsed parsed = parse_prefixes(accepted->text, accepted->head);
  EXPECT_TRUE(parsed.complete()) << accepted->text << code(parsed.error);
  return accepted;
}

// A request with these lines between the request line and the empty line.
std::string with_fields(std::string_view lines,
                        std::string_view first = "GET / HTTP/1.1\r\nHost: h\r\n") {
  return std::string{first} + std::string{lines} + "\r\n";
}
Status error_with(std::string_view lines) { return error_of(with_fields(lines)); }

TEST(HttpRequestParser, Takes_a_plain_request_apart) {
  const std::string text =
      "GET /a/b?c=d&e HTTP/1.1\r\nHost: example.org:8080\r\nUser-Agent: wrk/4.2.0\r\nX-Empty:\r\n"
      "Accept: \t text/html, */*  \t\r\n\r\n";
  RequestHead head;
  EXPECT_EQ(parse_prefixes(text + "GET /next", head).size, text.size());
  const auto again = accept(text);
  const RequestHead& request = again->head;
  EXPECT_EQ(request.method, Method::get);
  EXPECT_EQ(request.method_name, "GET");
  EXPECT_EQ(request.target, "/a/b?c=d&e");
  EXPECT_EQ(request.path, "/a/b");
  EXPECT_EQ(request.query, "c=d&e");
  EXPECT_EQ(request.form, TargetForm::origin);
  EXPECT_EQ(request.minor_version, 1);
  EXPECT_EQ(request.host, "example.org:8080");
  EXPECT_TRUE(request.keep_alive);
  EXPECT_EQ(request.framing, Framing::none);
  ASSERT_EQ(request.fields.size(), 4U);
  EXPECT_EQ(request.fields.find("accept"), "text/html, */*");
  EXPECT_EQ(request.fields.find("x-empty"), "");
  EXPECT_EQ(request.fields.find("x-missing"), std::nullopt);
}

TEST(HttpRequestParser, Knows_the_methods) {
  for (const Method method : {Method::get, Method::head, Method::post, Method::put, Method::delete_,
                              Method::options, Method::trace, Method::patch})
    EXPECT_EQ(accept(std::string{name(method)} + " / HTTP/1.1\r\nHost: h\r\n\r\n")->head.method,
              method);
  const auto unknown = accept("BREW /pot HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(unknown->head.method, Method::other);
  EXPECT_EQ(unknown->head.method_name, "BREW");
  EXPECT_EQ(accept("get / HTTP/1.1\r\nHost: h\r\n\r\n")->head.method, Method::other);
  EXPECT_EQ(error_of(std::string(33, 'M') + " / HTTP/1.1\r\nHost: h\r\n\r\n"),
            Status::not_implemented);
  EXPECT_EQ(error_of("G\x01T / HTTP/1.1\r\nHost: h\r\n\r\n"), Status::bad_request);
  EXPECT_EQ(error_of(" GET / HTTP/1.1\r\nHost: h\r\n\r\n"), Status::bad_request);
}

TEST(HttpRequestParser, Refuses_a_broken_request_line) {
  for (const std::string_view line : {"GET  / HTTP/1.1",
                                      "GET / HTTP/1.1 ",
                                      "GET /  HTTP/1.1",
                                      "GET / http/1.1",
                                      "GET / HTTP/1.",
                                      "GET / HTTP/11",
                                      "GET /",
                                      "GET / HTTP/1.1x",
                                      "GET /a\tb HTTP/1.1",
                                      "GET /\x80 HTTP/1.1",
                                      "GET\t/ HTTP/1.1",
                                      "GET / HTTP/1,1",
                                      "GET a HTTP/1.1",
                                      "GET * HTTP/1.1",
                                      "GET ftp://h/ HTTP/1.1",
                                      "CONNECT /a HTTP/1.1",
                                      "CONNECT h HTTP/1.1",
                                      "CONNECT h:x HTTP/1.1",
                                      "GET http:///a HTTP/1.1",
                                      "GET http://u@h/ HTTP/1.1"})
    EXPECT_EQ(error_of(std::string{line} + "\r\nHost: h\r\n\r\n"), Status::bad_request) << line;
  EXPECT_EQ(error_of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Status::http_version_not_supported);
  EXPECT_EQ(error_of("GET / HTTP/0.9\r\nHost: h\r\n\r\n"), Status::http_version_not_supported);
}

TEST(HttpRequestParser, Understands_every_form_of_target) {
  const auto absolute = accept("GET http://Example.org:80/a?b HTTP/1.1\r\nHost: other\r\n\r\n");
  EXPECT_EQ(absolute->head.form, TargetForm::absolute);
  EXPECT_EQ(absolute->head.host, "Example.org:80");
  EXPECT_EQ(absolute->head.path, "/a");
  EXPECT_EQ(absolute->head.query, "b");
  EXPECT_EQ(accept("GET HTTPS://h HTTP/1.1\r\nHost: h\r\n\r\n")->head.path, "/");
  EXPECT_EQ(accept("GET http://h?q HTTP/1.1\r\nHost: h\r\n\r\n")->head.query, "q");
  const auto asterisk = accept("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(asterisk->head.form, TargetForm::asterisk);
  EXPECT_EQ(asterisk->head.path, "*");
  const auto authority = accept("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(authority->head.form, TargetForm::authority);
  EXPECT_EQ(authority->head.host, "h:443");
  EXPECT_EQ(authority->head.path, "");
}

TEST(HttpRequestParser, Skips_empty_lines_before_a_request) {
  RequestHead head;
  const std::string text = "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n";
  EXPECT_EQ(parse_prefixes(text, head).size, text.size());
  EXPECT_EQ(head.fields.find("host"), "h");
  EXPECT_EQ(error_of("\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), Status::bad_request);
}

TEST(HttpRequestParser, Refuses_every_line_end_but_CRLF) {
  EXPECT_EQ(error_of("GET / HTTP/1.1\nHost: h\n\n         "), Status::bad_request);
  EXPECT_EQ(error_with("A: b\n"), Status::bad_request);
  EXPECT_EQ(error_with("A: b\nC: d\r\n"), Status::bad_request);
  EXPECT_EQ(error_with("A: b\rC: d\r\n"), Status::bad_request);
  EXPECT_EQ(error_with("A: b\r\r\n"), Status::bad_request);
  EXPECT_EQ(error_of("GET / HTTP/1.1\r\nHost: h\r\n\n      "), Status::bad_request);
  EXPECT_EQ(error_of("GET / HTTP/1.1\r\nHost: h\r\n\rx     "), Status::bad_request);
}

TEST(HttpRequestParser, Refuses_malformed_fields) {
  using namespace std::string_view_literals;
  for (const std::string_view lines :
       {"A : b\r\n"sv, " A: b\r\n"sv, "A: b\r\n c\r\n"sv, "A: b\r\n\tc\r\n"sv, ": b\r\n"sv,
        "A\r\n"sv, "A\x01: b\r\n"sv, "A: b\0c\r\n"sv, "A: b\x7f\r\n"sv, "A: \x1b[0m\r\n"sv,
        "A\xc3: b\r\n"sv, "A(b): c\r\n"sv, "A;b: c\r\n"sv, "\"A\": c\r\n"sv})
    EXPECT_EQ(error_with(lines), Status::bad_request) << lines;
  EXPECT_EQ(
      accept(with_fields("!#$%&'*+-.^_`|~: \xc3\xa4\tx\r\n"))->head.fields.find("!#$%&'*+-.^_`|~"),
      "\xc3\xa4\tx");
}

TEST(HttpRequestParser, Requires_one_host) {
  EXPECT_EQ(error_of("GET / HTTP/1.1\r\n\r\n"), Status::bad_request);
  EXPECT_EQ(error_with("Host: h\r\n"), Status::bad_request);
  EXPECT_EQ(error_of("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), Status::bad_request);
  EXPECT_EQ(error_of("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"), Status::bad_request);
  EXPECT_EQ(accept("GET / HTTP/1.1\r\nHost:\r\n\r\n")->head.host, "");
  EXPECT_EQ(accept("GET / HTTP/1.0\r\n\r\n")->head.host, "");
  EXPECT_EQ(accept("GET / HTTP/1.1\r\nhOsT: [::1]:80\r\n\r\n")->head.host, "[::1]:80");
}

TEST(HttpRequestParser, Judges_the_framing) {
  const auto length = accept(with_fields("Content-Length: 0042\r\n"));
  EXPECT_EQ(length->head.framing, Framing::length);
  EXPECT_EQ(length->head.content_length, 42U);
  EXPECT_EQ(accept(with_fields("Transfer-Encoding: Chunked\r\n"))->head.framing, Framing::chunked);
  EXPECT_EQ(accept(with_fields("Transfer-Encoding: , chunked ,\r\n"))->head.framing,
            Framing::chunked);

  for (const std::string_view lines :
       {"Content-Length: 1\r\nContent-Length: 1\r\n", "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1, 1\r\n", "Content-Length: +1\r\n", "Content-Length: -1\r\n",
        "Content-Length: 0x1\r\n", "Content-Length: 1 1\r\n", "Content-Length:\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding:\r\n",
        "Transfer-Encoding: chunked, gzip\r\n"})
    EXPECT_EQ(error_with(lines), Status::bad_request) << lines;
  for (const std::string_view lines :
       {"Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: xchunked\r\n", "Transfer-Encoding: chunked;a=b\r\n",
        "Transfer-Encoding: \"chunked\"\r\n", "Transfer-Encoding: identity\r\n"})
    EXPECT_EQ(error_with(lines), Status::not_implemented) << lines;
  EXPECT_EQ(error_with("Content-Length: 18446744073709551616\r\n"), Status::content_too_large);
  EXPECT_EQ(error_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Status::bad_request);
}

TEST(HttpRequestParser, Forgets_what_the_request_before_said) {
  RequestHead head;
  const std::string first =
      with_fields("Content-Length: 5\r\nConnection: close, upgrade\r\nExpect: 100-Continue\r\n");
  ASSERT_TRUE(parse_request(first, head).complete());
  EXPECT_FALSE(head.keep_alive);
  EXPECT_TRUE(head.upgrade);
  EXPECT_TRUE(head.expects_continue);
  const std::string second = with_fields("");
  ASSERT_TRUE(parse_request(second, head).complete());
  EXPECT_TRUE(head.keep_alive);
  EXPECT_FALSE(head.upgrade);
  EXPECT_FALSE(head.expects_continue);
  EXPECT_EQ(head.framing, Framing::none);
  EXPECT_EQ(head.content_length, 0U);
  EXPECT_EQ(head.fields.size(), 1U);
}

TEST(HttpRequestParser, Decides_whether_the_connection_stays) {
  const std::string old = "GET / HTTP/1.0\r\n";
  EXPECT_FALSE(accept(with_fields("", old))->head.keep_alive);
  EXPECT_TRUE(accept(with_fields("Connection: foo, Keep-Alive\r\n", old))->head.keep_alive);
  EXPECT_FALSE(
      accept(with_fields("Connection: keep-alive\r\nConnection: close\r\n"))->head.keep_alive);
  EXPECT_FALSE(accept(with_fields("Expect: 100-continue\r\n", old))->head.expects_continue);
  EXPECT_EQ(error_with("Expect: 200-maybe\r\n"), Status::expectation_failed);
}

TEST(HttpRequestParser, Keeps_to_its_limits) {
  const HeadLimits small{.size = 64, .fields = 3};
  EXPECT_EQ(error_of("GET /" + std::string(100, 'a'), small), Status::uri_too_long);
  EXPECT_EQ(error_of(with_fields("A: " + std::string(100, 'a') + "\r\n"), small),
            Status::request_header_fields_too_large);
  EXPECT_EQ(error_of(with_fields("A: a\r\nB: b\r\nC: c\r\n"), small),
            Status::request_header_fields_too_large);
  EXPECT_EQ(error_of(with_fields("A: a\r\nB: b\r\n"), small), Status::none);
  // An error behind the limit is not seen, however the input came.
  EXPECT_EQ(error_of(with_fields("A: " + std::string(100, 'a') + "\n"), small),
            Status::request_header_fields_too_large);

  RequestHead head;
  const std::string exact = with_fields("A: " + std::string(64 - 32, 'a') + "\r\n");
  ASSERT_EQ(exact.size(), 64U);
  EXPECT_TRUE(parse_prefixes(exact, head, small).complete());

  std::string many;
  for (std::size_t i = 0; i < Fields::capacity - 1; ++i) many += "A: b\r\n";
  EXPECT_EQ(accept(with_fields(many))->head.fields.size(), Fields::capacity);
  EXPECT_EQ(error_with(many + "A: b\r\n"), Status::request_header_fields_too_large);
}

Parsed parse_response_prefixes(std::string_view input, ResponseHead& head) {
  Parsed first;
  for (std::size_t size = 0; size <= input.size(); ++size) {
    const Parsed now = parse_response(input.substr(0, size), head);
    if (!first.incomplete()) EXPECT_EQ(now, first);
    first = now;
  }
  return first;
}

TEST(HttpResponseParser, Takes_a_response_apart) {
  ResponseHead head;
  const std::string text =
      "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nHost: whatever/it@is\r\n\r\n";
  const std::string with_content = text + "abc";
  ASSERT_EQ(parse_response_prefixes(with_content, head).size, text.size());
  EXPECT_EQ(head.status, Status::not_found);
  EXPECT_EQ(head.reason, "Not Found");
  EXPECT_EQ(head.content_length, 3U);
  EXPECT_TRUE(head.keep_alive);
}

TEST(HttpResponseParser, Accepts_a_missing_reason) {
  ResponseHead head;
  for (const std::string_view text : {"HTTP/1.1 299\r\n\r\n", "HTTP/1.1 299 \r\n\r\n"}) {
    EXPECT_TRUE(parse_response_prefixes(text, head).complete());
    EXPECT_EQ(code(head.status), 299U);
    EXPECT_EQ(head.reason, "");
  }
  EXPECT_TRUE(parse_response_prefixes("HTTP/1.0 200 OK\r\n\r\n", head).complete());
  EXPECT_FALSE(head.keep_alive);
}

TEST(HttpResponseParser, Refuses_what_is_no_response) {
  ResponseHead head;
  for (const std::string_view text :
       {"HTTP/1.1 99 Low\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 099 OK\r\n\r\n", "ICY 200 OK       \r\n\r\n",
        "HTTP/1.1 200 OK\n\n          ", "HTTP/1.1 200 O\x01K\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"})
    EXPECT_TRUE(parse_response_prefixes(text, head).failed()) << text;
}

}  // namespace
}  // namespace lichen::net::http
