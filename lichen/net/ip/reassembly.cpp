#include "lichen/net/ip/reassembly.hpp"

#include <algorithm>
#include <cstring>

#include "lichen/base/bits.hpp"
#include "lichen/net/wire/ipv4.hpp"

namespace lichen::net::ip {

std::optional<Reassembly::Datagram> Reassembly::add(const DatagramKey& key,
                                                    const FragmentPiece& piece,
                                                    std::uint64_t now) noexcept {
  Slot* slot = find(key);
  if (slot == nullptr) slot = begin(key, now);
  if (slot == nullptr) return std::nullopt;
  if (slot->state != Slot::State::open) {
    owner_.counters(key.interface).count(Drop::fragment_overlap);
    return std::nullopt;
  }

  const std::size_t end = piece.offset + piece.bytes.size();
  const bool lies =
      end > most_bytes || piece.bytes.empty() ||
      (slot->has_last && (end > slot->total || (!piece.more && end != slot->total))) ||
      (!piece.more && end < slot->furthest);
  if (lies) {
    spoil(*slot, Drop::fragment_lies);
    return std::nullopt;
  }
  const std::size_t first = piece.offset / 8;
  const std::size_t last = base::divide_up(end, std::size_t{8});
  std::size_t present = 0;
  for (std::size_t unit = first; unit < last; ++unit) present += slot->units[unit];
  const auto room = std::span{slot->memory}.subspan(header_room + piece.offset, piece.bytes.size());
  if (present > 0) {
    // Twice the same is what networks do; anything else is an attack.
    if (present < last - first || !std::ranges::equal(room, piece.bytes))
      spoil(*slot, Drop::fragment_overlap);
    return std::nullopt;
  }
  for (std::size_t unit = first; unit < last; ++unit) slot->units.set(unit);
  std::ranges::copy(piece.bytes, room.begin());
  slot->received += piece.bytes.size();
  slot->furthest = std::max(slot->furthest, end);
  if (piece.offset == 0) {
    slot->has_first = true;
    slot->protocol = piece.protocol;
    slot->ttl = piece.ttl;
    slot->traffic_class |= piece.traffic_class;
  } else if (wire::ecn_of(piece.traffic_class) == wire::Ecn::congested) {
    slot->traffic_class |= 3;
  }
  if (!piece.more) {
    slot->has_last = true;
    slot->total = end;
  }
  if (!slot->has_last || slot->received != slot->total) return std::nullopt;
  slot->state = Slot::State::delivered;
  return view(*slot, slot->total);
}

void Reassembly::release(const Datagram& datagram) noexcept {
  for (Slot& slot : slots_)
    if (slot.state == Slot::State::delivered && slot.key == datagram.key)
      slot.state = Slot::State::free;
}

std::uint64_t Reassembly::advance(std::uint64_t now) noexcept {
  if (now < deadline_) return deadline_;
  deadline_ = never;
  for (Slot& slot : slots_) {
    if (slot.state != Slot::State::open && slot.state != Slot::State::spoiled) continue;
    if (slot.deadline > now) {
      deadline_ = std::min(deadline_, slot.deadline);
      continue;
    }
    if (slot.state == Slot::State::open) {
      owner_.counters(slot.key.interface).count(Drop::fragment_timeout);
      std::size_t gapless = 0;
      while (gapless < 8'192 && slot.units[gapless]) ++gapless;
      slot.state = Slot::State::free;
      owner_.expired(view(slot, std::min(gapless * 8, slot.furthest)));
    }
    slot.state = Slot::State::free;
  }
  return deadline_;
}

std::size_t Reassembly::count() const noexcept {
  return static_cast<std::size_t>(std::ranges::count_if(
      slots_, [](const Slot& slot) { return slot.state != Slot::State::free; }));
}

Reassembly::Slot* Reassembly::find(const DatagramKey& key) noexcept {
  for (Slot& slot : slots_)
    if (slot.state != Slot::State::free && slot.key == key) return &slot;
  return nullptr;
}

Reassembly::Slot* Reassembly::begin(const DatagramKey& key, std::uint64_t now) noexcept {
  std::size_t of_source = 0;
  Slot* oldest = nullptr;
  Slot* oldest_of_source = nullptr;
  Slot* chosen = nullptr;
  for (Slot& slot : slots_) {
    if (slot.state == Slot::State::free) {
      chosen = &slot;
      continue;
    }
    if (slot.state == Slot::State::delivered) continue;  // being looked at
    if (oldest == nullptr || slot.began < oldest->began) oldest = &slot;
    if (slot.key.from != key.from) continue;
    ++of_source;
    if (oldest_of_source == nullptr || slot.began < oldest_of_source->began)
      oldest_of_source = &slot;
  }
  if (of_source >= most_of_source)
    chosen = oldest_of_source;
  else if (chosen == nullptr)
    chosen = oldest;
  if (chosen == nullptr) return nullptr;
  if (chosen->state != Slot::State::free)
    owner_.counters(chosen->key.interface).count(Drop::fragment_limit);
  chosen->state = Slot::State::open;
  chosen->key = key;
  chosen->protocol = key.protocol;
  chosen->ttl = 0;
  chosen->traffic_class = 0;
  chosen->has_first = chosen->has_last = false;
  chosen->began = now;
  chosen->deadline = now + (key.from.is_ipv4() ? ipv4_timeout : ipv6_timeout);
  chosen->total = chosen->received = chosen->furthest = 0;
  chosen->units.reset();
  deadline_ = std::min(deadline_, chosen->deadline);
  return chosen;
}

Reassembly::Datagram Reassembly::view(Slot& slot, std::size_t size) noexcept {
  const auto memory = std::span{slot.memory};
  return {slot.key,
          slot.protocol,
          slot.ttl,
          slot.traffic_class,
          slot.has_first,
          slot.deadline,
          memory.first(header_room),
          memory.subspan(header_room, size)};
}

void Reassembly::spoil(Slot& slot, Drop why) noexcept {
  slot.state = Slot::State::spoiled;
  owner_.counters(slot.key.interface).count(why);
}

}  // namespace lichen::net::ip
