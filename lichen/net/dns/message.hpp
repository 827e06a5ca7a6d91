// DNS messages (RFC 1035 section 4), as far as a stub resolver needs them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "lichen/net/dns/name.hpp"
#include "lichen/net/wire/address.hpp"

namespace lichen::net::dns {

inline constexpr std::uint16_t server_port = 53;
// What we say we take in one datagram (RFC 6891 section 6.2.5): less than any path's MTU.
inline constexpr std::size_t most_message = 1'232;
inline constexpr std::size_t most_query = 12 + Name::most + 4 + 11;

enum class Kind : std::uint16_t { ipv4 = 1, ipv6 = 28 };  // records of type A, AAAA

struct Question {
  Name name;
  Kind kind = Kind::ipv4;

  friend bool operator==(const Question&, const Question&) noexcept = default;
};

std::size_t write_query(std::span<std::byte, most_query> out, std::uint16_t id,
                        const Question& question) noexcept;

struct Addresses {
  static constexpr std::size_t most = 8;

  std::array<wire::IpAddress, most> list{};
  std::size_t count = 0;

  [[nodiscard]] std::span<const wire::IpAddress> all() const noexcept {
    return std::span{list}.first(count);
  }
};

enum class Outcome : std::uint8_t {
  found,
  alias,      // the name stands for `target`, and the server does not say what that is
  no_data,    // the name exists and has no such address
  no_name,    // it does not exist
  failed,     // the server cannot or will not say
  truncated,  // the answer does not fit a datagram
};

struct Response {
  Outcome outcome = Outcome::failed;
  Addresses addresses;
  Name target;
  unsigned aliases = 0;  // followed
  // How long this may be remembered; nothing for negative answers without a word about it (RFC
  // 2308 section 5).
  std::optional<std::uint32_t> ttl_s;
};

// Aliases are followed inside the message, no more than this.
inline constexpr unsigned most_aliases = 8;

// Nothing for what is no answer to this question: of another id or question, malformed, a question
// itself. Wait on: the true answer may still come.
std::optional<Response> parse_response(Bytes message, std::uint16_t id,
                                       const Question& question) noexcept;

}  // namespace lichen::net::dns
