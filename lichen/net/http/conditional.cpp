#include "lichen/net/http/conditional.hpp"

#include "lichen/net/http/date.hpp"
#include "lichen/net/http/text.hpp"

namespace lichen::net::http {
namespace {

// Whether any of the fields of this name is "*" or lists a tag that compares equal. A list that
// cannot be read matches nothing.
template <class Equal>
bool matches_any(const Fields& fields, std::string_view name, const Validators& current,
                 Equal equal) {
  for (const Field field : fields) {
    if (!equals(field.name, name)) continue;
    if (field.value == "*") return current.exists;
    std::string_view list = field.value;
    for (auto text = next_element(list); !text.empty(); text = next_element(list)) {
      const auto tag = EntityTag::parse(text);
      if (!tag) break;
      if (current.exists && !current.tag.opaque.empty() && equal(*tag, current.tag)) return true;
    }
  }
  return false;
}

std::optional<std::int64_t> date_field(const Fields& fields, std::string_view name,
                                       const Validators& current) {
  if (!current.exists || !current.modified) return std::nullopt;
  const auto text = fields.find_only(name);
  return text ? parse_date(*text, *current.modified) : std::nullopt;
}

}  // namespace

std::optional<EntityTag> EntityTag::parse(std::string_view text) noexcept {
  EntityTag tag{.opaque = text, .weak = text.starts_with("W/")};
  if (tag.weak) tag.opaque.remove_prefix(2);
  if (tag.opaque.size() < 2 || tag.opaque.front() != '"' || tag.opaque.back() != '"')
    return std::nullopt;
  const std::string_view inside = tag.opaque.substr(1, tag.opaque.size() - 2);
  if (!inside.empty() && !all(etag_char, inside)) return std::nullopt;
  return tag;
}

Precondition evaluate(const RequestHead& request, const Validators& current) noexcept {
  const Fields& fields = request.fields;
  if (fields.find("If-Match")) {
    const auto equal = [](const EntityTag& a, const EntityTag& b) { return a.strongly_equals(b); };
    if (!matches_any(fields, "If-Match", current, equal)) return Precondition::failed;
  } else if (const auto date = date_field(fields, "If-Unmodified-Since", current)) {
    if (*current.modified > *date) return Precondition::failed;
  }

  const bool reads = request.method == Method::get || request.method == Method::head;
  if (fields.find("If-None-Match")) {
    const auto equal = [](const EntityTag& a, const EntityTag& b) { return a.weakly_equals(b); };
    if (matches_any(fields, "If-None-Match", current, equal))
      return reads ? Precondition::not_modified : Precondition::failed;
  } else if (reads) {
    const auto date = date_field(fields, "If-Modified-Since", current);
    if (date && *current.modified <= *date) return Precondition::not_modified;
  }
  return Precondition::proceed;
}

bool range_is_current(const RequestHead& request, const Validators& current,
                      std::int64_t now) noexcept {
  const auto text = request.fields.find("If-Range");
  if (!text) return true;
  if (const auto tag = EntityTag::parse(*text))
    return !current.tag.opaque.empty() && tag->strongly_equals(current.tag);
  if (!current.modified || !request.fields.find_only("If-Range")) return false;
  const auto date = parse_date(*text, now);
  return date && *date == *current.modified && *current.modified < now - 1;
}

}  // namespace lichen::net::http
