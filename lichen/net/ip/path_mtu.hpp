// What was learnt of the paths to destinations that take less than the interface does (RFC 1191,
// RFC 8201). Only who believes the message may lower a path; nothing here raises one but time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "lichen/net/ip/time.hpp"
#include "lichen/net/wire/address.hpp"

namespace lichen::net::ip {

inline constexpr std::uint32_t least_ipv6_mtu = 1'280;  // RFC 8200 section 5
// Less than that is not believed of a path today: it would only make us send tiny packets. A path
// that really takes less is sent fragments.
inline constexpr std::uint32_t least_ipv4_mtu = 552;

class PathMtu {
 public:
  static constexpr std::uint64_t lifetime = 600 * second;  // RFC 1191 section 6.3

  explicit PathMtu(std::uint64_t key) noexcept : key_{key} {}

  // `most` if nothing less is known.
  [[nodiscard]] std::uint32_t of(const wire::IpAddress& to, std::uint32_t most,
                                 std::uint64_t now) const noexcept;
  // False: it was as low already, or the number is not to be believed.
  bool lower(const wire::IpAddress& to, std::uint32_t mtu, std::uint64_t now) noexcept;

 private:
  struct Entry {
    wire::IpAddress to;
    std::uint32_t mtu = 0;
    std::uint64_t expires = 0;
  };
  static constexpr std::size_t sets = 16, ways = 4;
  [[nodiscard]] std::size_t set_of(const wire::IpAddress& to) const noexcept;

  std::uint64_t key_;
  bool used_ = false;
  std::array<std::array<Entry, ways>, sets> entries_{};
};

}  // namespace lichen::net::ip
