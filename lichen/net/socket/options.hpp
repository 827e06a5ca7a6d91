// Socket options as Linux has them, on our TCP and UDP: what setsockopt() and getsockopt() of a
// foreign program mean here. Whoever keeps sockets (a personality, a test adapter) gives each a
// Settings and passes the options on.
//
//   socket() -> Settings       set(), get() at any time
//   listen() -> Listener::config = &settings.tcp, ::families = settings.families()
//   connect() -> Engine::connect(.., &settings.tcp), then opened()
//   accept() -> the new socket's Settings are a copy of the listener's, then opened()
//
// What is not known, or known and not honoured, is ENOPROTOOPT; docs/tcp.md lists what is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/net/ip/stack.hpp"
#include "lichen/net/ip/udp.hpp"
#include "lichen/net/socket/groups.hpp"
#include "lichen/net/socket/linux.hpp"
#include "lichen/net/tcp/engine.hpp"

namespace lichen::net::socket {

enum class Family : std::uint8_t { ipv4, ipv6 };
enum class Kind : std::uint8_t { stream, datagram };

// What a socket is and what was chosen for it. What can be is in `tcp`; set() keeps both in step.
struct Settings {
  // `tcp`: what connections begin with.
  Settings(Family family, Kind kind, const tcp::Config& tcp) noexcept;

  // Which of our two an unspecified address of this socket stands for.
  [[nodiscard]] tcp::Families families() const noexcept;

  Family family;
  Kind kind;
  tcp::Config tcp;
  bool bound = false;  // kept by the owner

  bool reuse_address = false;  // bind() beside connections that still have the port
  bool broadcast = false;
  bool keep_alive = false;
  bool linger = false;
  std::uint32_t linger_seconds = 0;  // with zero, close() resets
  // Twice what the app has asked for, as Linux tells it; until it asks they grow.
  std::uint32_t send_buffer;
  std::uint32_t receive_buffer;
  bool send_buffer_fixed = false;
  bool receive_buffer_fixed = false;
  std::uint32_t send_buffer_most;  // as of tcp::Config
  std::uint32_t receive_buffer_most;
  std::uint32_t window_clamp = 0;       // 0: none
  std::uint32_t receive_low_water = 1;  // fewer bytes do not make it readable
  std::uint64_t receive_timeout = 0;    // ns; 0: none
  std::uint64_t send_timeout = 0;
  std::uint64_t keep_idle;  // ns
  bool cork = false;
  bool quick_ack = true;
  bool v6_only = false;
  std::uint8_t mtu_discover = 1;
  bool tells_unread = false;  // TCP_INQ: with each recvmsg(), by the owner
  bool error_told = false;    // by SO_ERROR or a call that failed
  Groups groups;              // left by closing()
};

// A socket in its present state: null what it does not have.
struct Target {
  Settings& settings;
  std::uint64_t now = 0;
  tcp::Engine* engine = nullptr;
  tcp::Connection* connection = nullptr;
  tcp::Listener* listener = nullptr;
  ip::UdpSocket* datagrams = nullptr;
  ip::Stack* stack = nullptr;
};

// Both return 0 or a positive Linux error number.
[[nodiscard]] int set(const Target& target, int level, int name,
                      std::span<const std::byte> value) noexcept;
// `size`: the room on the way in, what was written on the way out.
[[nodiscard]] int get(const Target& target, int level, int name, std::span<std::byte> value,
                      std::size_t& size) noexcept;

// A connection was made of the socket: what its Config does not carry takes effect.
void opened(const Target& target) noexcept;

// The socket goes: MUST be called of each that may have joined groups, with its stack.
void closing(const Target& target) noexcept;

// The error that waits to be told, as a Linux number; it is told once. 0: none.
[[nodiscard]] int take_error(const Target& target) noexcept;

// Whether a receiving call would find enough, the end, or an error.
[[nodiscard]] bool is_readable(const Target& target) noexcept;

[[nodiscard]] TcpInfo tcp_info(tcp::Connection& connection, std::uint64_t now) noexcept;

}  // namespace lichen::net::socket
