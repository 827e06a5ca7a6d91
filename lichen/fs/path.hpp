// The rules for paths that are the same for every folder (io::Folder).
#pragma once

#include <cstddef>
#include <string_view>

#include "lichen/base/result.hpp"

namespace lichen::fs {

inline constexpr std::size_t longest_path = 4'095;  // bytes
inline constexpr unsigned most_links = 40;          // followed in one walk, as on Linux

// Error::path_escapes for an absolute path, invalid_argument for an empty one or one with a zero in
// it, too_large.
Result<void> check_path(std::string_view path) noexcept;

// A path cut into the folder it lies in ("." where it names none) and its last component.
struct SplitPath {
  std::string_view folder;
  std::string_view last;
};
// The path's own slashes at the end count for nothing. Error::path_escapes when the last component
// is "..", invalid_argument when it is "." or empty, too_large when it is longer than any name.
Result<SplitPath> split_path(std::string_view path) noexcept;

}  // namespace lichen::fs
