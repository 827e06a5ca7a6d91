#include "lichen/net/dns/cache.hpp"

#include <algorithm>

#include "lichen/base/hash.hpp"
#include "lichen/net/ip/time.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::net::dns {

const Addresses* Cache::find(const Question& question, std::uint64_t now) const noexcept {
  for (const Entry& entry : entries_[set_of(question)])
    if (entry.expires > now && entry.question == question) return &entry.addresses;
  return nullptr;
}

void Cache::add(const Question& question, const Addresses& addresses, std::uint32_t ttl_s,
                std::uint64_t now) noexcept {
  ttl_s = std::min(ttl_s, addresses.count > 0 ? most_ttl_s : most_negative_ttl_s);
  if (ttl_s == 0) return;
  auto& set = entries_[set_of(question)];
  auto place = std::ranges::find(set, question, &Entry::question);
  if (place == set.end()) place = std::ranges::min_element(set, {}, &Entry::expires);
  *place = {question, addresses, now + ttl_s * ip::second};
}

void Cache::clear() noexcept {
  for (auto& set : entries_)
    for (Entry& entry : set) entry.expires = 0;
}

std::size_t Cache::set_of(const Question& question) const noexcept {
  const base::HashKey key{key_, static_cast<std::uint64_t>(question.kind)};
  return base::keyed_hash(key, question.name.bytes()) % sets;
}

}  // namespace lichen::net::dns

#pragma clang attribute pop
