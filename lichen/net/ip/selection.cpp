#include "lichen/net/ip/selection.hpp"

#include <algorithm>
#include <array>

namespace lichen::net::ip {

namespace {

// RFC 6724 section 3.1: how far an address reaches, as multicast scopes are numbered.
unsigned scope(const wire::IpAddress& address) noexcept {
  constexpr unsigned link = 2, site = 5, global = 14;
  if (address.is_ipv4()) return address.is_loopback() || address.is_link_local() ? link : global;
  if (address.is_multicast()) return address.octets[1] & 0xfu;
  if (address.is_loopback() || address.is_link_local()) return link;
  if (address.octets[0] == 0xfe && (address.octets[1] & 0xc0) == 0xc0) return site;
  return global;
}

// The default policy table (section 2.1): addresses of one kind talk to each other.
unsigned label(const wire::IpAddress& address) noexcept {
  if (address.is_ipv4()) return 4;
  if (address.is_loopback()) return 0;
  const auto& o = address.octets;
  if (o[0] == 0x20 && o[1] == 0x02) return 2;
  if (o[0] == 0x20 && o[1] == 0x01 && o[2] == 0 && o[3] == 0) return 5;
  if ((o[0] & 0xfe) == 0xfc) return 13;
  return 1;
}

// Section 2.2, no further than the prefix of the source.
unsigned common_bits(const LocalAddress& source, const wire::IpAddress& to) noexcept {
  const unsigned first = source.address.is_ipv4() ? 96 : 0;
  unsigned bits = 0;
  while (bits < source.bits) {
    const unsigned at = first + bits;
    if (((source.address.octets[at / 8] ^ to.octets[at / 8]) & (0x80 >> at % 8)) != 0) break;
    ++bits;
  }
  return bits;
}

// Whether `a` is the better source. Both are usable and of the family of `to`.
bool is_better(const LocalAddress& a, const LocalAddress& b, const wire::IpAddress& to) noexcept {
  if (a.address == to || b.address == to) return a.address == to;  // rule 1
  const unsigned scope_a = scope(a.address);
  const unsigned scope_b = scope(b.address);
  if (scope_a != scope_b)  // rule 2: the smallest that reaches it, else the largest
    return scope_a < scope_b ? scope_a >= scope(to) : scope_b < scope(to);
  if (a.state != b.state) return a.state == AddressState::preferred;  // rule 3
  const bool label_a = label(a.address) == label(to);
  const bool label_b = label(b.address) == label(to);
  if (label_a != label_b) return label_a;          // rule 6
  return common_bits(a, to) > common_bits(b, to);  // rule 8
}

// The other column of the policy table.
unsigned precedence(const wire::IpAddress& address) noexcept {
  if (address.is_ipv4()) return 35;
  switch (label(address)) {
    case 0: return 50;
    case 2: return 30;
    case 5: return 5;
    case 13: return 3;
    default: return 40;
  }
}

// What section 6 looks at, of one destination.
struct Candidate {
  wire::IpAddress to;
  bool usable = false;
  bool deprecated = false;
  wire::IpAddress from;
};

// Whether `a` is to be tried before `b`; false for both orders: as they came (rule 10).
bool goes_before(const Candidate& a, const Candidate& b) noexcept {
  if (a.usable != b.usable) return a.usable;  // rule 1
  if (a.usable) {
    const bool scope_a = scope(a.to) == scope(a.from);
    const bool scope_b = scope(b.to) == scope(b.from);
    if (scope_a != scope_b) return scope_a;                 // rule 2
    if (a.deprecated != b.deprecated) return b.deprecated;  // rule 3
    const bool label_a = label(a.to) == label(a.from);
    const bool label_b = label(b.to) == label(b.from);
    if (label_a != label_b) return label_a;  // rule 5
  }
  const unsigned precedence_a = precedence(a.to);
  const unsigned precedence_b = precedence(b.to);
  if (precedence_a != precedence_b) return precedence_a > precedence_b;  // rule 6
  return scope(a.to) < scope(b.to);                                      // rule 8
}

}  // namespace

const LocalAddress* choose_source(const Interface& interface, const wire::IpAddress& to) noexcept {
  const LocalAddress* best = nullptr;
  for (const LocalAddress& candidate : interface.addresses()) {
    if (!candidate.is_usable() || candidate.address.is_ipv4() != to.is_ipv4()) continue;
    if (best == nullptr || is_better(candidate, *best, to)) best = &candidate;
  }
  return best;
}

void sort_destinations(Stack& stack, std::span<wire::IpAddress> destinations,
                       std::uint64_t now) noexcept {
  std::array<Candidate, most_destinations> candidates;
  const auto sorted = std::span{candidates}.first(std::min(destinations.size(), candidates.size()));
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    Candidate& candidate = sorted[i];
    candidate.to = destinations[i];
    const auto way = stack.way(candidate.to, {}, nullptr, now);
    if (!way) continue;
    candidate.usable = true;
    candidate.from = way->from;
    const LocalAddress* source = way->interface->find(way->from);
    candidate.deprecated = source != nullptr && source->state == AddressState::deprecated;
  }
  // By insertion: there are few, and equals keep their order.
  for (std::size_t i = 1; i < sorted.size(); ++i)
    for (std::size_t j = i; j > 0 && goes_before(sorted[j], sorted[j - 1]); --j)
      std::swap(sorted[j], sorted[j - 1]);
  for (std::size_t i = 0; i < sorted.size(); ++i) destinations[i] = sorted[i].to;
}

}  // namespace lichen::net::ip
