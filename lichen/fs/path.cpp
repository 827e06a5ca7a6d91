#include "lichen/fs/path.hpp"

#include "lichen/fs/node.hpp"

namespace lichen::fs {

Result<void> check_path(std::string_view path) noexcept {
  if (path.starts_with('/')) return Error::path_escapes;
  if (path.empty() || path.find('\0') != std::string_view::npos) return Error::invalid_argument;
  if (path.size() > longest_path) return Error::too_large;
  return {};
}

Result<SplitPath> split_path(std::string_view path) noexcept {
  TRY(check_path(path));
  while (path.ends_with('/')) path.remove_suffix(1);
  const std::size_t slash = path.rfind('/');
  SplitPath split{.folder = ".", .last = path};
  if (slash != std::string_view::npos)
    split = {.folder = path.substr(0, slash), .last = path.substr(slash + 1)};
  if (split.last == "..") return Error::path_escapes;
  if (split.last == ".") return Error::invalid_argument;
  if (split.last.size() > Node::longest_name) return Error::too_large;
  return split;
}

}  // namespace lichen::fs
