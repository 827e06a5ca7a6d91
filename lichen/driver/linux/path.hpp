// PathText: a relative path that was checked, with the zero at its end that the host wants.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

#include "lichen/base/result.hpp"
#include "lichen/coro/hooks.hpp"

namespace lichen::driver {

class PathText {
 public:
  static constexpr std::size_t longest = 4095;  // bytes, PATH_MAX without the zero

  // Error::path_escapes for an absolute path, invalid_argument for an empty one or one with a zero
  // in it, too_large, no_memory.
  static Result<PathText> create(std::string_view path) noexcept;
  // Any path at all, absolute ones too.
  static Result<PathText> create_unbound(std::string_view path) noexcept;

  PathText(PathText&& other) noexcept
      : text_{std::exchange(other.text_, nullptr)}, size_{other.size_} {}
  PathText& operator=(PathText&& other) noexcept {
    std::swap(text_, other.text_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~PathText() {
    if (text_) coro::hooks::free_frame(text_, size_ + 1);
  }

  [[nodiscard]] const char* c_str() const noexcept { return text_; }
  [[nodiscard]] std::string_view view() const noexcept { return {text_, size_}; }

 private:
  PathText(char* text, std::size_t size) noexcept : text_{text}, size_{size} {}

  char* text_;
  std::size_t size_;
};

// A path cut into the folder it lies in (empty: the folder itself) and its last component.
struct SplitPath {
  std::string_view folder;
  std::string_view last;
};
// Error::path_escapes when the last component is "..", invalid_argument when it is "." or empty.
Result<SplitPath> split_path(std::string_view path) noexcept;

}  // namespace lichen::driver
