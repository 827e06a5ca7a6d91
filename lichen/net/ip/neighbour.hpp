// The machines on the links: their addresses, whether they are there, and the packets that wait to
// know. One table for ARP and neighbour discovery, with the states of RFC 4861 section 7.3.2 for
// both. It does not send; Link does.
//
//              answer                        time            packet          time
//   incomplete ──────> reachable ───────────────> stale ───────────> delay ──────> probe
//        │                 ^ answer, or a transport's progress          │ no answer
//        └── no answer ────┴──> entry gone, packets dropped <───────────┘
//
// An answer that nobody asked for makes no entry, so a liar can fill no table; an entry made by a
// request of a peer starts stale. Half of the table may be incomplete: a scan of a network by way
// of us does not push out the neighbours that are there (RFC 6583).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/net/ip/frame.hpp"
#include "lichen/net/ip/interface.hpp"
#include "lichen/net/ip/unpredictable.hpp"

namespace lichen::net::ip {

enum class NeighbourState : std::uint8_t { free, incomplete, reachable, stale, delay, probe };

inline constexpr std::uint8_t no_slot = 0xff;

struct Neighbour {
  wire::IpAddress address;
  wire::MacAddress mac;
  std::uint8_t interface = 0;
  NeighbourState state = NeighbourState::free;
  bool router = false;
  std::uint8_t tries = 0;
  std::uint8_t next_in_bucket = no_slot;
  std::uint8_t first_pending = no_slot;  // packets, the oldest first
  std::uint8_t last_pending = no_slot;
  std::uint64_t deadline = never;
  std::uint64_t used = 0;

  [[nodiscard]] bool has_mac() const noexcept {
    return state != NeighbourState::free && state != NeighbourState::incomplete;
  }
};

// What a message says of a neighbour.
struct Confirmation {
  bool solicited = false;  // it answers a request of ours
  bool overrides = true;   // a known address may change
  bool may_create = false;
  bool router_known = false;
  bool router = false;
};

class Neighbours {
 public:
  static constexpr std::size_t most = 128;
  static constexpr std::size_t most_pending = 64;
  static constexpr std::size_t pending_size = 1'536;  // of a frame that can wait
  static constexpr std::uint8_t most_tries = 3;       // MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT
  static constexpr std::uint64_t delay_first_probe = 5 * second;

  // What the table asks its owner to do.
  class Link {
   public:
    // Asks for the neighbour's address: the neighbour itself, where it has one (probe), else all.
    virtual void solicit(const Neighbour& neighbour) noexcept = 0;
    // A frame that waited, with its Ethernet header.
    virtual void transmit(const Neighbour& neighbour, Bytes frame,
                          const Offload& offload) noexcept = 0;
    // It did not answer; what waited for it is dropped.
    virtual void lost(const Neighbour& neighbour, Bytes frame) noexcept = 0;
    virtual Interface& interface(std::uint8_t index) noexcept = 0;

   protected:
    ~Link() = default;
  };

  Neighbours(Link& link, Unpredictable& random) noexcept;
  Neighbours(const Neighbours&) = delete;
  Neighbours& operator=(const Neighbours&) = delete;

  // The entry a packet is to be sent by, made if need be: has_mac(), or wait_for() is next. Null
  // when there is no room for one.
  Neighbour* use(std::uint8_t interface, const wire::IpAddress& address,
                 std::uint64_t now) noexcept;
  // Keeps the frame (whose destination is filled in later) until the neighbour answers. False: it
  // is too large. When there are too many the oldest of all is dropped.
  bool wait_for(Neighbour& neighbour, const Frame& frame) noexcept;

  // A message from `address` or about it. False: it was not asked for, and changed nothing.
  bool learn(std::uint8_t interface, const wire::IpAddress& address, const wire::MacAddress& mac,
             const Confirmation& what, std::uint64_t now) noexcept;
  // A transport got an answer (RFC 4861 section 7.3.1).
  void confirm(std::uint8_t interface, const wire::IpAddress& address, std::uint64_t now) noexcept;

  [[nodiscard]] const Neighbour* find(std::uint8_t interface,
                                      const wire::IpAddress& address) const noexcept;
  void forget_interface(std::uint8_t interface) noexcept;
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] std::size_t pending() const noexcept { return pending_count_; }

  // Moves entries on; returns when to be called again.
  std::uint64_t advance(std::uint64_t now) noexcept;
  [[nodiscard]] std::uint64_t deadline() const noexcept { return deadline_; }

 private:
  struct Pending {
    std::uint16_t size = 0;
    std::uint8_t next = no_slot;
    std::uint64_t order = 0;
    Offload offload;
    std::array<std::byte, pending_size> bytes;
  };
  static constexpr std::size_t buckets = 64;

  std::uint8_t& bucket(std::uint8_t interface, const wire::IpAddress& address) noexcept;
  Neighbour* look_up(std::uint8_t interface, const wire::IpAddress& address) noexcept;
  Neighbour* make(std::uint8_t interface, const wire::IpAddress& address,
                  std::uint64_t now) noexcept;
  void remove(Neighbour& neighbour) noexcept;
  Neighbour* victim() noexcept;
  void set(Neighbour& neighbour, NeighbourState state, std::uint64_t deadline) noexcept;
  void reach(Neighbour& neighbour, std::uint64_t now) noexcept;
  void flush(Neighbour& neighbour) noexcept;
  void drop_oldest() noexcept;
  std::uint8_t take_pending(Neighbour& neighbour) noexcept;
  void free_pending(std::uint8_t slot) noexcept;
  std::uint8_t index_of(const Neighbour& neighbour) const noexcept {
    return static_cast<std::uint8_t>(&neighbour - entries_.data());
  }

  Link& link_;
  Unpredictable& random_;
  std::uint64_t bucket_key_;
  std::array<std::uint8_t, buckets> heads_;
  std::array<Neighbour, most> entries_{};
  std::size_t count_ = 0;
  std::size_t incomplete_ = 0;
  std::uint64_t deadline_ = never;  // no later than the first of an entry
  std::array<Pending, most_pending> pending_;
  std::uint8_t free_pending_ = 0;
  std::size_t pending_count_ = 0;
  std::uint64_t order_ = 0;
};

}  // namespace lichen::net::ip
