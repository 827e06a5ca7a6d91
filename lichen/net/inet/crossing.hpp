// Crossing: what cores have in common that share a network device. Each has a stack, a table of
// connections and a queue of the device of its own; here is who has what, and how a packet gets
// to the core whose it is. Nothing on a packet's way takes a lock.
//
//   queue of core 0 ─> Inet 0 ──put()──> ring 0→1 ──take_all()──> Inet 1 <─ queue of core 1
//                         └───publish(): one wake for a batch ───────┘
//
// Where a connection is, its own core knows: a core looks in its own table first. What is not there
// goes to home(), which all cores find alike from the path and from who listens. What is not there
// either (a listener came or went meanwhile) goes round, and the last core that has looked answers.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "lichen/base/hash.hpp"
#include "lichen/base/list.hpp"
#include "lichen/base/result.hpp"
#include "lichen/coro/core.hpp"
#include "lichen/coro/lock.hpp"
#include "lichen/coro/runnable.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/io/buffer.hpp"
#include "lichen/io/home_signal.hpp"
#include "lichen/io/steering.hpp"
#include "lichen/net/inet/link.hpp"
#include "lichen/net/inet/parcel_ring.hpp"
#include "lichen/net/ip/stack.hpp"
#include "lichen/net/tcp/output.hpp"

namespace lichen::net::inet {

// A listener's right to an address, kept by whoever listens.
struct Claim {
  base::ListNode node;
  tcp::Endpoint local;
  unsigned place = 0;
  bool shared = false;
};

// Of one place, read on its core.
struct CrossingCounters {
  std::uint64_t passed_on = 0;  // to other cores
  std::uint64_t misled = 0;     // of these, segments that the device has brought to the wrong core
  std::uint64_t taken = 0;      // from them
  std::uint64_t wakes = 0;      // of other cores: one for what came together
  std::uint64_t went_on = 0;    // taken, and passed on again: nobody's, or of one that moved
  std::uint64_t lost = 0;       // no room in a ring, or no memory for a copy
};

class Crossing {
 public:
  static constexpr unsigned most_places = coro::max_cores;

  // Errors: no_memory.
  static Result<std::unique_ptr<Crossing>> create(unsigned places, base::HashKey secret);
  Crossing(const Crossing&) = delete;
  Crossing& operator=(const Crossing&) = delete;
  // Nobody may put anything any more, and no place may have a wake on its way.
  ~Crossing();

  [[nodiscard]] unsigned places() const noexcept { return places_; }
  // By what the device chooses the queue, and so the place, for a segment; it MUST outlive this.
  // Before anything else.
  void steered_by(const io::Steering* steering) noexcept { steering_ = steering; }
  // Before anything is put there.
  void join(unsigned place, coro::Core& core) noexcept { place_[place].core = &core; }

  // ---- who has what; on any core
  // Among those who listen at the local port, if anybody does: where the device brings it, if that
  // is one of them; and not to be guessed by who chooses the path.
  [[nodiscard]] unsigned home(const tcp::Path& path) const noexcept;
  [[nodiscard]] bool anybody_listens(std::uint16_t port) const noexcept {
    return listeners(port) != 0;
  }
  // Errors: address_in_use (somebody has it who does not share it, or has it on this place),
  // no_memory.
  Result<void> claim(Claim& claim) noexcept;
  void release(Claim& claim) noexcept;

  // Ports of datagrams: each is one core's, with all of its addresses. Errors: address_in_use
  // (another core's), no_memory.
  Result<void> claim_datagrams(std::uint16_t port, unsigned place) noexcept;
  void release_datagrams(std::uint16_t port) noexcept;
  [[nodiscard]] std::optional<unsigned> place_of_datagrams(std::uint16_t port) const noexcept {
    const Owners* page = owners_[port >> 8].load(std::memory_order_acquire);
    const unsigned owner = page ? (*page)[port & 0xff].load(std::memory_order_relaxed) : 0;
    if (owner == 0) return std::nullopt;
    return owner - 1;
  }

