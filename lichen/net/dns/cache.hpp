// What was resolved lately, and what is known not to exist, in a fixed number of places.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "lichen/net/dns/message.hpp"

namespace lichen::net::dns {

class Cache {
 public:
  static constexpr std::uint32_t most_ttl_s = 86'400;
  static constexpr std::uint32_t most_negative_ttl_s = 10'800;  // RFC 2308 section 5

  explicit Cache(std::uint64_t key) noexcept : key_{key} {}

  // Null when nothing is known (any more); no addresses: there are none.
  [[nodiscard]] const Addresses* find(const Question& question, std::uint64_t now) const noexcept;
  // In place of the entry of its set that would be the first to go.
  void add(const Question& question, const Addresses& addresses, std::uint32_t ttl_s,
           std::uint64_t now) noexcept;
  void clear() noexcept;

 private:
  struct Entry {
    Question question;
    Addresses addresses;
    std::uint64_t expires = 0;
  };
  static constexpr std::size_t sets = 64, ways = 4;
  [[nodiscard]] std::size_t set_of(const Question& question) const noexcept;

  std::uint64_t key_;
  std::array<std::array<Entry, ways>, sets> entries_{};
};

}  // namespace lichen::net::dns
