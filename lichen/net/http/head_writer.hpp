// HeadWriter: builds the head of a message in memory that somebody lends.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "lichen/net/http/status.hpp"
#include "lichen/net/http/text.hpp"

namespace lichen::net::http {

// What does not fit, or would break the format (a name that is no token, a control in a value, so
// that no handler can be tricked into writing a second response), makes the head not ok(); nothing
// is written after that.
class HeadWriter {
 public:
  explicit HeadWriter(std::span<char> storage) noexcept
      : begin_{storage.data()}, end_{storage.data() + storage.size()}, p_{begin_} {}

  // One of these two comes first. A status without a line of its own gets an empty reason.
  void status(Status status) noexcept;
  void request(std::string_view method, std::string_view target) noexcept;

  void field(std::string_view name, std::string_view value) noexcept {
    require(is_token(name) && (value.empty() || all(value_char, value)));
    trusted_field(name, value);
  }
  void field(std::string_view name, std::uint64_t value) noexcept;
  // For names and values that are known to be right: constants and what we made ourselves.
  void trusted_field(std::string_view name, std::string_view value) noexcept {
    if (!reserve(name.size() + value.size() + 4)) return;
    copy(name);
    copy(": ");
    copy(value);
    copy("\r\n");
  }
  void trusted_field(std::string_view name, std::uint64_t value) noexcept;
  // Whole lines with their CRLF, or the empty line that ends a head.
  void lines(std::string_view lines) noexcept {
    if (reserve(lines.size())) copy(lines);
  }
  void finish() noexcept { lines("\r\n"); }

  [[nodiscard]] bool ok() const noexcept { return ok_; }
  // Not for want of room.
  [[nodiscard]] bool broken() const noexcept { return broken_; }
  [[nodiscard]] std::string_view text() const noexcept {
    return {begin_, static_cast<std::size_t>(p_ - begin_)};
  }

 private:
  void require(bool well_formed) noexcept {
    if (well_formed) [[likely]]
      return;
    broken_ = true;
    ok_ = false;
  }
  bool reserve(std::size_t size) noexcept {
    ok_ = ok_ && size <= static_cast<std::size_t>(end_ - p_);
    return ok_;
  }
  void copy(std::string_view text) noexcept {
    std::memcpy(p_, text.data(), text.size());
    p_ += text.size();
  }

  char* begin_;
  char* end_;
  char* p_;
  bool ok_ = true;
  bool broken_ = false;
};

}  // namespace lichen::net::http
