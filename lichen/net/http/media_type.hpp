// Media types of files, by the ending of their names.
#pragma once

#include <string_view>

namespace lichen::net::http {

// The value of Content-Type for a file of this name, "application/octet-stream" if its ending is
// unknown. Text is taken to be UTF-8.
std::string_view media_type(std::string_view file_name) noexcept;

}  // namespace lichen::net::http
