// Inet: io::Network by Lichen's own TCP/IP, over one device or several. An app cannot tell it from
// the host's.
//
//   device ──receive()──> pump ──> ip::Stack ──> tcp::Engine ──> TcpSocket <── Stream, Listener
//   device <──send()── TransmitQueue <──┘  <──────────┘   <────────┘
//
// Of several devices each has a link, with an interface of the stack: its addresses are answered
// there alone, and packets take the way that routes tell. It belongs to the core on which it was
// created: its tasks run there, and whoever uses a stream goes there first. Of cores that share
// devices each has one: InetCores. Its links are in links.cpp.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "lichen/base/hash.hpp"
#include "lichen/base/result.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/coro/timer_wheel.hpp"
#include "lichen/io/net_device.hpp"
#include "lichen/io/system.hpp"
#include "lichen/net/inet/crossing.hpp"
#include "lichen/net/inet/link.hpp"
#include "lichen/net/inet/names.hpp"
#include "lichen/net/inet/tcp_socket.hpp"
#include "lichen/net/ip/stack.hpp"
#include "lichen/net/ip/udp.hpp"
#include "lichen/net/tcp/engine.hpp"

namespace lichen::net::inet {

struct InetOptions {
  // Of the first device, as LinkOptions.
  wire::Prefix address{};
  wire::IpAddress gateway{};
  std::array<LinkOptions, Link::most - 1> others{};  // of the second device, and so on
  // Servers of names, the first ones that are specified; none: those that the network tells.
  std::array<wire::IpAddress, Configuration::most_name_servers> name_servers{};
  base::HashKey secret{};  // random
  tcp::EngineConfig tcp{};
};

wire::IpAddress address_of(const io::Address& address) noexcept;
io::Address address_of(const wire::IpAddress& address, std::uint16_t port) noexcept;

class UdpEnd;

class Inet final : public io::Network {
 public:
  // On the core it is to belong to. The devices MUST outlive it. Errors: no_memory,
  // invalid_argument (an address, a gateway or a device's MTU), already_exists (an address),
  // limit_reached (too many devices).
  static Result<std::unique_ptr<Inet>> create(std::span<io::NetDevice* const> devices,
                                              const InetOptions& options);
  static Result<std::unique_ptr<Inet>> create(io::NetDevice& device, const InetOptions& options);
  Inet(const Inet&) = delete;
  Inet& operator=(const Inet&) = delete;
  // Nobody may use it any more, and run() MUST have ended.
  ~Inet() override;

  // Waits until a device has an address, which it finds while run() goes on, and at most 3 s more
  // until all have; not up again when an address was lost. Error::timed_out. On any core.
  Task<Result<void>> up(Duration limit);
  // Moves packets until it is stopped or the last device has failed; nothing works without it.
  Task<Result<void>> run();

  Task<Result<std::unique_ptr<io::Listener>>> listen(io::Address at,
                                                     io::ListenOptions options = {}) override;
  Task<Result<std::unique_ptr<io::Stream>>> connect(io::Address to) override;
  Task<Result<std::unique_ptr<io::Datagram>>> bind(io::Address at) override;
  // The address that it was told. Of several devices, or where the network gives addresses, which
  // it may do at any time: all of both families.
  [[nodiscard]] io::Address service_address(std::uint16_t port) const override;
  // Of all addresses the first, if there is one, of IPv4 where it can be had.
  [[nodiscard]] io::Address reachable_at(const io::Address& at) const override;
  Task<Result<io::Address>> reachable_elsewhere(io::Address at, io::Address seen) override;
  // Literal addresses, and names by DNS. Errors: name_unresolved (there is no such name, or nobody
  // to ask), timed_out (no server answers), protocol_error (or what it says makes no sense), and as
  // of sending.
  Task<Result<std::vector<io::Address>>> resolve(std::string_view host,
                                                 std::uint16_t port) override;

  // By which a device is known now, the first being 0, on any core; unspecified: it has none.
  [[nodiscard]] wire::IpAddress current_address(std::size_t device) const noexcept {
    return links_[device]->configuration.current_address();
  }
  // Those of a device, on the home core; good until it waits.
  [[nodiscard]] std::span<const ip::LocalAddress> addresses(std::size_t device = 0) const noexcept {
    return std::as_const(*links_[device]->interface).addresses();
  }
  [[nodiscard]] const ip::Counters& counters(std::size_t device = 0) const noexcept {
    return links_[device]->interface->counters;
  }
  [[nodiscard]] const tcp::EngineStatistics& tcp_statistics() const noexcept {
    return engine_.statistics();
  }

