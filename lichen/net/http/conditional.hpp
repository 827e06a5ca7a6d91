// Conditional requests (RFC 9110 section 13): whether a representation is still the one a client
// knows.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "lichen/net/http/parser.hpp"

namespace lichen::net::http {

// An entity tag as a field holds it: W/"x" or "x" (RFC 9110 section 8.8.3).
struct EntityTag {
  std::string_view opaque;  // with the quotation marks; empty: there is no tag
  bool weak = false;

  static std::optional<EntityTag> parse(std::string_view text) noexcept;

  // Both MUST be tags. Two weak ones are never strongly equal.
  [[nodiscard]] bool strongly_equals(const EntityTag& other) const noexcept {
    return !weak && !other.weak && opaque == other.opaque;
  }
  [[nodiscard]] bool weakly_equals(const EntityTag& other) const noexcept {
    return opaque == other.opaque;
  }
};

// What is known about the current representation of the target.
struct Validators {
  bool exists = true;
  EntityTag tag{};
  std::optional<std::int64_t> modified{};  // seconds since 1970-01-01 00:00 UTC
};

enum class Precondition : std::uint8_t {
  proceed,       // do what the method says
  not_modified,  // answer 304, with the validators
  failed,        // answer 412
};

// In the order of precedence of RFC 9110 section 13.2.2.
Precondition evaluate(const RequestHead& request, const Validators& current) noexcept;

// Whether a Range may be honoured: there is no If-Range, or it names the current representation.
// `now` is the time of the answer: a date is a strong validator only when the representation is
// older than a second.
bool range_is_current(const RequestHead& request, const Validators& current,
                      std::int64_t now) noexcept;

}  // namespace lichen::net::http
