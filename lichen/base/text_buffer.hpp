// Text built in memory that somebody else owns, and text that owns a fixed amount of it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string_view>
#include <type_traits>

namespace lichen::base {

// Appends to a fixed piece of memory and never past its end. What does not fit is counted, not
// kept, so that the writer need not care and the reader can tell.
class TextBuffer {
 public:
  constexpr explicit TextBuffer(std::span<char> storage) noexcept : storage_{storage} {}
  TextBuffer(const TextBuffer&) = delete;
  TextBuffer& operator=(const TextBuffer&) = delete;

  // What was written and fits.
  [[nodiscard]] constexpr std::string_view text() const noexcept {
    return {storage_.data(), std::min(size_, storage_.size())};
  }
  // How long the text would be with enough room.
  [[nodiscard]] constexpr std::size_t full_size() const noexcept { return size_; }
  [[nodiscard]] constexpr bool truncated() const noexcept { return size_ > storage_.size(); }

  constexpr void append(std::string_view text) noexcept {
    if (size_ < storage_.size()) {
      const std::size_t fitting = std::min(text.size(), storage_.size() - size_);
      std::copy_n(text.begin(), fitting, storage_.data() + size_);
    }
    size_ += text.size();
  }
  constexpr void append(char character) noexcept { append(std::string_view{&character, 1}); }

  // Makes room at `position`, which MUST NOT be past the end, and fills it.
  constexpr void insert(std::size_t position, std::size_t count, char fill) noexcept {
    const std::size_t end = text().size();
    size_ += count;
    if (position >= storage_.size()) return;
    char* const begin = storage_.data() + position;
    const std::size_t gap = std::min(count, storage_.size() - position);
    const std::size_t kept = std::min(end - position, storage_.size() - position - gap);
    std::copy_backward(begin, begin + kept, begin + gap + kept);
    std::fill_n(begin, gap, fill);
  }

 private:
  std::span<char> storage_;
  std::size_t size_ = 0;
};

// A short text by value: an address, a header line, a name.
template <std::size_t capacity>
class FixedString {
 public:
  constexpr FixedString() noexcept = default;

  // What `write(TextBuffer&)` leaves behind.
  template <class Write>
    requires std::is_invocable_v<Write, TextBuffer&>
  constexpr explicit FixedString(Write&& write) noexcept {
    TextBuffer buffer{characters_};
    write(buffer);
    size_ = buffer.text().size();
    truncated_ = buffer.truncated();
  }

  [[nodiscard]] constexpr std::string_view view() const noexcept { return {characters_, size_}; }
  constexpr operator std::string_view() const noexcept { return view(); }
  [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
  [[nodiscard]] constexpr bool empty() const noexcept { return size_ == 0; }
  // Some of the text did not fit.
  [[nodiscard]] constexpr bool truncated() const noexcept { return truncated_; }

  friend constexpr bool operator==(const FixedString& a, std::string_view b) noexcept {
    return a.view() == b;
  }

 private:
  char characters_[capacity] = {};
  std::size_t size_ = 0;
  bool truncated_ = false;
};

}  // namespace lichen::base

namespace lichen {
using base::FixedString;
using base::TextBuffer;
}  // namespace lichen
