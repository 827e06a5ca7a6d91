// Paths and queries of request targets (RFC 3986): decoded, and paths made safe to look up.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "lichen/base/result.hpp"

namespace lichen::net::http {

// A path below some root: names joined by single slashes, none of them "." or "..", without a slash
// at either end. Empty for the root itself.
struct DecodedPath {
  std::string_view relative;  // in the memory that was lent
  bool is_folder = false;     // the target ended with a slash (or with "/." or "/..")
};

// Decodes the path of a target, which begins with '/'. `into` MUST be as long as `path`; nothing
// longer is needed. Dot segments are resolved after decoding, so "%2e%2e" is "..".
//
// Error::path_escapes: ".." would lead out of the root. Error::invalid_argument: a broken escape,
// or an octet that could mean something else to whoever looks the path up: NUL and other controls,
// backslash, and a slash that was encoded.
Result<DecodedPath> decode_path(std::string_view path, std::span<char> into) noexcept;

// One pair of a query: "name=value", or a name alone. Still encoded.
struct QueryPair {
  std::string_view name;
  std::string_view value;
};
// Takes the next pair off the front; nullopt when none is left. Empty pairs are skipped.
std::optional<QueryPair> next_pair(std::string_view& query) noexcept;

// Decodes a name or value of a query: %XX, and '+' is a space. Never longer than `text`.
// Error::invalid_argument for a broken escape, Error::buffer_too_small when it does not fit `into`.
Result<std::string_view> decode_component(std::string_view text, std::span<char> into) noexcept;

// The decoded value of the first pair of this name, which is given decoded. Error::not_found if
// there is none, Error::buffer_too_small if its value is longer than `into`.
Result<std::string_view> find_in_query(std::string_view query, std::string_view name,
                                       std::span<char> into) noexcept;

}  // namespace lichen::net::http
