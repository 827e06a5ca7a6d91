// Fields: the header fields of a message, as views of the buffer that holds its head.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "lichen/net/http/text.hpp"

namespace lichen::net::http {

struct Field {
  std::string_view name;   // a token; compare it without case
  std::string_view value;  // without the white space around it
};

// In the order of arrival. Eight bytes a field, because a request that waits for its body keeps
// them: a head is at most 65,535 bytes long. The buffer MUST outlive the fields.
class Fields {
  struct Place {
    std::uint16_t name;
    std::uint16_t name_size;
    std::uint16_t value;
    std::uint16_t value_size;
  };

 public:
  static constexpr std::size_t capacity = 100;
  static constexpr std::size_t max_head = 65'535;

  class Iterator {
   public:
    Field operator*() const noexcept {
      return {{base_ + place_->name, place_->name_size},
              {base_ + place_->value, place_->value_size}};
    }
    Iterator& operator++() noexcept {
      ++place_;
      return *this;
    }
    bool operator==(const Iterator& other) const noexcept { return place_ == other.place_; }

   private:
    friend class Fields;
    Iterator(const char* base, const Place* place) noexcept : base_{base}, place_{place} {}

    const char* base_;
    const Place* place_;
  };

  // User-provided, so that a value-initialised Fields does not clear what nobody reads.
  Fields() noexcept {}

  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  [[nodiscard]] Iterator begin() const noexcept { return {base_, places_.data()}; }
  [[nodiscard]] Iterator end() const noexcept { return {base_, places_.data() + count_}; }

  // The value of the first field of this name. An empty value is a value.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept {
    for (std::size_t i = 0; i < count_; ++i) {
      const Place& place = places_[i];
      if (place.name_size == name.size() && equals({base_ + place.name, place.name_size}, name))
        return std::string_view{base_ + place.value, place.value_size};
    }
    return std::nullopt;
  }
  // The same, but nullopt when there are several: for fields of which there may be only one.
  [[nodiscard]] std::optional<std::string_view> find_only(std::string_view name) const noexcept {
    std::optional<std::string_view> found;
    for (const Field field : *this) {
      if (!equals(field.name, name)) continue;
      if (found) return std::nullopt;
      found = field.value;
    }
    return found;
  }
  // Whether a field of this name, or one of several, lists the token.
  [[nodiscard]] bool lists(std::string_view name, std::string_view token) const noexcept {
    for (const Field field : *this)
      if (equals(field.name, name) && has_token(field.value, token)) return true;
    return false;
  }

  // For the parser. Name and value MUST lie within max_head bytes of `base`.
  void reset(const char* base) noexcept {
    base_ = base;
    count_ = 0;
  }
  [[nodiscard]] bool full(std::size_t limit) const noexcept { return count_ >= limit; }
  void add(std::string_view name, std::string_view value) noexcept {
    assert(count_ < capacity);
    places_[count_++] = {offset(name.data()), static_cast<std::uint16_t>(name.size()),
                         offset(value.data()), static_cast<std::uint16_t>(value.size())};
  }

 private:
  [[nodiscard]] std::uint16_t offset(const char* p) const noexcept {
    return static_cast<std::uint16_t>(p - base_);
  }

  const char* base_ = nullptr;
  std::uint32_t count_ = 0;
  std::array<Place, capacity> places_;
};

}  // namespace lichen::net::http
