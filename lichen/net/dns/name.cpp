#include "lichen/net/dns/name.hpp"

#include <algorithm>

#include "lichen/base/format.hpp"
#include "lichen/net/wire/fields.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::net::dns {

namespace {

constexpr std::byte lower(std::byte byte) noexcept {
  return byte >= std::byte{'A'} && byte <= std::byte{'Z'} ? byte | std::byte{0x20} : byte;
}

constexpr bool may_stand(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

}  // namespace

std::optional<Name> Name::parse(std::string_view text) noexcept {
  if (text.ends_with('.')) text.remove_suffix(1);
  Name name;
  while (!text.empty()) {
    const std::size_t dot = std::min(text.find('.'), text.size());
    const std::string_view label = text.substr(0, dot);
    if (label.empty() || !std::ranges::all_of(label, may_stand)) return std::nullopt;
    if (!name.add_label(std::as_bytes(std::span{label}))) return std::nullopt;
    if (dot + 1 == text.size()) return std::nullopt;  // two dots at the end
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  if (name.size_ == 0 || !name.end()) return std::nullopt;
  return name;
}

std::optional<Name> Name::read(Bytes message, std::size_t& at) noexcept {
  Name name;
  std::size_t place = at;
  std::size_t segment = at;  // where this run of labels began: pointers lead before it
  bool jumped = false;
  for (;;) {
    if (place >= message.size()) return std::nullopt;
    const std::uint8_t length = wire::load8(message, place);
    if (length >> 6 == 3) {
      if (message.size() - place < 2) return std::nullopt;
      const std::size_t target = wire::load16(message, place) & 0x3fff;
      if (target >= segment) return std::nullopt;
      if (!jumped) at = place + 2;
      jumped = true;
      place = segment = target;
      continue;
    }
    if (length > most_label) return std::nullopt;
    ++place;
    if (length == 0) break;
    if (length > message.size() - place || !name.add_label(message.subspan(place, length)))
      return std::nullopt;
    place += length;
  }
  if (!jumped) at = place;
  if (!name.end()) return std::nullopt;
  return name;
}

bool Name::is_within(const Name& zone) const noexcept {
  // A label at a time: the bytes of a longer label must not pass for a zone.
  for (std::size_t at = 0; at < size_; at += 1 + std::to_integer<std::size_t>(bytes_[at])) {
    if (std::ranges::equal(bytes().subspan(at), zone.bytes())) return true;
    if (bytes_[at] == std::byte{0}) break;
  }
  return false;
}

bool operator==(const Name& a, const Name& b) noexcept {
  return std::ranges::equal(a.bytes(), b.bytes());
}

bool Name::add_label(Bytes label) noexcept {
  // One byte is left for the root.
  if (label.size() > most_label || size_ + 1 + label.size() + 1 > most) return false;
  bytes_[size_++] = static_cast<std::byte>(label.size());
  for (const std::byte byte : label) bytes_[size_++] = lower(byte);
  return true;
}

bool Name::end() noexcept {
  if (size_ + std::size_t{1} > most) return false;
  bytes_[size_++] = std::byte{0};
  return true;
}

void format_value(base::TextBuffer& out, const Name& name) noexcept {
  const Bytes bytes = name.bytes();
  std::size_t at = 0;
  while (at < bytes.size() && bytes[at] != std::byte{0}) {
    const auto size = std::to_integer<std::size_t>(bytes[at]);
    if (at > 0) base::format_to(out, ".");
    for (const std::byte byte : bytes.subspan(at + 1, size)) {
      const auto c = std::to_integer<unsigned>(byte);
      // RFC 1035 section 5.1: what is no plain character is written by its number.
      if (c > 0x20 && c < 0x7f && c != '.' && c != '\\')
        base::format_to(out, "{}", static_cast<char>(c));
      else
        base::format_to(out, "\\{:03}", c);
    }
    at += 1 + size;
  }
  if (at == 0) base::format_to(out, ".");
}

}  // namespace lichen::net::dns

#pragma clang attribute pop
