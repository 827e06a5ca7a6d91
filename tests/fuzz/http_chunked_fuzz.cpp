// The chunked coding. What is decoded does not depend on how the input was cut, and content that is
// encoded and decoded is the same. The first byte of the input says how it is cut.
#include <algorithm>
#include <cstdint>
#include <string>

#include "lichen/net/http/chunked.hpp"
#include "tests/fuzz/check.hpp"

using namespace lichen::net::http;
using Outcome = ChunkedDecoder::Outcome;

namespace {

struct Decoded {
  Outcome outcome = Outcome::incomplete;
  std::string content;
  std::size_t used = 0;

  bool operator==(const Decoded&) const = default;
};

Decoded decode(std::string_view input, std::size_t piece_size) {
  ChunkedDecoder decoder;
  Decoded decoded;
  while (!input.empty()) {
    const Exact piece{input.substr(0, piece_size)};
    std::string_view rest = piece.view();
    ChunkedDecoder::Step step{};
    do {
      step = decoder.decode(rest);
      CHECK(step.content.empty() == (step.outcome != Outcome::content));
      decoded.content += step.content;
    } while (step.outcome == Outcome::content);
    decoded.outcome = step.outcome;
    decoded.used += piece.view().size() - rest.size();
    if (step.outcome != Outcome::incomplete) break;
    CHECK(rest.empty());
    input.remove_prefix(piece.view().size());
  }
  CHECK(decoder.at_end() == (decoded.outcome == Outcome::end));
  return decoded;
}

std::string encode(std::string_view content, std::size_t piece_size) {
  std::string body;
  while (!content.empty()) {
    const std::string_view piece = content.substr(0, piece_size);
    body += ChunkHead{piece.size()}.text();
    body += piece;
    body += chunk_end;
    content.remove_prefix(piece.size());
  }
  return body += last_chunk;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece_size = 1 + data[0] % 64;
  const std::string_view input{reinterpret_cast<const char*>(data) + 1, size - 1};
  const Decoded whole = decode(input, std::max<std::size_t>(input.size(), 1));
  CHECK(decode(input, piece_size) == whole);
  CHECK(decode(input, 1) == whole);

  const std::string body = encode(input, piece_size);
  const Decoded again = decode(body, 1 + data[0] / 4);
  CHECK(again.outcome == Outcome::end && again.content == input && again.used == body.size());
  return 0;
}
