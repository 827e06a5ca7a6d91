// Floating point numbers, apart from format.cpp so that a program without them links none of this.
#include <charconv>
#include <cmath>

#include "lichen/base/format.hpp"

namespace lichen::base {

void FormatArgument::write_real(TextBuffer& out, auto value, const FormatSpec& spec) noexcept {
  // The longest is -DBL_MAX in fixed form: a sign, 309 digits, a point and the precision.
  char digits[320 + max_real_precision];
  const auto form = spec.type == 'e'   ? std::chars_format::scientific
                    : spec.type == 'f' ? std::chars_format::fixed
                                       : std::chars_format::general;
  std::to_chars_result written;
  if (spec.precision >= 0) {
    written = std::to_chars(digits, std::end(digits), value, form, spec.precision);
  } else if (spec.type != 0) {
    written = std::to_chars(digits, std::end(digits), value, form);
  } else {
    written = std::to_chars(digits, std::end(digits), value);
  }
  const std::size_t start = out.full_size();
  const std::string_view text{digits, written.ptr};
  out.append(text);
  if (spec.zero && spec.align == 0 && std::isfinite(value)) {
    const auto wanted = static_cast<std::size_t>(spec.width);
    if (text.size() < wanted) {
      out.insert(start + text.starts_with('-'), wanted - text.size(), '0');
    }
  } else {
    pad(out, start, spec, '>');
  }
}

void FormatArgument::write_float(TextBuffer& out, const FormatArgument& argument,
                                 const FormatSpec& spec) noexcept {
  write_real(out, *static_cast<const float*>(argument.pointer_), spec);
}

void FormatArgument::write_double(TextBuffer& out, const FormatArgument& argument,
                                  const FormatSpec& spec) noexcept {
  write_real(out, *static_cast<const double*>(argument.pointer_), spec);
}

}  // namespace lichen::base
