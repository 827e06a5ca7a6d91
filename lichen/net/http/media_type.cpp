#include "lichen/net/http/media_type.hpp"

#include <algorithm>
#include <array>

#include "lichen/net/http/text.hpp"

namespace lichen::net::http {
namespace {

struct MediaType {
  std::string_view ending;
  std::string_view type;
};

// From the registry of media types, and what browsers expect where that has several.
constexpr std::array types{
    MediaType{"7z", "application/x-7z-compressed"},
    MediaType{"aac", "audio/aac"},
    MediaType{"avif", "image/avif"},
    MediaType{"bmp", "image/bmp"},
    MediaType{"bz2", "application/x-bzip2"},
    MediaType{"c", "text/plain; charset=utf-8"},
    MediaType{"cpp", "text/plain; charset=utf-8"},
    MediaType{"css", "text/css; charset=utf-8"},
    MediaType{"csv", "text/csv; charset=utf-8"},
    MediaType{"epub", "application/epub+zip"},
    MediaType{"flac", "audio/flac"},
    MediaType{"gif", "image/gif"},
    MediaType{"gz", "application/gzip"},
    MediaType{"h", "text/plain; charset=utf-8"},
    MediaType{"hpp", "text/plain; charset=utf-8"},
    MediaType{"htm", "text/html; charset=utf-8"},
    MediaType{"html", "text/html; charset=utf-8"},
    MediaType{"ico", "image/vnd.microsoft.icon"},
    MediaType{"jpeg", "image/jpeg"},
    MediaType{"jpg", "image/jpeg"},
    MediaType{"js", "text/javascript; charset=utf-8"},
    MediaType{"json", "application/json"},
    MediaType{"jsonld", "application/ld+json"},
    MediaType{"jxl", "image/jxl"},
    MediaType{"log", "text/plain; charset=utf-8"},
    MediaType{"m4a", "audio/mp4"},
    MediaType{"map", "application/json"},
    MediaType{"md", "text/markdown; charset=utf-8"},
    MediaType{"mjs", "text/javascript; charset=utf-8"},
    MediaType{"mov", "video/quicktime"},
    MediaType{"mp3", "audio/mpeg"},
    MediaType{"mp4", "video/mp4"},
    MediaType{"oga", "audio/ogg"},
    MediaType{"ogg", "audio/ogg"},
    MediaType{"ogv", "video/ogg"},
    MediaType{"opus", "audio/ogg"},
    MediaType{"otf", "font/otf"},
    MediaType{"pdf", "application/pdf"},
    MediaType{"png", "image/png"},
    MediaType{"rtf", "application/rtf"},
    MediaType{"svg", "image/svg+xml"},
    MediaType{"tar", "application/x-tar"},
    MediaType{"tif", "image/tiff"},
    MediaType{"tiff", "image/tiff"},
    MediaType{"toml", "application/toml"},
    MediaType{"ttf", "font/ttf"},
    MediaType{"txt", "text/plain; charset=utf-8"},
    MediaType{"vtt", "text/vtt; charset=utf-8"},
    MediaType{"wasm", "application/wasm"},
    MediaType{"wav", "audio/wav"},
    MediaType{"webm", "video/webm"},
    MediaType{"webmanifest", "application/manifest+json"},
    MediaType{"webp", "image/webp"},
    MediaType{"woff", "font/woff"},
    MediaType{"woff2", "font/woff2"},
    MediaType{"xhtml", "application/xhtml+xml"},
    MediaType{"xml", "application/xml"},
    MediaType{"xz", "application/x-xz"},
    MediaType{"yaml", "application/yaml"},
    MediaType{"yml", "application/yaml"},
    MediaType{"zip", "application/zip"},
    MediaType{"zst", "application/zstd"},
};
static_assert(std::ranges::is_sorted(types, {}, &MediaType::ending));

constexpr std::size_t longest_ending = std::ranges::max(types, {}, [](const MediaType& type) {
                                         return type.ending.size();
                                       }).ending.size();

}  // namespace

std::string_view media_type(std::string_view file_name) noexcept {
  constexpr std::string_view unknown = "application/octet-stream";
  const std::size_t slash = file_name.rfind('/');
  const std::size_t dot = file_name.rfind('.');
  if (dot == file_name.npos || (slash != file_name.npos && dot < slash)) return unknown;
  const std::string_view ending = file_name.substr(dot + 1);
  if (ending.size() > longest_ending) return unknown;

  std::array<char, longest_ending> lowered{};
  std::ranges::transform(ending, lowered.begin(), lower);
  const std::string_view key{lowered.data(), ending.size()};
  const auto place = std::ranges::lower_bound(types, key, {}, &MediaType::ending);
  return place != types.end() && place->ending == key ? place->type : unknown;
}

}  // namespace lichen::net::http
