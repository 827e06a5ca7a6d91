// The chunked transfer coding (RFC 9112 section 7.1), read piece by piece and written.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace lichen::net::http {

// Takes input as it comes, cut anywhere, and hands out the content in it as views, without a copy.
// Extensions and trailer fields are checked and dropped.
class ChunkedDecoder {
 public:
  // Over the whole body, so that a peer cannot make us work for much more than it sends as content.
  static constexpr std::size_t max_extensions = 16'384;  // bytes
  static constexpr std::size_t max_trailers = 16'384;    // bytes

  enum class Outcome : std::uint8_t {
    content,     // `content` is the next piece; call again
    incomplete,  // the input is used up and more is needed
    end,         // the body is complete; what is left of the input is not part of it
    failed,      // the format is broken; for good
  };
  struct Step {
    Outcome outcome;
    std::string_view content;
  };

  // Takes what it used off the front of `input`.
  Step decode(std::string_view& input) noexcept;
  [[nodiscard]] bool at_end() const noexcept { return state_ == State::end; }

 private:
  enum class State : std::uint8_t {
    size,              // in the digits of a chunk's size
    before_extension,  // white space behind it
    extension,
    size_lf,
    content,
    content_cr,
    content_lf,
    line_start,  // of a trailer field, or of the empty line that ends the body
    trailer_name,
    trailer_value,
    trailer_lf,
    end_lf,
    end,
    failed,
  };
  State next(char c) noexcept;

  State state_ = State::size;
  std::uint8_t digits_ = 0;
  std::uint32_t extensions_ = 0;
  std::uint32_t trailers_ = 0;
  std::uint64_t left_ = 0;  // of the current chunk
};

// The line in front of a chunk of `size` bytes, which MUST NOT be zero, and what follows each chunk
// and ends the body. A body is: head, content, chunk_end, ... , last_chunk.
class ChunkHead {
 public:
  explicit ChunkHead(std::uint64_t size) noexcept;
  [[nodiscard]] std::string_view text() const noexcept {
    return {text_.data() + begin_, text_.size() - begin_};
  }

 private:
  static constexpr std::size_t max_size = 16 + 2;
  std::array<char, max_size> text_;
  std::size_t begin_ = max_size;
};
inline constexpr std::string_view chunk_end = "\r\n";
inline constexpr std::string_view last_chunk = "0\r\n\r\n";

}  // namespace lichen::net::http
