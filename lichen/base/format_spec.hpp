// The grammar of format strings: read once by the compiler, which refuses what is wrong, and once
// more when the text is written.
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <string_view>

namespace lichen::base {

class TextBuffer;

struct FormatSpec {
  char fill = ' ';
  char align = 0;          // < ^ > or 0, the type's own
  bool alternate = false;  // #
  bool zero = false;       // 0
  int width = 0;
  int precision = -1;  // none
  char type = 0;       // none
};

enum class FormatKind : unsigned char {
  none,
  boolean,
  character,
  integer,
  real,
  text,
  pointer,
  custom,
};

// The most digits after the point of a number, and the widest field.
inline constexpr int max_real_precision = 60;
inline constexpr int max_format_width = 4096;

// Fills what was written from `start` on up to the width. `natural` is the alignment of a field
// that names none.
void pad(TextBuffer& out, std::size_t start, const FormatSpec& spec, char natural) noexcept;

constexpr bool fits(const FormatSpec& spec, FormatKind kind) noexcept {
  const auto type_is_one_of = [&](std::string_view types) {
    return spec.type == 0 || types.contains(spec.type);
  };
  const bool plain = !spec.alternate && !spec.zero;
  switch (kind) {
    case FormatKind::none: return false;
    case FormatKind::boolean: return plain && spec.precision < 0 && type_is_one_of("s");
    case FormatKind::character: return plain && spec.precision < 0 && type_is_one_of("c");
    case FormatKind::integer: return spec.precision < 0 && type_is_one_of("dxXbo");
    case FormatKind::real:
      return !spec.alternate && spec.precision <= max_real_precision && type_is_one_of("efg");
    case FormatKind::text: return plain && type_is_one_of("s");
    case FormatKind::pointer: return plain && spec.precision < 0 && type_is_one_of("p");
    case FormatKind::custom: return plain && spec.precision < 0 && spec.type == 0;
  }
  return false;
}

// Reads what stands between { and }, and takes it and the } off `rest`. False: malformed.
constexpr bool read_spec(std::string_view& rest, FormatSpec& spec) noexcept {
  const auto take = [&](char wanted) {
    if (!rest.starts_with(wanted)) return false;
    rest.remove_prefix(1);
    return true;
  };
  const auto is_align = [](char c) { return c == '<' || c == '^' || c == '>'; };
  const auto is_digit = [&] { return !rest.empty() && rest[0] >= '0' && rest[0] <= '9'; };
  const auto number = [&] {
    int value = 0;
    for (; is_digit() && value <= max_format_width; rest.remove_prefix(1)) {
      value = 10 * value + (rest[0] - '0');
    }
    return value;
  };

  if (take('}')) return true;
  if (!take(':')) return false;
  if (rest.size() >= 2 && is_align(rest[1])) {
    spec.fill = rest[0];
    spec.align = rest[1];
    rest.remove_prefix(2);
  } else if (!rest.empty() && is_align(rest[0])) {
    spec.align = rest[0];
    rest.remove_prefix(1);
  }
  spec.alternate = take('#');
  spec.zero = take('0');
  spec.width = number();
  if (take('.')) {
    if (!is_digit()) return false;
    spec.precision = number();
  }
  if (!rest.empty() && rest[0] != '}') {
    spec.type = rest[0];
    rest.remove_prefix(1);
  }
  return take('}') && spec.fill != '{' && spec.fill != '}' && spec.width <= max_format_width &&
         spec.precision <= max_format_width;
}

// Calls text(std::string_view) for each piece of plain text and field(FormatSpec) for each field,
// in order. False: malformed, and only what stands before the fault was reported.
template <class Text, class Field>
constexpr bool read_format(std::string_view rest, Text text, Field field) noexcept {
  while (!rest.empty()) {
    const std::size_t brace = std::min(rest.find_first_of("{}"), rest.size());
    if (brace > 0) text(rest.substr(0, brace));
    rest.remove_prefix(brace);
    if (rest.empty()) return true;
    if (rest.starts_with("{{") || rest.starts_with("}}")) {
      text(rest.substr(0, 1));
      rest.remove_prefix(2);
      continue;
    }
    if (rest[0] == '}') return false;
    rest.remove_prefix(1);
    FormatSpec spec;
    if (!read_spec(rest, spec)) return false;
    field(spec);
  }
  return true;
}

// Not constant and defined nowhere: the compiler's message names the one that was reached.
void this_format_string_is_malformed();
void this_format_string_has_more_fields_than_arguments();
void this_format_string_has_fewer_fields_than_arguments();
void a_specification_does_not_suit_the_type_of_its_argument();

// `kinds` ends with `none`.
consteval void check_format(std::string_view text, std::initializer_list<FormatKind> kinds) {
  auto kind = kinds.begin();
  const bool whole = read_format(
      text, [](std::string_view) {},
      [&](const FormatSpec& spec) {
        if (*kind == FormatKind::none) return this_format_string_has_more_fields_than_arguments();
        if (!fits(spec, *kind++)) a_specification_does_not_suit_the_type_of_its_argument();
      });
  if (!whole) this_format_string_is_malformed();
  if (*kind != FormatKind::none) this_format_string_has_fewer_fields_than_arguments();
}

}  // namespace lichen::base
