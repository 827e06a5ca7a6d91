// Byte ranges (RFC 9110 section 14).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "lichen/net/http/head_writer.hpp"

namespace lichen::net::http {

// Bytes first to last, both included, of a representation.
struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;

  [[nodiscard]] std::uint64_t size() const noexcept { return last - first + 1; }
  friend bool operator==(const ByteRange&, const ByteRange&) noexcept = default;
};

class RangeSet {
 public:
  // More ranges than this in one request are a way to make a server work: it then sends everything.
  static constexpr std::size_t max_ranges = 16;

  enum class Outcome : std::uint8_t {
    whole,          // no range, or one that must or may be ignored: answer 200
    partial,        // answer 206 with ranges()
    unsatisfiable,  // answer 416
  };

  // The value of a Range field for a representation of `size` bytes. Ranges that overlap or nearly
  // touch become one, in the place of the first of them.
  static RangeSet parse(std::string_view value, std::uint64_t size) noexcept;

  [[nodiscard]] Outcome outcome() const noexcept { return outcome_; }
  [[nodiscard]] std::span<const ByteRange> ranges() const noexcept {
    return std::span{ranges_}.first(count_);
  }

 private:
  // A part of multipart/byteranges has about so many bytes of its own.
  static constexpr std::uint64_t part_overhead = 80;
  void add(ByteRange range) noexcept;

  Outcome outcome_ = Outcome::whole;
  std::size_t count_ = 0;
  std::array<ByteRange, max_ranges> ranges_{};
};

// The value of Content-Range: "bytes 0-99/1000", or "bytes */1000" for a 416.
class ContentRange {
 public:
  ContentRange(ByteRange range, std::uint64_t size) noexcept;
  explicit ContentRange(std::uint64_t size) noexcept;
  [[nodiscard]] std::string_view text() const noexcept { return {text_.data(), length_}; }

 private:
  std::array<char, 6 + 3 * 20 + 2> text_;
  std::size_t length_ = 0;
};

// The parts of a multipart/byteranges body (RFC 9110 section 14.6): for each range head() and its
// bytes, then end(). The boundary MUST NOT occur in the content: take one that nobody can guess.
class Multipart {
 public:
  // A boundary made of 128 random bits.
  explicit Multipart(std::array<std::uint64_t, 2> random) noexcept;

  // The value of Content-Type for the whole.
  [[nodiscard]] std::string_view content_type() const noexcept {
    return {type_.data(), type_.size()};
  }
  // What comes before the bytes of a part. The content type MUST be short enough for `into`.
  [[nodiscard]] std::string_view head(std::span<char> into, ByteRange range, std::uint64_t size,
                                      std::string_view content_type) const noexcept;
  [[nodiscard]] std::string_view end() const noexcept { return {end_.data(), end_.size()}; }
  // The length of the whole body.
  [[nodiscard]] std::uint64_t length(std::span<const ByteRange> ranges, std::uint64_t size,
                                     std::string_view content_type) const noexcept;
  static constexpr std::size_t max_part_head = 512;

 private:
  static constexpr std::size_t boundary_size = 32;
  static constexpr std::string_view type_prefix = "multipart/byteranges; boundary=";

  [[nodiscard]] std::string_view boundary() const noexcept {
    return content_type().substr(type_prefix.size());
  }

  std::array<char, type_prefix.size() + boundary_size> type_;
  std::array<char, 4 + boundary_size + 4> end_;  // "\r\n--" boundary "--\r\n"
};

}  // namespace lichen::net::http