  // ---- what the network is like
  // From place 0, of one of its links: the others are to follow, and are woken for it with the next
  // publish().
  void announce(std::size_t link, const ip::Settings& settings) noexcept;
  // The latest, and its number; nothing when that is `seen`, or there is none yet.
  std::optional<ip::Settings> settings_after(std::size_t link, std::uint32_t& seen) noexcept;

  // ---- what is passed on; `from` is the place of the calling core, or `at`
  // False: there is no room, and the parcel is lost.
  bool put(unsigned from, unsigned to, Parcel&& parcel) noexcept;
  // A frame, copied for each of the others.
  void put_copies(unsigned from, std::span<const std::byte> frame, std::uint8_t interface,
                  bool checksum_done) noexcept;
  // What was put is there for its takers.
  void publish(unsigned from) noexcept;
  // Waits until there may be something.
  Task<Result<void>> wait(unsigned at);
  // take(Parcel&) for each parcel that is there.
  template <class Take>
  void take_all(unsigned at, Take take) noexcept {
    Place& place = place_[at];
    place.news = false;
    // Whoever publishes from now on wakes us anew; what was published before is seen now.
    place.signalled.exchange(false, std::memory_order_acq_rel);
    for (unsigned from = 0; from < places_; ++from) {
      if (from == at) continue;
      ParcelRing& ring = ring_of(from, at);
      while (Parcel* parcel = ring.front()) {
        ++place.counters.taken;
        take(*parcel);
        ring.pop();
      }
    }
  }
  // Nothing is published from there any more. On the core of the place.
  void close(unsigned at) noexcept { place_[at].over = true; }
  // Whether a wake is on its way there, which MUST arrive before this object goes.
  [[nodiscard]] bool has_wake(unsigned at) const noexcept {
    return place_[at].wake_posted.load(std::memory_order_relaxed);
  }

  [[nodiscard]] CrossingCounters& counters(unsigned at) noexcept { return place_[at].counters; }

 private:
  struct alignas(64) Place {
    coro::ResumeFrame wake{&woken};
    coro::Core* core = nullptr;
    // Of its own core.
    io::HomeSignal signal;
    bool news = false;
    bool over = false;
    std::uint64_t unpublished = 0;  // a bit for each place something was put for
    CrossingCounters counters;
    // Of all.
    alignas(64) std::atomic<bool> signalled{false};
    std::atomic<bool> wake_posted{false};
  };
  using Page = std::array<std::atomic<std::uint64_t>, 256>;
  using Owners = std::array<std::atomic<std::uint8_t>, 256>;  // places from 1 on; 0: nobody
  static_assert(most_places < 255);

  Crossing(unsigned places, base::HashKey secret) noexcept : places_{places}, secret_{secret} {}
  ParcelRing& ring_of(unsigned from, unsigned to) noexcept {
    return *rings_[std::size_t{from} * places_ + to];
  }
  // A bit for each place.
  [[nodiscard]] std::uint64_t listeners(std::uint16_t port) const noexcept {
    const Page* page = pages_[port >> 8].load(std::memory_order_acquire);
    return page ? (*page)[port & 0xff].load(std::memory_order_relaxed) : 0;
  }
  [[nodiscard]] std::uint64_t steered_to(const tcp::Path& path) const noexcept;
  void note_listeners(std::uint16_t port) noexcept
      __attribute__((requires_capability(claims_lock_)));
  static void woken(void* frame) noexcept;

  const unsigned places_;
  const base::HashKey secret_;
  const io::Steering* steering_ = nullptr;
  std::unique_ptr<Place[]> place_;
  std::vector<std::unique_ptr<ParcelRing>> rings_;  // of each pair
  // By the upper half of the port; made when it is wanted, and kept.
  std::array<std::atomic<Page*>, 256> pages_{};
  std::array<std::atomic<Owners*>, 256> owners_{};
  coro::SpinLock settings_lock_;
  struct Told {
    ip::Settings settings;
    std::atomic<std::uint32_t> number{0};
  };
  std::array<Told, Link::most> told_;
  coro::SpinLock claims_lock_;  // of those who begin or end to listen
  base::List<Claim, &Claim::node> claims_;
};

}  // namespace lichen::net::inet
