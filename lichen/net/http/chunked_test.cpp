#include "lichen/net/http/chunked.hpp"

#include <gtest/gtest.h>

#include <string>

namespace lichen::net::http {
namespace {

using Outcome = ChunkedDecoder::Outcome;

struct Decoded {
  Outcome outcome = Outcome::incomplete;
  std::string content;
  std::string rest;

  friend bool operator==(const Decoded&, const Decoded&) = default;
};

// Decodes input that arrives in pieces of this size.
Decoded decode(std::string_view input, std::size_t piece_size) {
  ChunkedDecoder decoder;
  Decoded decoded;
  while (!input.empty()) {
    std::string_view piece = input.substr(0, piece_size);
    input.remove_prefix(piece.size());
    for (;;) {
      const auto step = decoder.decode(piece);
      decoded.content += step.content;
      decoded.outcome = step.outcome;
      if (step.outcome != Outcome::content) break;
    }
    if (decoded.outcome == Outcome::end || decoded.outcome == Outcome::failed) {
      if (decoded.outcome == Outcome::end) decoded.rest = std::string{piece} + std::string{input};
      break;
    }
  }
  return decoded;
}

// The same, in whatever pieces.
Decoded decode(std::string_view input) {
  const Decoded whole = decode(input, std::max<std::size_t>(input.size(), 1));
  for (std::size_t size = 1; size < std::min<std::size_t>(input.size(), 20); ++size)
    EXPECT_EQ(decode(input, size), whole) << input << " in pieces of " << size;
  return whole;
}

TEST(HttpChunked, Decodes) {
  EXPECT_EQ(decode("0\r\n\r\n"), (Decoded{Outcome::end, "", ""}));
  EXPECT_EQ(decode("5\r\nhello\r\n00A\r\n, you all!\r\n0\r\n\r\nGET /"),
            (Decoded{Outcome::end, "hello, you all!", "GET /"}));
  EXPECT_EQ(decode("5;a=b;c=\"d\"\r\nhello\r\n0 ;x\r\nTrailer: v\r\nOther:\r\n\r\n"),
            (Decoded{Outcome::end, "hello", ""}));
  EXPECT_EQ(decode("5\r\nhel"), (Decoded{Outcome::incomplete, "hel", ""}));
}

TEST(HttpChunked, Refuses_what_two_parsers_could_read_differently) {
  using namespace std::string_view_literals;
  for (const std::string_view input : {"\r\n"sv,
                                       "5\nhello\r\n0\r\n\r\n"sv,
                                       "5\r\nhello\n0\r\n\r\n"sv,
                                       "5\r\nhelloX\r\n0\r\n\r\n"sv,
                                       "0x5\r\nhello\r\n"sv,
                                       "-5\r\nhello\r\n"sv,
                                       "+5\r\nhello\r\n"sv,
                                       " 5\r\nhello\r\n"sv,
                                       "5 5\r\nhello\r\n"sv,
                                       "5;a\nb\r\nhello\r\n"sv,
                                       "5;a\rb\r\nhello\r\n"sv,
                                       "5;\0\r\nhello\r\n"sv,
                                       "G\r\n"sv,
                                       ";a\r\n"sv,
                                       "1000000000000000\r\n"sv,
                                       "0000000000000005\r\nhello\r\n"sv,
                                       "0\r\n\n"sv,
                                       "0\r\nA b: c\r\n\r\n"sv,
                                       "0\r\n: c\r\n\r\n"sv,
                                       "0\r\nA: b\n\r\n"sv,
                                       "0\r\n folded\r\n\r\n"sv,
                                       "0\r\n\rx"sv})
    EXPECT_EQ(decode(input).outcome, Outcome::failed) << input;
}

TEST(HttpChunked, Bounds_what_is_not_content) {
  std::string extensions;
  for (int i = 0; i < 9'000; ++i) extensions += "1;x\r\nc\r\n";
  EXPECT_EQ(decode(extensions, 100).outcome, Outcome::incomplete);
  for (int i = 0; i < 9'000; ++i) extensions += "1;x\r\nc\r\n";
  EXPECT_EQ(decode(extensions, 100).outcome, Outcome::failed);
  const std::string spaces = "1" + std::string(ChunkedDecoder::max_extensions + 2, ' ');
  EXPECT_EQ(decode(spaces, 100).outcome, Outcome::failed);
  std::string trailers = "0\r\n";
  while (trailers.size() < 2 * ChunkedDecoder::max_trailers) trailers += "A: b\r\n";
  EXPECT_EQ(decode(trailers, 100).outcome, Outcome::failed);
}

TEST(HttpChunked, Writes_what_it_reads) {
  EXPECT_EQ(ChunkHead{1}.text(), "1\r\n");
  EXPECT_EQ(ChunkHead{0xdeadbeef}.text(), "deadbeef\r\n");
  EXPECT_EQ(ChunkHead{~std::uint64_t{0}}.text(), "ffffffffffffffff\r\n");
  std::string body;
  std::string content;
  for (std::size_t size = 1; size < 40; ++size) {
    const std::string chunk(size, static_cast<char>('a' + size % 26));
    content += chunk;
    body += std::string{ChunkHead{size}.text()} + chunk + std::string{chunk_end};
  }
  body += last_chunk;
  EXPECT_EQ(decode(body), (Decoded{Outcome::end, content, ""}));
}

}  // namespace
}  // namespace lichen::net::http
