#include "lichen/net/inet/crossing.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <utility>

#include "lichen/base/member.hpp"
#include "lichen/base/span.hpp"
#include "lichen/coro/hooks.hpp"

namespace lichen::net::inet {

namespace {

// All rings together hold about so many parcels for one place.
constexpr std::size_t parcels_for_a_place = 1'024;
constexpr std::size_t most_parcels = 512;
constexpr std::size_t least_parcels = 32;

// The bit of `set` (not empty) that a hash stands for.
unsigned chosen_of(std::uint64_t set, std::uint64_t hash) noexcept {
  const auto count = static_cast<unsigned>(std::popcount(set));
  auto skipped = static_cast<unsigned>((hash >> 32) * count >> 32);
  for (; skipped > 0; --skipped) set &= set - 1;
  return static_cast<unsigned>(std::countr_zero(set));
}

}  // namespace

// Runs once, and is made small.
[[clang::minsize]] Result<std::unique_ptr<Crossing>> Crossing::create(unsigned places,
                                                                      base::HashKey secret) {
  if (places == 0 || places > most_places) return Error::out_of_range;
  std::unique_ptr<Crossing> crossing{new (std::nothrow) Crossing{places, secret}};
  if (!crossing) return Error::no_memory;
  crossing->place_.reset(new (std::nothrow) Place[places]);
  if (!crossing->place_) return Error::no_memory;
  const std::size_t capacity =
      std::bit_floor(std::clamp(parcels_for_a_place / places, least_parcels, most_parcels));
  crossing->rings_.resize(std::size_t{places} * places);
  for (unsigned from = 0; from < places; ++from)
    for (unsigned to = 0; to < places; ++to)
      if (from != to)
        crossing->rings_[std::size_t{from} * places + to] = TRY(ParcelRing::create(capacity));
  return crossing;
}

Crossing::~Crossing() {
  for (std::atomic<Page*>& page : pages_) delete page.load(std::memory_order_relaxed);
  for (std::atomic<Owners*>& page : owners_) delete page.load(std::memory_order_relaxed);
}

// ---- who has what -------------------------------------------------------------------------------

// Where the device brings what comes; a queue may be that of several places.
std::uint64_t Crossing::steered_to(const tcp::Path& path) const noexcept {
  const std::size_t skipped = path.local.address.is_ipv4() ? 12 : 0;
  std::array<std::uint8_t, 36> flow;
  auto end = std::copy(path.remote.address.octets.begin() + skipped,
                       path.remote.address.octets.end(), flow.begin());
  end =
      std::copy(path.local.address.octets.begin() + skipped, path.local.address.octets.end(), end);
  for (const std::uint16_t port : {path.remote.port, path.local.port}) {
    *end++ = static_cast<std::uint8_t>(port >> 8);
    *end++ = static_cast<std::uint8_t>(port);
  }
  std::uint64_t set = 0;
  for (unsigned place = steering_->queue_of({flow.begin(), end}); place < places_;
       place += steering_->queues)
    set |= std::uint64_t{1} << place;
  return set;
}

unsigned Crossing::home(const tcp::Path& path) const noexcept {
  std::uint64_t set = listeners(path.local.port);
  if (set == 0) set = ~std::uint64_t{0} >> (64 - places_);
  if (const std::uint64_t there = steering_ ? set & steered_to(path) : 0) set = there;
  if (std::has_single_bit(set)) return static_cast<unsigned>(std::countr_zero(set));
  struct Input {
    std::array<std::uint8_t, 16> first, second;
    std::uint16_t first_port, second_port;
    std::uint32_t unused;
  };
  const tcp::Endpoint* first = &path.local;
  const tcp::Endpoint* second = &path.remote;
  const int order = std::memcmp(first->address.octets.data(), second->address.octets.data(), 16);
  if (order > 0 || (order == 0 && first->port > second->port)) std::swap(first, second);
  const Input input{first->address.octets, second->address.octets, first->port, second->port, 0};
  const std::uint64_t hash = base::keyed_hash(secret_, base::bytes_of(input));
  return chosen_of(set, hash);
}

namespace {

// Makes a page that is not there yet. Errors: no_memory.
template <class Page>
Result<void> provide(std::atomic<Page*>& page) noexcept {
  if (page.load(std::memory_order_acquire)) return {};
  Page* made = new (std::nothrow) Page{};
  if (!made) return Error::no_memory;
  Page* none = nullptr;
  if (!page.compare_exchange_strong(none, made, std::memory_order_acq_rel)) delete made;
  return {};
}

}  // namespace

Result<void> Crossing::claim_datagrams(std::uint16_t port, unsigned place) noexcept {
  TRY(provide(owners_[port >> 8]));
  std::uint8_t nobody = 0;
  if (!(*owners_[port >> 8].load(std::memory_order_relaxed))[port & 0xff].compare_exchange_strong(
          nobody, static_cast<std::uint8_t>(place + 1)))
    return Error::address_in_use;
  return {};
}

void Crossing::release_datagrams(std::uint16_t port) noexcept {
  (*owners_[port >> 8].load(std::memory_order_relaxed))[port & 0xff].store(0);
}

Result<void> Crossing::claim(Claim& claim) noexcept {
  TRY(provide(pages_[claim.local.port >> 8]));
  coro::SpinGuard guard{claims_lock_};
  for (const Claim& other : claims_)
    if (other.local == claim.local &&
        (!other.shared || !claim.shared || other.place == claim.place))
      return Error::address_in_use;
  claims_.push_back(claim);
  note_listeners(claim.local.port);
  return {};
}

void Crossing::release(Claim& claim) noexcept {
  // Also the look is under the lock: neighbours in the list write to this node, too.
  coro::SpinGuard guard{claims_lock_};
  if (!claim.node.is_linked()) return;
  claim.node.unlink();
  note_listeners(claim.local.port);
}

void Crossing::note_listeners(std::uint16_t port) noexcept {
  std::uint64_t set = 0;
  for (const Claim& claim : claims_)
    if (claim.local.port == port) set |= std::uint64_t{1} << claim.place;
  (*pages_[port >> 8].load(std::memory_order_relaxed))[port & 0xff].store(
      set, std::memory_order_relaxed);
}

// ---- what the network is like -------------------------------------------------------------------

void Crossing::announce(std::size_t link, const ip::Settings& settings) noexcept {
  {
    coro::SpinGuard guard{settings_lock_};
    told_[link].settings = settings;
    told_[link].number.fetch_add(1, std::memory_order_relaxed);
  }
  for (unsigned to = 1; to < places_; ++to) place_[0].unpublished |= std::uint64_t{1} << to;
}

std::optional<ip::Settings> Crossing::settings_after(std::size_t link,
                                                     std::uint32_t& seen) noexcept {
  const Told& told = told_[link];
  if (told.number.load(std::memory_order_relaxed) == seen) return std::nullopt;
  coro::SpinGuard guard{settings_lock_};
  seen = told.number.load(std::memory_order_relaxed);
  return told.settings;
}

// ---- what is passed on --------------------------------------------------------------------------

bool Crossing::put(unsigned from, unsigned to, Parcel&& parcel) noexcept {
  Place& place = place_[from];
  if (!ring_of(from, to).put(parcel)) {
    ++place.counters.lost;
    return false;
  }
  ++place.counters.passed_on;
  place.unpublished |= std::uint64_t{1} << to;
  return true;
}

void Crossing::put_copies(unsigned from, std::span<const std::byte> frame, std::uint8_t interface,
                          bool checksum_done) noexcept {
  for (unsigned to = 0; to < places_; ++to) {
    if (to == from) continue;
    Parcel parcel{.bytes = io::allocate_buffer(frame.size()),
                  .interface = interface,
                  .checksum_done = checksum_done};
    if (parcel.bytes.room().size() < frame.size()) {
      ++place_[from].counters.lost;
      continue;
    }
    std::ranges::copy(frame, parcel.bytes.room().begin());
    parcel.bytes.extend(frame.size());
    put(from, to, std::move(parcel));
  }
}

void Crossing::publish(unsigned from) noexcept {
  Place& here = place_[from];
  if (here.over) return;
  for (std::uint64_t rest = std::exchange(here.unpublished, 0); rest != 0; rest &= rest - 1) {
    const auto to = static_cast<unsigned>(std::countr_zero(rest));
    Place& there = place_[to];
    ring_of(from, to).publish();
    if (there.signalled.exchange(true, std::memory_order_acq_rel)) continue;
    ++here.counters.wakes;
    there.wake_posted.store(true, std::memory_order_relaxed);
    coro::hooks::post(there.core, there.wake.runnable);
  }
}

// On the core of the place.
void Crossing::woken(void* frame) noexcept {
  Place& place = *base::holder_of<Place, &Place::wake>(static_cast<coro::ResumeFrame*>(frame));
  place.wake_posted.store(false, std::memory_order_relaxed);
  place.news = true;
  place.signal.notify();
}

Task<Result<void>> Crossing::wait(unsigned at) {
  Place& place = place_[at];
  while (!place.news) CO_TRY(co_await place.signal.wait(*place.core));
  co_return Result<void>{};
}

}  // namespace lichen::net::inet
