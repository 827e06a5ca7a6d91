// A DHCP client (RFC 2131 section 4.4) as a pure state machine: messages and time in, messages out.
//
//                  offer              acknowledged              free
//   selecting ───────────> requesting ────────────> probing ───────────> bound
//       ^  ^ refused, no answer  │                     │ in use             │ T1
//       │  └─────────────────────┘                     v                    v
//       └──────────────────────── waiting <──── (decline) ........ renewing ──T2──> rebinding
//            refused, or the lease is over: the address is given up <──────────────────┘
//
// Not there: INIT-REBOOT (the last address of a former run is not asked for again), DHCPINFORM,
// routes of option 121, authentication (RFC 3118).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "lichen/net/dhcp/message.hpp"
#include "lichen/net/ip/time.hpp"
#include "lichen/net/ip/unpredictable.hpp"

namespace lichen::net::dhcp {

struct Lease {
  wire::Ipv4Address address{};
  std::uint8_t bits = 0;
  wire::Ipv4Address server{};
  std::optional<wire::Ipv4Address> router = {};
  std::array<wire::Ipv4Address, 4> dns_servers{};
  std::size_t dns_server_count = 0;
  std::optional<std::uint16_t> mtu = {};
  std::uint64_t renew_at = ip::never;
  std::uint64_t rebind_at = ip::never;
  std::uint64_t expires = ip::never;
};

enum class State : std::uint8_t {
  stopped,
  waiting,  // before it begins (anew)
  selecting,
  requesting,
  probing,  // the owner asks whether another machine has the address
  bound,
  renewing,
  rebinding,
};

// Where messages go, and who uses the lease. Called from within the client; MUST NOT call it.
class Owner {
 public:
  // To the server's port from the client's: `to` is 255.255.255.255, then the source is 0.0.0.0
  // (255.255.255.255 also while rebinding, then it is the leased address), or the server.
  virtual void send(Bytes message, const wire::Ipv4Address& to, bool from_nobody) noexcept = 0;
  // To be probed (RFC 5227); then probed() or conflict() is called.
  virtual void offered(const Lease& lease) noexcept = 0;
  // The same address for longer, or with other servers.
  virtual void renewed(const Lease& lease) noexcept = 0;
  // The address MUST NOT be used any more.
  virtual void lost(const Lease& lease) noexcept = 0;

 protected:
  ~Owner() = default;
};

class Client {
 public:
  Client(Owner& owner, const wire::MacAddress& mac, ip::Unpredictable& random) noexcept
      : owner_{owner}, mac_{mac}, random_{random} {}
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Section 4.4.1 asks for a random while first, between one and ten seconds, so that a power cut
  // is not followed by a storm; `spread` is the longest.
  void start(std::uint64_t now, std::uint64_t spread = ip::second) noexcept;
  // Gives the lease back, if there is one.
  void stop(std::uint64_t now) noexcept;
  // What came to the client's port from the server's.
  void receive(Bytes message, std::uint64_t now) noexcept;
  void probed(std::uint64_t now) noexcept;
  // Another machine has the address: declined (section 4.4.1), and begun anew after a while.
  void conflict(std::uint64_t now) noexcept;

  [[nodiscard]] State state() const noexcept { return state_; }
  // In probing, bound, renewing and rebinding.
  [[nodiscard]] const Lease& lease() const noexcept { return lease_; }
  [[nodiscard]] std::uint64_t deadline() const noexcept { return deadline_; }
  void advance(std::uint64_t now) noexcept;

  // Messages that were not taken: malformed, for others, or making no sense.
  [[nodiscard]] std::uint64_t ignored() const noexcept { return ignored_; }

 private:
  void begin(std::uint64_t now) noexcept;
  void wait(std::uint64_t until) noexcept;
  void transmit(std::uint64_t now) noexcept;
  void send(const Request& request, const wire::Ipv4Address& to, bool from_nobody) noexcept;
  void schedule_renewal(std::uint64_t now) noexcept;
  void take_offer(const Reply& reply, std::uint64_t now) noexcept;
  void take_lease(const Reply& reply, std::uint64_t now) noexcept;
  void refused(const Reply& reply, std::uint64_t now) noexcept;
  void give_up() noexcept;
  [[nodiscard]] bool holds_lease() const noexcept { return state_ >= State::probing; }
  [[nodiscard]] std::uint64_t retransmit_delay() noexcept;

  Owner& owner_;
  wire::MacAddress mac_;
  ip::Unpredictable& random_;
  State state_ = State::stopped;
  Lease lease_;
  std::uint32_t transaction_ = 0;
  std::uint64_t began_ = 0;      // this exchange
  std::uint64_t requested_ = 0;  // when the last request was sent: leases count from it
  unsigned tries_ = 0;
  std::uint64_t deadline_ = ip::never;
  std::uint64_t ignored_ = 0;
};

}  // namespace lichen::net::dhcp