 private:
  friend class TcpSocket;
  friend class InetStream;
  friend class InetListener;
  friend class InetDatagram;
  friend class UdpEnd;
  friend class Names;
  friend class InetCores;
  struct Parts;
  // Where it is among others that share its device; no crossing: it is alone. Place 0 leads.
  struct Shared {
    Crossing* crossing = nullptr;
    unsigned place = 0;
    Inet* leader = nullptr;  // if it is another
  };

  static Result<std::unique_ptr<Inet>> create(std::span<io::NetDevice* const> devices,
                                              const InetOptions& options, Shared shared);
  Inet(std::span<io::NetDevice* const> devices, const InetOptions& options, Shared shared);
  Result<void> set_up(std::span<io::NetDevice* const> devices, const InetOptions& options);
  Result<void> add_link(io::NetDevice& device, const LinkOptions& options);

  // Null: the loopback's.
  Link* link_of(const ip::Interface& interface) const noexcept {
    return interface.index == 0 ? nullptr : links_[interface.index - 1].get();
  }
  // Until it is stopped or the device fails, which the others outlive.
  Task<Result<void>> serve(Link& link);
  Task<Result<void>> receive_all(Link& link);
  Task<Result<void>> take_over();
  void take(Link& link, io::ReceivedFrame& frame, std::uint64_t now) noexcept;
  void take(Parcel& parcel, std::uint64_t now) noexcept;
  // Which of the cores gets a datagram that came from the device; nothing: this one.
  std::optional<unsigned> datagrams_elsewhere(std::span<const std::byte> frame) const noexcept;
  // Which of the cores gets a segment that `looked` cores have not known; nothing: this one.
  std::optional<unsigned> elsewhere(const tcp::Path& path, const wire::TcpSegment& segment,
                                    std::uint8_t& looked) noexcept;
  // The others are to know what is new here; what is new there is taken over.
  void lead() noexcept;
  void no_way() noexcept {
    cut_off_ = true;
    cut_off_by_ = stack_.revision();
  }
  void follow() noexcept;
  [[nodiscard]] bool follows() const noexcept { return shared_.place != 0; }
  void stop_listening(TcpSocket& socket) noexcept;
  Task<Result<void>> keep_time();
  Task<Result<void>> watch(Link& link);
  // Where a group is, of which nobody says where.
  ip::Interface& group_interface(const wire::IpAddress& group) noexcept;
  // Those that were told, or what all links tell; says how many.
  std::size_t name_servers(std::span<wire::IpAddress> into) const noexcept;

  [[nodiscard]] coro::Core& home() noexcept { return home_; }
  // Never goes back on the home core.
  std::uint64_t now() noexcept;
  // After something was done: sends what waits, and sees to the timers.
  void after(std::uint64_t now) noexcept;
  // The app has called something of it, at `at`, which was now().
  void touched(tcp::Connection& connection, std::uint64_t at) noexcept;
  void touched(tcp::Connection& connection) noexcept { touched(connection, now()); }
  // From any core.
  void wish(TcpSocket& socket, std::uint8_t wish) noexcept;
  void release(UdpEnd& end) noexcept;
  void take_wishes() noexcept;
  void grant(TcpSocket& socket, std::uint8_t wishes) noexcept;
  static void timer_fired(coro::Timer& timer) noexcept;

  coro::Core& home_;
  const Shared shared_;
  std::uint32_t revision_ = 0;  // of the settings that were announced
  // Segments had no way; and of which settings that was.
  bool cut_off_ = false;
  std::uint32_t cut_off_by_ = 0;
  std::uint64_t now_ = 0;
  LoanBook loans_;
  std::unique_ptr<Parts> parts_;
  ip::Stack stack_;
  ip::Udp udp_;
  coro::Event moved_;                         // a link has another address
  std::vector<std::unique_ptr<Link>> links_;  // the one of interface i at i - 1
  std::size_t working_links_ = 0;
  const std::array<wire::IpAddress, Configuration::most_name_servers> name_servers_;
  std::unique_ptr<Names> names_;  // since the first one was asked for
  tcp::Engine engine_;
  coro::Timer timer_;
  std::uint64_t timer_at_ = tcp::never;
  bool timer_set_ = false;
  coro::Event due_;  // time has come, or somebody wishes for something
  std::atomic<TcpSocket*> wishing_{nullptr};
  std::atomic<UdpEnd*> released_{nullptr};
};

}  // namespace lichen::net::inet
