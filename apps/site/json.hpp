// Json: writes one JSON value (RFC 8259) into a string.
#pragma once

#include <concepts>
#include <string>
#include <string_view>

#include "lichen/base/format.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::site {

// Objects and lists are opened, filled and closed; commas are put where they belong.
class Json {
 public:
  Json& open(char bracket) {
    separate();
    text_ += bracket;
    first_ = true;
    return *this;
  }
  Json& close(char bracket) {
    text_ += bracket;
    first_ = false;
    return *this;
  }
  Json& key(std::string_view name) {
    value(name);
    text_ += ':';
    first_ = true;  // its value follows without a comma
    return *this;
  }
  Json& value(std::string_view string) {
    separate();
    text_ += '"';
    for (const char c : string) {
      if (c == '"' || c == '\\') {
        text_ += '\\';
        text_ += c;
      } else if (static_cast<unsigned char>(c) < 0x20) {
        text_ += base::format<8>("\\u{:04x}", static_cast<unsigned>(c)).view();
      } else {
        text_ += c;
      }
    }
    text_ += '"';
    return *this;
  }
  template <std::same_as<bool> T>
  Json& value(T truth) {
    separate();
    text_ += truth ? "true" : "false";
    return *this;
  }
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  Json& value(T number) {
    separate();
    text_ += base::format<24>("{}", number).view();
    return *this;
  }
  template <class T>
  Json& field(std::string_view name, const T& content) {
    return key(name).value(content);
  }
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  void separate() {
    if (!first_) text_ += ',';
    first_ = false;
  }

  std::string text_;
  bool first_ = true;
};

}  // namespace lichen::site

#pragma clang attribute pop
