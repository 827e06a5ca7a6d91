// Datagrams that came in pieces (RFC 791 section 3.2, RFC 8200 section 4.5), put together in a
// fixed number of buffers. Pieces that overlap spoil the whole datagram, of both families (RFC
// 5722; RFC 1858 says why); a piece that comes twice is fine. What was spoiled is remembered until
// its time is over, so that later pieces cannot begin it anew.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "lichen/net/ip/drop.hpp"
#include "lichen/net/ip/time.hpp"
#include "lichen/net/wire/address.hpp"

namespace lichen::net::ip {

// What the pieces of one datagram have in common.
struct DatagramKey {
  wire::IpAddress from;
  wire::IpAddress to;
  std::uint32_t id = 0;
  std::uint8_t protocol = 0;  // of IPv4; with IPv6 0
  std::uint8_t interface = 0;

  friend constexpr bool operator==(const DatagramKey&, const DatagramKey&) noexcept = default;
};

struct FragmentPiece {
  std::size_t offset = 0;  // a multiple of 8
  bool more = false;
  std::uint8_t protocol = 0;  // as the first piece says
  std::uint8_t ttl = 0;
  std::uint8_t traffic_class = 0;
  std::span<const std::byte> bytes;
};

class Reassembly {
 public:
  static constexpr std::size_t most = 8;
  static constexpr std::size_t most_of_source = 4;
  static constexpr std::size_t most_bytes = 65'535;
  static constexpr std::size_t header_room = 40;
  static constexpr std::uint64_t ipv4_timeout = 30 * second;
  static constexpr std::uint64_t ipv6_timeout = 60 * second;

  struct Datagram {
    DatagramKey key;
    std::uint8_t protocol = 0;
    std::uint8_t ttl = 0;
    std::uint8_t traffic_class = 0;  // with the congestion mark of any piece (RFC 3168 section 5.3)
    bool has_first = false;
    std::uint64_t deadline = never;
    // `header_room` bytes in front, to write a header for those who quote, then what has come, as
    // far as it has come without gaps.
    std::span<std::byte> header;
    std::span<std::byte> bytes;
  };
  // Who hears of datagrams that are given up. has_first: `bytes` begins with the first piece.
  class Owner {
   public:
    virtual void expired(const Datagram& datagram) noexcept = 0;
    virtual Counters& counters(std::uint8_t interface) noexcept = 0;

   protected:
    ~Owner() = default;
  };

  explicit Reassembly(Owner& owner) noexcept : owner_{owner} {}
  Reassembly(const Reassembly&) = delete;
  Reassembly& operator=(const Reassembly&) = delete;

  // The datagram if this was the last piece missing: it is valid until release().
  std::optional<Datagram> add(const DatagramKey& key, const FragmentPiece& piece,
                              std::uint64_t now) noexcept;
  void release(const Datagram& datagram) noexcept;

  std::uint64_t advance(std::uint64_t now) noexcept;
  [[nodiscard]] std::uint64_t deadline() const noexcept { return deadline_; }
  [[nodiscard]] std::size_t count() const noexcept;

 private:
  struct Slot {
    enum class State : std::uint8_t { free, open, spoiled, delivered } state = State::free;
    DatagramKey key;
    std::uint8_t protocol = 0;
    std::uint8_t ttl = 0;
    std::uint8_t traffic_class = 0;
    bool has_first = false;
    bool has_last = false;
    std::uint64_t began = 0;
    std::uint64_t deadline = never;
    std::size_t total = 0;     // once the last piece has come
    std::size_t received = 0;  // bytes
    std::size_t furthest = 0;  // the end of the last piece so far
    std::bitset<8'192> units;  // of 8 bytes
    alignas(8) std::array<std::byte, header_room + most_bytes + 1> memory;
  };

  Slot* find(const DatagramKey& key) noexcept;
  Slot* begin(const DatagramKey& key, std::uint64_t now) noexcept;
  Datagram view(Slot& slot, std::size_t size) noexcept;
  void spoil(Slot& slot, Drop why) noexcept;

  Owner& owner_;
  std::uint64_t deadline_ = never;
  std::array<Slot, most> slots_;
};

}  // namespace lichen::net::ip
