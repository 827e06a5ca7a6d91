#include "lichen/net/http/target.hpp"

#include <algorithm>

#include "lichen/net/http/text.hpp"

namespace lichen::net::http {
namespace {

// The octet that an escape at the front of `text` stands for.
std::optional<char> decode_escape(std::string_view text) noexcept {
  if (text.size() < 3 || !is(hex_char, text[1]) || !is(hex_char, text[2])) return std::nullopt;
  return static_cast<char>(hex_value(text[1]) * 16 + hex_value(text[2]));
}

// Whether the encoded text stands for `plain`.
bool decodes_to(std::string_view text, std::string_view plain) noexcept {
  for (const char expected : plain) {
    if (text.empty()) return false;
    char c = text.front() == '+' ? ' ' : text.front();
    std::size_t used = 1;
    if (c == '%') {
      const auto octet = decode_escape(text);
      if (!octet) return false;
      c = *octet;
      used = 3;
    }
    if (c != expected) return false;
    text.remove_prefix(used);
  }
  return text.empty();
}

}  // namespace

Result<DecodedPath> decode_path(std::string_view path, std::span<char> into) noexcept {
  if (path.empty() || path.front() != '/' || into.size() < path.size())
    return Error::invalid_argument;
  char* const begin = into.data();
  char* end = begin;      // of what is done: whole segments, each with a slash behind it
  bool is_folder = true;  // the last segment was empty, or a dot segment

  for (path.remove_prefix(1);; path.remove_prefix(1)) {
    char* segment = end;
    for (; !path.empty() && path.front() != '/'; path.remove_prefix(1)) {
      char c = path.front();
      if (c == '%') {
        const auto octet = decode_escape(path);
        if (!octet || *octet == '/') return Error::invalid_argument;
        c = *octet;
        path.remove_prefix(2);
      }
      if (c == '\\' || c == 0x7f || static_cast<unsigned char>(c) < 0x20)
        return Error::invalid_argument;
      *end++ = c;
    }
    const std::string_view name{segment, static_cast<std::size_t>(end - segment)};
    is_folder = name.empty() || name == "." || name == "..";
    if (name == "..") {
      if (segment == begin) return Error::path_escapes;
      // Before the segment there is a slash, and before that the name that goes too.
      end = segment - 1;
      while (end != begin && end[-1] != '/') --end;
    } else if (is_folder) {
      end = segment;
    } else if (!path.empty()) {
      *end++ = '/';
    }
    if (path.empty()) break;
  }
  if (end != begin && end[-1] == '/') --end;
  return DecodedPath{{begin, static_cast<std::size_t>(end - begin)}, is_folder};
}

std::optional<QueryPair> next_pair(std::string_view& query) noexcept {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty()) continue;
    const std::size_t mark = std::min(pair.find('='), pair.size());
    return QueryPair{pair.substr(0, mark), pair.substr(std::min(mark + 1, pair.size()))};
  }
  return std::nullopt;
}

Result<std::string_view> decode_component(std::string_view text, std::span<char> into) noexcept {
  char* end = into.data();
  for (; !text.empty(); text.remove_prefix(1)) {
    char c = text.front() == '+' ? ' ' : text.front();
    if (c == '%') {
      const auto octet = decode_escape(text);
      if (!octet) return Error::invalid_argument;
      c = *octet;
      text.remove_prefix(2);
    }
    if (end == into.data() + into.size()) return Error::buffer_too_small;
    *end++ = c;
  }
  return std::string_view{into.data(), static_cast<std::size_t>(end - into.data())};
}

Result<std::string_view> find_in_query(std::string_view query, std::string_view name,
                                       std::span<char> into) noexcept {
  while (const auto pair = next_pair(query))
    if (decodes_to(pair->name, name)) return decode_component(pair->value, into);
  return Error::not_found;
}

}  // namespace lichen::net::http
