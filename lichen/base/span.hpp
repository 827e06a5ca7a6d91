// Bytes, text and objects seen as one another, without copying.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <type_traits>

namespace lichen::base {

// The bytes of a text.
[[nodiscard]] inline std::span<const std::byte> as_bytes(std::string_view text) noexcept {
  return std::as_bytes(std::span{text});
}

// Bytes as text, whatever they hold.
[[nodiscard]] inline std::string_view as_string_view(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The bytes an object is made of, its padding included.
template <class T>
  requires std::is_trivially_copyable_v<T>
[[nodiscard]] std::span<const std::byte, sizeof(T)> bytes_of(const T& object) noexcept {
  return std::as_bytes(std::span<const T, 1>{&object, 1});
}

// The same, to be filled in. Every pattern of bytes written MUST be a value of T.
template <class T>
  requires(std::is_trivially_copyable_v<T> && !std::is_const_v<T>)
[[nodiscard]] std::span<std::byte, sizeof(T)> writable_bytes_of(T& object) noexcept {
  return std::as_writable_bytes(std::span<T, 1>{&object, 1});
}

}  // namespace lichen::base
