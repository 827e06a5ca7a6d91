#include "lichen/net/tcp/secrets.hpp"

#include <array>
#include <cstring>

namespace lichen::net::tcp {

namespace {

// What the hash is for, so that one of them tells nothing of another.
enum Use : std::uint64_t { sequences = 1, timestamps, table, ports, cookies };

constexpr std::uint64_t cookie_period = 64 * second;
constexpr std::uint32_t period_bits = 5;
constexpr std::uint32_t size_bits = 3;
constexpr std::uint32_t hash_bits = 32 - period_bits - size_bits;
constexpr std::uint32_t hash_mask = (1u << hash_bits) - 1;
// The segment sizes of common paths; what lies between is taken as the next smaller.
constexpr std::array<std::uint16_t, 1 << size_bits> sizes = {216,   536,   1'220, 1'360,
                                                             1'440, 1'460, 4'312, 8'960};

constexpr std::uint32_t stamp_bits = 6;
constexpr std::uint32_t stamp_mask = (1u << stamp_bits) - 1;
constexpr std::uint32_t stamp_no_scale = 15;
constexpr std::uint32_t stamp_sack = 1u << 4;
constexpr std::uint32_t stamp_ecn = 1u << 5;

}  // namespace

Secrets::Secrets(base::HashKey key) noexcept : key_{key} {
  for (std::uint64_t i = 0; i < factors_.size(); ++i) factors_[i] = keyed({}, table, i);
}

std::uint64_t Secrets::keyed(const Path& path, std::uint64_t use,
                             std::uint64_t more) const noexcept {
  struct {
    std::array<std::uint8_t, 16> local, remote;
    std::uint16_t local_port, remote_port;
    std::uint32_t use;
    std::uint64_t more;
  } input{path.local.address.octets, path.remote.address.octets,      path.local.port,
          path.remote.port,          static_cast<std::uint32_t>(use), more};
  static_assert(sizeof input == 48);
  return base::keyed_hash(key_, base::bytes_of(input));
}

// A clock of 4 us and an offset of the path's own.
Seq Secrets::initial_sequence(const Path& path, std::uint64_t now) const noexcept {
  return Seq{static_cast<std::uint32_t>(now / 4'000 + keyed(path, sequences, 0))};
}

std::uint32_t Secrets::timestamp_offset(const Path& path) const noexcept {
  return static_cast<std::uint32_t>(keyed(path, timestamps, 0));
}

std::uint64_t Secrets::hash(const Path& path) const noexcept {
  std::array<std::uint64_t, 2> from;
  std::array<std::uint64_t, 2> to;
  std::memcpy(from.data(), path.local.address.octets.data(), sizeof from);
  std::memcpy(to.data(), path.remote.address.octets.data(), sizeof to);
  const std::uint64_t ends = base::multiply_fold(from[0] ^ factors_[0], to[0] ^ factors_[1]) ^
                             base::multiply_fold(from[1] ^ factors_[2], to[1] ^ factors_[3]);
  const std::uint64_t ports = std::uint64_t{path.local.port} << 16 | path.remote.port;
  return base::multiply_fold(ends ^ factors_[4], ports ^ factors_[5]);
}

std::uint32_t Secrets::port_offset(const Path& path) const noexcept {
  Path any = path;
  any.local.port = 0;
  return static_cast<std::uint32_t>(keyed(any, ports, 0));
}

Seq Secrets::make_cookie(const Path& path, Seq peer_iss, std::uint16_t mss,
                         std::uint64_t now) const noexcept {
  std::uint32_t index = 0;
  while (index + 1 < sizes.size() && sizes[index + 1] <= mss) ++index;
  const std::uint64_t period = now / cookie_period;
  const std::uint64_t input = period << 40 | std::uint64_t{index} << 32 | peer_iss.value;
  const auto hash = static_cast<std::uint32_t>(keyed(path, cookies, input)) & hash_mask;
  const auto top = static_cast<std::uint32_t>(period) << (32 - period_bits);
  return Seq{top | index << hash_bits | hash};
}

std::optional<std::uint16_t> Secrets::check_cookie(const Path& path, Seq cookie, Seq peer_iss,
                                                   std::uint64_t now) const noexcept {
  const std::uint32_t index = cookie.value >> hash_bits & ((1u << size_bits) - 1);
  std::uint64_t period = now / cookie_period;
  for (int tries = 0; tries < 2; ++tries, --period) {
    if ((static_cast<std::uint32_t>(period) << (32 - period_bits) ^ cookie.value) >>
            (32 - period_bits) !=
        0)
      continue;
    const std::uint64_t input = period << 40 | std::uint64_t{index} << 32 | peer_iss.value;
    const auto hash = static_cast<std::uint32_t>(keyed(path, cookies, input)) & hash_mask;
    if (hash == (cookie.value & hash_mask)) return sizes[index];
  }
  return std::nullopt;
}

std::uint32_t Secrets::stamp(std::uint32_t timestamp, const Agreed& agreed) noexcept {
  std::uint32_t bits = agreed.scaling ? agreed.send_scale : stamp_no_scale;
  if (agreed.sack) bits |= stamp_sack;
  if (agreed.ecn) bits |= stamp_ecn;
  const std::uint32_t stamped = (timestamp & ~stamp_mask) | bits;
  // Never ahead of the clock, which goes on from here.
  return Seq{stamped} > Seq{timestamp} ? stamped - (1u << stamp_bits) : stamped;
}

Agreed Secrets::read_stamp(std::uint32_t timestamp) noexcept {
  Agreed agreed;
  agreed.timestamps = true;
  const std::uint32_t scale = timestamp & 15;
  agreed.scaling = scale != stamp_no_scale;
  agreed.send_scale = agreed.scaling ? static_cast<std::uint8_t>(scale) : 0;
  agreed.sack = (timestamp & stamp_sack) != 0;
  agreed.ecn = (timestamp & stamp_ecn) != 0;
  return agreed;
}

}  // namespace lichen::net::tcp
