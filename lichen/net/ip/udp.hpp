// UDP (RFC 768, RFC 1122 section 4.1, RFC 8085): ports and what waits at them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "lichen/base/list.hpp"
#include "lichen/base/result.hpp"
#include "lichen/net/ip/record_ring.hpp"
#include "lichen/net/ip/stack.hpp"

namespace lichen::net::ip {

struct UdpMessage {
  std::size_t size = 0;    // bytes of `into` that were filled
  bool truncated = false;  // the datagram was longer; the rest is gone
  Endpoint from;
  wire::IpAddress to;
  std::uint8_t interface = 0;
  std::uint8_t traffic_class = 0;
};

class UdpSocket;

// Who waits for a socket: a datagram or an error has come. Called from within the stack.
class UdpWaiter {
 public:
  virtual void readable(UdpSocket& socket) noexcept = 0;

 protected:
  ~UdpWaiter() = default;
};

struct UdpOptions {
  // Others may have the port, too, if they say so as well: datagrams to groups go to all, others to
  // the one whose addresses fit best, the latest among equals.
  bool shared = false;
  bool broadcast = false;      // may send to all
  bool ipv6_only = false;      // a socket without an address: of IPv6 only, instead of both
  bool dont_fragment = false;  // IPv4; then too_large is an error of send() (RFC 8085 section 3.2)
  bool from_nobody = false;    // sends from 0.0.0.0, as DHCP clients do
  std::uint8_t hop_limit = 0;  // 0: as is usual
  std::uint8_t group_hop_limit = 1;
  std::uint8_t traffic_class = 0;
  Interface* interface = nullptr;  // the only one
};

// It MUST be closed before it is destroyed, and stay where it is while open.
class UdpSocket {
 public:
  // `queue`: memory for what has come and was not received yet; when it is full what comes is
  // dropped. At least 65,592 bytes to take every datagram.
  explicit UdpSocket(std::span<std::byte> queue, UdpWaiter* waiter = nullptr) noexcept
      : queue_{queue}, waiter_{waiter} {}
  UdpSocket(const UdpSocket&) = delete;
  UdpSocket& operator=(const UdpSocket&) = delete;

  // Errors: would_block; connection_refused, unreachable, too_large (once for each ICMP error, for
  // connected sockets).
  Result<UdpMessage> receive(std::span<std::byte> into) noexcept;
  [[nodiscard]] bool is_readable() const noexcept { return !queue_.empty() || error_.has_value(); }
  [[nodiscard]] bool is_open() const noexcept { return node_.is_linked(); }
  [[nodiscard]] const Endpoint& local() const noexcept { return local_; }
  [[nodiscard]] const std::optional<Endpoint>& remote() const noexcept { return remote_; }
  [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_; }

  UdpOptions options;

 private:
  friend class Udp;
  static constexpr std::size_t most_recent = 4;

  base::ListNode node_;
  RecordRing queue_;
  UdpWaiter* waiter_;
  Endpoint local_;  // its address unspecified: any
  std::optional<Endpoint> remote_;
  std::optional<Error> error_;
  // Whom it sent to lately: errors about others are not believed.
  std::array<Endpoint, most_recent> recent_{};
  std::size_t next_recent_ = 0;
  std::uint64_t dropped_ = 0;
};

// Who else of this machine has ports: other stacks that share its addresses.
class UdpPorts {
 public:
  // From now on the port is this stack's, until it is released. Errors: address_in_use, no_memory.
  virtual Result<void> claim(std::uint16_t port) noexcept = 0;
  virtual void release(std::uint16_t port) noexcept = 0;

 protected:
  ~UdpPorts() = default;
};

class Udp final : public Transport {
 public:
  static constexpr std::uint16_t first_ephemeral = 49'152;  // RFC 6056 section 2.1
  static constexpr std::size_t most_payload_ipv4 = 65'507;
  static constexpr std::size_t most_payload_ipv6 = 65'527;

  // `stack` MUST outlive it; sockets MUST be closed before it goes.
  explicit Udp(Stack& stack) noexcept;
  virtual ~Udp();
  Udp(const Udp&) = delete;
  Udp& operator=(const Udp&) = delete;

  // To be asked from now on; before the first socket is opened.
  void set_ports(UdpPorts* ports) noexcept { ports_ = ports; }

  // Port 0: one that is free, not to be guessed. Errors: address_in_use, address_unavailable,
  // limit_reached (no port is free), invalid_state (it is open), no_memory.
  Result<void> open(UdpSocket& socket, const Endpoint& local) noexcept;
  // From now on only `remote` is heard and errors are told. Opens the socket, if it is not.
  // Errors: as of way().
  Result<void> connect(UdpSocket& socket, const Endpoint& remote, std::uint64_t now) noexcept;
  void close(UdpSocket& socket) noexcept;

  // Errors: invalid_state (not open), invalid_argument (port 0), access_denied (broadcast without
  // leave), too_large, and as of Stack::way() and Stack::send().
  Result<void> send(UdpSocket& socket, const Endpoint& to, const Pieces& payload,
                    std::uint64_t now) noexcept;

 private:
  using Bucket = base::List<UdpSocket, &UdpSocket::node_>;

  Verdict receive(const Arrival& arrival, std::uint64_t now) noexcept override;
  bool failed(const wire::Quote& quote, const Failure& failure,
              std::uint64_t now) noexcept override;
  Bucket& bucket(std::uint16_t port) noexcept { return buckets_[port % buckets_.size()]; }
  bool is_free(const UdpSocket& socket, const Endpoint& local) noexcept;
  bool has(std::uint16_t port) noexcept;
  Result<std::uint16_t> choose_port(const UdpSocket& socket, wire::IpAddress address) noexcept;
  static void enqueue(UdpSocket& socket, const Arrival& arrival,
                      const wire::UdpDatagram& datagram) noexcept;

  Stack& stack_;
  UdpPorts* ports_ = nullptr;
  std::array<Bucket, 64> buckets_;
};

}  // namespace lichen::net::ip
