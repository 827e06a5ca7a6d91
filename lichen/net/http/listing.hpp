// The page that shows what is in a folder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lichen/io/file.hpp"

namespace lichen::net::http {

// `path` is that of the folder, relative to the root, without a slash at either end. Folders come
// first, then files, by name. Every name is text in the page, whatever it holds.
std::string folder_page(std::string_view path, std::vector<io::FolderEntry> entries);

}  // namespace lichen::net::http
