#include "lichen/driver/linux/path.hpp"

#include <cstring>

namespace lichen::driver {

Result<PathText> PathText::create(std::string_view path) noexcept {
  if (path.starts_with('/')) return Error::path_escapes;
  return create_unbound(path);
}

Result<PathText> PathText::create_unbound(std::string_view path) noexcept {
  if (path.empty() || path.find('\0') != std::string_view::npos) return Error::invalid_argument;
  if (path.size() > longest) return Error::too_large;
  auto* text = static_cast<char*>(coro::hooks::allocate_frame(path.size() + 1));
  if (!text) return Error::no_memory;
  std::memcpy(text, path.data(), path.size());
  text[path.size()] = '\0';
  return PathText{text, path.size()};
}

Result<SplitPath> split_path(std::string_view path) noexcept {
  if (path.starts_with('/')) return Error::path_escapes;
  while (path.ends_with('/')) path.remove_suffix(1);
  const std::size_t slash = path.rfind('/');
  SplitPath split;
  if (slash != std::string_view::npos) split.folder = path.substr(0, slash);
  split.last = path.substr(slash == std::string_view::npos ? 0 : slash + 1);
  if (split.last == "..") return Error::path_escapes;
  if (split.last.empty() || split.last == ".") return Error::invalid_argument;
  return split;
}

}  // namespace lichen::driver
