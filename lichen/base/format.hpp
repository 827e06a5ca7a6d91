// Formatting without allocation: "{}" and its specifications, checked by the compiler, into memory
// of a fixed size. Too long a text is cut and says so.
//
//   std::array<char, 64> line;
//   auto [text, truncated] = format_to(line, "{}:{:04x}", name, id);
//   auto address = format<22>("{}.{}.{}.{}:{}", a, b, c, d, port);   // a FixedString<22>
//
// A specification is a part of the one of std::format:
//
//   {:[[fill]align][#][0][width][.precision][type]}      align: < left, ^ middle, > right
//
//   integers      d x X b o; # writes the base before the digits (0x); 0 fills after sign and base
//   real numbers  e f g; .precision at most 60; with neither, the shortest that reads back the same
//   text          s; .precision is the most characters taken
//   bool          s
//   char          c
//   pointers      p
//   other types   fill, align and width of what their format_value writes
//
// A type of your own is formatted by a function beside it, found by argument-dependent lookup:
//
//   void format_value(base::TextBuffer& out, const Address& address) {
//     format_to(out, "{}:{}", address.host, address.port);
//   }
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include "lichen/base/error.hpp"
#include "lichen/base/format_spec.hpp"
#include "lichen/base/text_buffer.hpp"

namespace lichen::base {

// Writes the error's name.
void format_value(TextBuffer& out, Error error) noexcept;

template <class T>
concept CustomFormatted = (std::is_class_v<T> || std::is_enum_v<T> || std::is_union_v<T>) &&
                          requires(TextBuffer& out, const T& value) { format_value(out, value); };

// A value to be formatted, without its type. It refers to the value and MUST NOT outlive it.
class FormatArgument {
 public:
  template <class T>
  static consteval FormatKind kind_of() noexcept {
    if constexpr (CustomFormatted<T>) {
      return FormatKind::custom;
    } else if constexpr (std::same_as<T, bool>) {
      return FormatKind::boolean;
    } else if constexpr (std::same_as<T, char>) {
      return FormatKind::character;
    } else if constexpr (std::integral<T> && sizeof(T) <= sizeof(std::int64_t)) {
      return FormatKind::integer;
    } else if constexpr (std::same_as<T, float> || std::same_as<T, double>) {
      return FormatKind::real;
    } else if constexpr (std::convertible_to<const T&, std::string_view>) {
      return FormatKind::text;
    } else if constexpr (std::is_pointer_v<T> || std::is_null_pointer_v<T>) {
      return FormatKind::pointer;
    } else {
      static_assert(false, "this type has no format_value(TextBuffer&, const T&)");
    }
  }

  template <class T>
  explicit FormatArgument(const T& value) noexcept {
    constexpr FormatKind kind = kind_of<T>();
    if constexpr (kind == FormatKind::boolean) {
      text_ = value ? "true" : "false";
      write_ = write_text;
    } else if constexpr (kind == FormatKind::character) {
      text_ = {&value, 1};
      write_ = write_text;
    } else if constexpr (kind == FormatKind::text) {
      text_ = value;
      write_ = write_text;
    } else if constexpr (kind == FormatKind::integer) {
      integer_ = static_cast<std::uint64_t>(value);
      write_ = std::is_signed_v<T> ? write_signed : write_unsigned;
    } else if constexpr (kind == FormatKind::pointer) {
      pointer_ = value;
      write_ = write_pointer;
    } else if constexpr (kind == FormatKind::real) {
      pointer_ = &value;
      write_ = std::same_as<T, float> ? write_float : write_double;
    } else {
      pointer_ = &value;
      write_ = [](TextBuffer& out, const FormatArgument& argument,
                  const FormatSpec& spec) noexcept {
        const std::size_t start = out.full_size();
        format_value(out, *static_cast<const T*>(argument.pointer_));
        pad(out, start, spec, '<');
      };
    }
  }

  void write(TextBuffer& out, const FormatSpec& spec) const noexcept { write_(out, *this, spec); }

 private:
  // One function a kind, reached through a pointer, so that a program that formats no floating
  // point number does not link the tables for it.
  using Write = void(TextBuffer& out, const FormatArgument& argument,
                     const FormatSpec& spec) noexcept;
  static Write write_text, write_signed, write_unsigned, write_pointer, write_float, write_double;
  static void write_real(TextBuffer& out, auto value, const FormatSpec& spec) noexcept;

  union {
    std::uint64_t integer_;
    const void* pointer_;
    std::string_view text_;
  };
  Write* write_;
};

// A string literal that fits the types of the arguments; any other does not compile.
template <class... Args>
class FormatString {
 public:
  template <class Text>
    requires std::convertible_to<const Text&, std::string_view>
  consteval FormatString(const Text& text) noexcept : text_{text} {
    check_format(text_, {FormatArgument::kind_of<Args>()..., FormatKind::none});
  }

  [[nodiscard]] constexpr std::string_view text() const noexcept { return text_; }

 private:
  std::string_view text_;
};

// What format_to does once the types are gone. `text` MUST come from a FormatString.
void format_arguments(TextBuffer& out, std::string_view text,
                      std::span<const FormatArgument> arguments) noexcept;

template <class... Args>
void format_to(TextBuffer& out, FormatString<std::type_identity_t<Args>...> format,
               const Args&... args) noexcept {
  if constexpr (sizeof...(Args) == 0) {
    format_arguments(out, format.text(), {});
  } else {
    const FormatArgument arguments[] = {FormatArgument{args}...};
    format_arguments(out, format.text(), arguments);
  }
}

struct Formatted {
  std::string_view text;  // in the memory given
  bool truncated;         // the memory was too small for all of it
};

template <class... Args>
Formatted format_to(std::span<char> memory, FormatString<std::type_identity_t<Args>...> format,
                    const Args&... args) noexcept {
  TextBuffer out{memory};
  format_to(out, format, args...);
  return {out.text(), out.truncated()};
}

template <std::size_t capacity, class... Args>
[[nodiscard]] FixedString<capacity> format(FormatString<std::type_identity_t<Args>...> format,
                                           const Args&... args) noexcept {
  return FixedString<capacity>{[&](TextBuffer& out) { format_to(out, format, args...); }};
}

}  // namespace lichen::base

namespace lichen {
using base::format;
using base::format_to;
}  // namespace lichen
