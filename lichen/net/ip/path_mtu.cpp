#include "lichen/net/ip/path_mtu.hpp"

#include <algorithm>
#include <cstring>

#include "lichen/base/hash.hpp"

namespace lichen::net::ip {

std::uint32_t PathMtu::of(const wire::IpAddress& to, std::uint32_t most,
                          std::uint64_t now) const noexcept {
  if (!used_) return most;
  for (const Entry& entry : entries_[set_of(to)])
    if (entry.expires > now && entry.to == to) return std::min(most, entry.mtu);
  return most;
}

bool PathMtu::lower(const wire::IpAddress& to, std::uint32_t mtu, std::uint64_t now) noexcept {
  // RFC 8201 section 4: a message that says less than the least is dropped.
  if (!to.is_ipv4() && mtu < least_ipv6_mtu) return false;
  mtu = std::max(mtu, to.is_ipv4() ? least_ipv4_mtu : least_ipv6_mtu);
  Entry* place = nullptr;
  for (Entry& entry : entries_[set_of(to)]) {
    if (entry.to == to && entry.expires > now) {
      if (entry.mtu <= mtu) return false;
      place = &entry;
      break;
    }
    if (place == nullptr || entry.expires < place->expires) place = &entry;
  }
  *place = {to, mtu, now + lifetime};
  used_ = true;
  return true;
}

std::size_t PathMtu::set_of(const wire::IpAddress& to) const noexcept {
  std::uint64_t halves[2];
  std::memcpy(halves, to.octets.data(), sizeof halves);
  return base::hash(base::multiply_fold(halves[0] ^ key_, halves[1] ^ ~key_)) % sets;
}

}  // namespace lichen::net::ip
