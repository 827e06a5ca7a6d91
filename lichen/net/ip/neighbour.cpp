#include "lichen/net/ip/neighbour.hpp"

#include <algorithm>
#include <cstring>

#include "lichen/net/wire/ethernet.hpp"

namespace lichen::net::ip {

Neighbours::Neighbours(Link& link, Unpredictable& random) noexcept
    : link_{link}, random_{random}, bucket_key_{random()} {
  heads_.fill(no_slot);
  for (std::size_t i = 0; i < most_pending; ++i)
    pending_[i].next = i + 1 < most_pending ? static_cast<std::uint8_t>(i + 1) : no_slot;
}

Neighbour* Neighbours::use(std::uint8_t interface, const wire::IpAddress& address,
                           std::uint64_t now) noexcept {
  Neighbour* neighbour = look_up(interface, address);
  if (neighbour == nullptr) {
    neighbour = make(interface, address, now);
    if (neighbour == nullptr) return nullptr;
    neighbour->tries = 1;
    set(*neighbour, NeighbourState::incomplete, now + link_.interface(interface).retransmit_time);
    link_.solicit(*neighbour);
  } else if (neighbour->state == NeighbourState::stale) {
    set(*neighbour, NeighbourState::delay, now + delay_first_probe);
  }
  neighbour->used = now;
  return neighbour;
}

bool Neighbours::wait_for(Neighbour& neighbour, const Frame& frame) noexcept {
  const Pieces& pieces = frame.pieces;
  if (pieces.size() > pending_size) return false;
  if (free_pending_ == no_slot) drop_oldest();
  const std::uint8_t slot = free_pending_;
  Pending& pending = pending_[slot];
  free_pending_ = pending.next;
  ++pending_count_;
  pending.next = no_slot;
  pending.order = ++order_;
  pending.size = static_cast<std::uint16_t>(pieces.size());
  pending.offload = frame.offload;
  pieces.copy_to(pending.bytes);
  if (neighbour.first_pending == no_slot)
    neighbour.first_pending = slot;
  else
    pending_[neighbour.last_pending].next = slot;
  neighbour.last_pending = slot;
  return true;
}

bool Neighbours::learn(std::uint8_t interface, const wire::IpAddress& address,
                       const wire::MacAddress& mac, const Confirmation& what,
                       std::uint64_t now) noexcept {
  if (mac.is_group() || mac.is_zero()) return false;
  Neighbour* neighbour = look_up(interface, address);
  if (neighbour == nullptr) {
    if (!what.may_create) return false;
    neighbour = make(interface, address, now);
    if (neighbour == nullptr) return false;
    neighbour->mac = mac;
    neighbour->used = now;
    if (what.router_known) neighbour->router = what.router;
    set(*neighbour, NeighbourState::stale, never);
    return true;
  }
  // RFC 4861 section 7.2.5.
  const bool known = neighbour->has_mac();
  const bool changes = known && neighbour->mac != mac;
  if (changes && !what.overrides) {
    if (neighbour->state == NeighbourState::reachable)
      set(*neighbour, NeighbourState::stale, never);
    return true;
  }
  if (!known || changes) neighbour->mac = mac;
  if (what.router_known) neighbour->router = what.router;
  if (what.solicited)
    reach(*neighbour, now);
  else if (!known || changes)
    set(*neighbour, NeighbourState::stale, never);
  if (!known) flush(*neighbour);
  return true;
}

void Neighbours::confirm(std::uint8_t interface, const wire::IpAddress& address,
                         std::uint64_t now) noexcept {
  Neighbour* neighbour = look_up(interface, address);
  if (neighbour != nullptr && neighbour->has_mac()) reach(*neighbour, now);
}

const Neighbour* Neighbours::find(std::uint8_t interface,
                                  const wire::IpAddress& address) const noexcept {
  return const_cast<Neighbours*>(this)->look_up(interface, address);
}

void Neighbours::forget_interface(std::uint8_t interface) noexcept {
  for (Neighbour& neighbour : entries_)
    if (neighbour.state != NeighbourState::free && neighbour.interface == interface)
      remove(neighbour);
}

std::uint64_t Neighbours::advance(std::uint64_t now) noexcept {
  if (now < deadline_) return deadline_;
  deadline_ = never;
  for (Neighbour& neighbour : entries_) {
    if (neighbour.deadline <= now) {
      const std::uint64_t retransmit = link_.interface(neighbour.interface).retransmit_time;
      switch (neighbour.state) {
        case NeighbourState::reachable: set(neighbour, NeighbourState::stale, never); break;
        case NeighbourState::delay:
          neighbour.tries = 1;
          set(neighbour, NeighbourState::probe, now + retransmit);
          link_.solicit(neighbour);
          break;
        case NeighbourState::incomplete:
        case NeighbourState::probe:
          if (neighbour.tries == most_tries) {
            remove(neighbour);
            break;
          }
          ++neighbour.tries;
          set(neighbour, neighbour.state, now + retransmit);
          link_.solicit(neighbour);
          break;
        case NeighbourState::stale:
        case NeighbourState::free: break;
      }
    }
    deadline_ = std::min(deadline_, neighbour.deadline);
  }
  return deadline_;
}

std::uint8_t& Neighbours::bucket(std::uint8_t interface, const wire::IpAddress& address) noexcept {
  std::uint64_t halves[2];
  std::memcpy(halves, address.octets.data(), sizeof halves);
  const std::uint64_t hash =
      base::multiply_fold(halves[0] ^ bucket_key_, halves[1] ^ ~bucket_key_ ^ interface);
  return heads_[base::hash(hash) % buckets];
}

Neighbour* Neighbours::look_up(std::uint8_t interface, const wire::IpAddress& address) noexcept {
  for (std::uint8_t at = bucket(interface, address); at != no_slot;
       at = entries_[at].next_in_bucket) {
    Neighbour& neighbour = entries_[at];
    if (neighbour.interface == interface && neighbour.address == address) return &neighbour;
  }
  return nullptr;
}

Neighbour* Neighbours::make(std::uint8_t interface, const wire::IpAddress& address,
                            std::uint64_t now) noexcept {
  if (count_ == most || incomplete_ >= most / 2) remove(*victim());
  const auto slot = std::ranges::find(entries_, NeighbourState::free, &Neighbour::state);
  if (slot == entries_.end()) return nullptr;
  *slot = {};
  slot->address = address;
  slot->interface = interface;
  slot->state = NeighbourState::stale;
  slot->used = now;
  std::uint8_t& head = bucket(interface, address);
  slot->next_in_bucket = head;
  head = index_of(*slot);
  ++count_;
  return &*slot;
}

// Of the incomplete ones if they are too many, else one nobody has used for long.
Neighbour* Neighbours::victim() noexcept {
  const bool of_incomplete = incomplete_ >= most / 2;
  Neighbour* best = nullptr;
  const auto rank = [](const Neighbour& n) { return n.state == NeighbourState::stale ? 0 : 1; };
  for (Neighbour& neighbour : entries_) {
    if (neighbour.state == NeighbourState::free) continue;
    if (of_incomplete && neighbour.state != NeighbourState::incomplete) continue;
    if (best == nullptr || rank(neighbour) < rank(*best) ||
        (rank(neighbour) == rank(*best) && neighbour.used < best->used))
      best = &neighbour;
  }
  return best;
}

void Neighbours::remove(Neighbour& neighbour) noexcept {
  std::uint8_t* link = &bucket(neighbour.interface, neighbour.address);
  while (*link != index_of(neighbour)) link = &entries_[*link].next_in_bucket;
  *link = neighbour.next_in_bucket;
  // The entry is gone before anybody hears of it: who does may send, and make another.
  Neighbour gone = neighbour;
  set(neighbour, NeighbourState::free, never);
  neighbour.first_pending = neighbour.last_pending = no_slot;
  --count_;
  while (gone.first_pending != no_slot) {
    const std::uint8_t slot = take_pending(gone);
    link_.lost(gone, std::span{pending_[slot].bytes}.first(pending_[slot].size));
    free_pending(slot);
  }
}

void Neighbours::set(Neighbour& neighbour, NeighbourState state, std::uint64_t deadline) noexcept {
  if (neighbour.state == NeighbourState::incomplete) --incomplete_;
  if (state == NeighbourState::incomplete) ++incomplete_;
  neighbour.state = state;
  neighbour.deadline = deadline;
  deadline_ = std::min(deadline_, deadline);
}

void Neighbours::reach(Neighbour& neighbour, std::uint64_t now) noexcept {
  // Section 6.3.2: between a half and one and a half, so that neighbours do not ask in step.
  const std::uint64_t base = link_.interface(neighbour.interface).reachable_time;
  set(neighbour, NeighbourState::reachable, now + base / 2 + random_.below(base + 1));
}

void Neighbours::flush(Neighbour& neighbour) noexcept {
  while (neighbour.first_pending != no_slot) {
    const std::uint8_t slot = take_pending(neighbour);
    const auto frame = std::span{pending_[slot].bytes}.first(pending_[slot].size);
    std::ranges::copy(std::as_bytes(std::span{neighbour.mac.octets}), frame.begin());
    link_.transmit(neighbour, frame, pending_[slot].offload);
    free_pending(slot);
  }
}

void Neighbours::drop_oldest() noexcept {
  Neighbour* holder = nullptr;
  for (Neighbour& neighbour : entries_) {
    if (neighbour.first_pending == no_slot) continue;
    if (holder == nullptr ||
        pending_[neighbour.first_pending].order < pending_[holder->first_pending].order)
      holder = &neighbour;
  }
  link_.interface(holder->interface).counters.count(Drop::pending_full);
  free_pending(take_pending(*holder));
}

std::uint8_t Neighbours::take_pending(Neighbour& neighbour) noexcept {
  const std::uint8_t slot = neighbour.first_pending;
  neighbour.first_pending = pending_[slot].next;
  if (neighbour.first_pending == no_slot) neighbour.last_pending = no_slot;
  return slot;
}

void Neighbours::free_pending(std::uint8_t slot) noexcept {
  pending_[slot].next = free_pending_;
  free_pending_ = slot;
  --pending_count_;
}

}  // namespace lichen::net::ip
