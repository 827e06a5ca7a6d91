#include "lichen/base/format.hpp"

#include <algorithm>
#include <charconv>

namespace lichen::base {

namespace {

void write_integer(TextBuffer& out, bool negative, std::uint64_t magnitude,
                   const FormatSpec& spec) noexcept {
  int base = 10;
  std::string_view prefix;
  switch (spec.type) {
    case 'x': base = 16, prefix = "0x"; break;
    case 'X': base = 16, prefix = "0X"; break;
    case 'b': base = 2, prefix = "0b"; break;
    case 'o': base = 8, prefix = magnitude != 0 ? "0" : ""; break;
    default: break;
  }
  char digits[64];
  char* end = std::to_chars(digits, std::end(digits), magnitude, base).ptr;
  if (spec.type == 'X') {
    std::transform(digits, end, digits, [](char c) { return c >= 'a' ? c - 'a' + 'A' : c; });
  }
  const std::size_t start = out.full_size();
  if (negative) out.append('-');
  if (spec.alternate) out.append(prefix);
  const std::size_t after_prefix = out.full_size();
  out.append(std::string_view{digits, end});
  if (spec.zero && spec.align == 0) {
    const std::size_t width = out.full_size() - start;
    const auto wanted = static_cast<std::size_t>(spec.width);
    if (width < wanted) out.insert(after_prefix, wanted - width, '0');
  } else {
    pad(out, start, spec, '>');
  }
}

}  // namespace

void pad(TextBuffer& out, std::size_t start, const FormatSpec& spec, char natural) noexcept {
  const std::size_t width = out.full_size() - start;
  if (width >= static_cast<std::size_t>(spec.width)) return;
  const std::size_t missing = static_cast<std::size_t>(spec.width) - width;
  const char align = spec.align != 0 ? spec.align : natural;
  const std::size_t left = align == '<' ? 0 : align == '>' ? missing : missing / 2;
  if (left > 0) out.insert(start, left, spec.fill);
  if (left < missing) out.insert(out.full_size(), missing - left, spec.fill);
}

void FormatArgument::write_text(TextBuffer& out, const FormatArgument& argument,
                                const FormatSpec& spec) noexcept {
  const std::size_t start = out.full_size();
  const bool cut = spec.precision >= 0;
  out.append(cut ? argument.text_.substr(0, static_cast<std::size_t>(spec.precision))
                 : argument.text_);
  pad(out, start, spec, '<');
}

void FormatArgument::write_signed(TextBuffer& out, const FormatArgument& argument,
                                  const FormatSpec& spec) noexcept {
  const bool negative = static_cast<std::int64_t>(argument.integer_) < 0;
  write_integer(out, negative, negative ? 0 - argument.integer_ : argument.integer_, spec);
}

void FormatArgument::write_unsigned(TextBuffer& out, const FormatArgument& argument,
                                    const FormatSpec& spec) noexcept {
  write_integer(out, false, argument.integer_, spec);
}

void FormatArgument::write_pointer(TextBuffer& out, const FormatArgument& argument,
                                   const FormatSpec& spec) noexcept {
  FormatSpec hexadecimal = spec;
  hexadecimal.type = 'x';
  hexadecimal.alternate = true;
  write_integer(out, false, reinterpret_cast<std::uintptr_t>(argument.pointer_), hexadecimal);
}

void format_value(TextBuffer& out, Error error) noexcept { out.append(name(error)); }

void format_arguments(TextBuffer& out, std::string_view text,
                      std::span<const FormatArgument> arguments) noexcept {
  auto next = arguments.begin();
  read_format(
      text, [&](std::string_view plain) { out.append(plain); },
      [&](const FormatSpec& spec) { (next++)->write(out, spec); });
}

}  // namespace lichen::base
