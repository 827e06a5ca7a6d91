// Numbers that nobody else can guess: initial sequence numbers (RFC 6528), offsets of timestamps
// (RFC 7323 section 5.4), ports (RFC 6056) and SYN cookies (RFC 4987 section 3.6).
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "lichen/base/hash.hpp"
#include "lichen/net/tcp/connection.hpp"
#include "lichen/net/tcp/output.hpp"
#include "lichen/net/tcp/sequence.hpp"

namespace lichen::net::tcp {

class Secrets {
 public:
  // From the machine's source of randomness.
  explicit Secrets(base::HashKey key) noexcept;

  [[nodiscard]] Seq initial_sequence(const Path& path, std::uint64_t now) const noexcept;
  [[nodiscard]] std::uint32_t timestamp_offset(const Path& path) const noexcept;
  // For the table of connections; made for each segment, so by a few products with secret numbers.
  [[nodiscard]] std::uint64_t hash(const Path& path) const noexcept;
  // Where the search for a port begins; the path's own port has no meaning.
  [[nodiscard]] std::uint32_t port_offset(const Path& path) const noexcept;

  // The number of a SYN-ACK that says what the SYN was, so that nothing needs to be kept. It is
  // good for one to two minutes.
  [[nodiscard]] Seq make_cookie(const Path& path, Seq peer_iss, std::uint16_t mss,
                                std::uint64_t now) const noexcept;
  // The largest segment it stands for, nothing if it was not made here.
  [[nodiscard]] std::optional<std::uint16_t> check_cookie(const Path& path, Seq cookie,
                                                          Seq peer_iss,
                                                          std::uint64_t now) const noexcept;

  // What else was agreed, in the timestamp of that SYN-ACK, which the peer echoes: its lowest bits.
  [[nodiscard]] static std::uint32_t stamp(std::uint32_t timestamp, const Agreed& agreed) noexcept;
  [[nodiscard]] static Agreed read_stamp(std::uint32_t timestamp) noexcept;

 private:
  [[nodiscard]] std::uint64_t keyed(const Path& path, std::uint64_t use,
                                    std::uint64_t more) const noexcept;

  base::HashKey key_;
  std::array<std::uint64_t, 6> factors_;  // of hash()
};

}  // namespace lichen::net::tcp
