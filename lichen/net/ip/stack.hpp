// Stack: all between the devices of a machine and its transports. Interfaces, routes, neighbours
// (ARP and NDP), IPv4 and IPv6, ICMP, and the configuration that routers give (SLAAC).
//
//   frame ──receive()──> ┌───────┐ ──Transport::receive()──> packet for TCP, UDP
//   time ───advance()──> │ Stack │ ──FrameOutput::transmit()──> frame
//   packet ────send()──> └───────┘ ──deadline()──> when to call advance()
//
// Pure state: no clock, no device, no allocation; time comes as argument, in ns, and MUST NOT go
// back. All memory is inside (sizeof is most of a megabyte: not for a thread's stack) and so
// bounded, and what does not fit is dropped and counted by name, at the interface it concerns. It
// belongs to one core.
//
// A host, not a router: what is for others is dropped, and an address is answered at the interface
// it belongs to only (the strong model of RFC 1122 section 3.3.4.2). Packets of this machine to
// itself are queued, never delivered within send(), and come out of advance().
//
// Where the parts are: stack.cpp (interfaces, addresses, time), input.cpp, output.cpp, icmp.cpp
// (errors and echo), arp.cpp, ndp.cpp, membership.cpp, router_discovery.cpp,
// follow.cpp.
//
// Not there: forwarding, ICMP redirects (not followed), several default routers chosen by
// reachability, privacy addresses (RFC 8981), extension headers on output, source routes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/base/hash.hpp"
#include "lichen/base/result.hpp"
#include "lichen/io/buffer.hpp"
#include "lichen/net/ip/drop.hpp"
#include "lichen/net/ip/frame.hpp"
#include "lichen/net/ip/interface.hpp"
#include "lichen/net/ip/neighbour.hpp"
#include "lichen/net/ip/path_mtu.hpp"
#include "lichen/net/ip/reassembly.hpp"
#include "lichen/net/ip/record_ring.hpp"
#include "lichen/net/ip/route.hpp"
#include "lichen/net/ip/transport.hpp"
#include "lichen/net/ip/unpredictable.hpp"
#include "lichen/net/wire/membership.hpp"
#include "lichen/net/wire/wire.hpp"

namespace lichen::net::ip {

// How packets get to a destination.
struct Way {
  Interface* interface = nullptr;
  wire::IpAddress from;
  wire::IpAddress to;
  wire::IpAddress next_hop;
  std::uint32_t mtu = 0;  // of the path, as far as it is known
  // The device completes the transport's checksum of packets that fit the MTU.
  bool offloads_checksum = false;

  // Of payload behind the IP header in one packet.
  [[nodiscard]] std::uint32_t room() const noexcept {
    return mtu - static_cast<std::uint32_t>(to.is_ipv4() ? wire::Ipv4Header::size
                                                         : wire::Ipv6Header::size);
  }
};

struct Packet {
  std::uint8_t protocol = 0;
  std::uint8_t hop_limit = 0;  // 0: as is usual for the interface, and 1 to IPv4 groups
  std::uint8_t traffic_class = 0;
  // IPv4: neither we nor routers cut it. Without, packets larger than the MTU are sent in pieces.
  bool dont_fragment = false;
  const Pieces& payload;  // with the transport's header
  Offload offload = {};
};

struct Device {
  FrameOutput& output;
  wire::MacAddress mac;
  std::uint32_t mtu = 1'500;
  bool offloads_checksum = false;
  bool offloads_segments = false;
  bool ipv6 = true;              // a link-local address of its own
  bool router_discovery = true;  // and those that routers advertise
  // Of several stacks of one machine that share a device one asks, answers and defends; the others
  // follow() it.
  bool answers = true;
};

// What the device says of a frame.
struct FrameInfo {
  bool checksum_done = false;  // the transport's has been verified, or need not be
};

// Whether another machine of the link has the address already is asked first: with the times of RFC
// 5227, in which the slowest station answers (4 to 7 seconds), or with some that suit a wire, of
// which the far end answers within milliseconds (150). IPv6 has only the times of RFC 4862.
enum class Probe : std::uint8_t { no, quick, yes };

// What a stack knows of the network that the others of its machine take over from it.
struct Settings {
  std::array<LocalAddress, Interface::most_addresses> addresses{};  // usable ones
  std::size_t address_count = 0;
  RouteTable routes;
  std::uint32_t ipv4_mtu = 0;
  std::uint32_t ipv6_mtu = 0;
  std::uint8_t hop_limit = 0;
  std::uint64_t reachable_time = 0;
  std::uint64_t retransmit_time = 0;
  bool up = true;  // the interface
};

enum class AddressEvent : std::uint8_t { ready, conflict, expired };

// Who wants to know what becomes of addresses. Called from within the stack: it may add and remove
// addresses and routes only later.
class Observer {
 public:
  virtual void address(Interface& interface, const LocalAddress& address,
                       AddressEvent event) noexcept = 0;

 protected:
  ~Observer() = default;
};

// Who sends echo requests.
class EchoClient {
 public:
  virtual void echo_reply(const Arrival& arrival, const wire::IcmpMessage& reply,
                          std::uint64_t now) noexcept = 0;
  // As Transport::failed().
  virtual bool echo_failed(const wire::Quote& quote, const Failure& failure,
                           std::uint64_t now) noexcept = 0;

 protected:
  ~EchoClient() = default;
};

class Stack final : Neighbours::Link, Reassembly::Owner {
 public:
  static constexpr std::size_t most_interfaces = 8;
  static constexpr std::size_t loopback_bytes = std::size_t{192} * 1024;
  static constexpr std::uint32_t loopback_mtu = 65'535;
  static constexpr std::size_t most_frame_header = 14 + 40 + 8;

  // The secret MUST be random and, for addresses that stay the same, kept (RFC 7217).
  explicit Stack(base::HashKey secret) noexcept;
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  // Interfaces. They stay as long as the stack does.
  // Errors: limit_reached; invalid_argument (the MTU is below 1,280 or above 65,535).
  Result<Interface*> add_interface(const Device& device, std::uint64_t now) noexcept;
  [[nodiscard]] Interface& loopback() noexcept { return interfaces_[0]; }
  [[nodiscard]] std::span<Interface> interfaces() noexcept {
    return std::span{interfaces_}.first(interface_count_);
  }
  // The cable was plugged in or out. Down: what is learnt of neighbours is forgotten; up: routers
  // are asked, and addresses probed anew, but those set by hand.
  void set_up(Interface& interface, bool up, std::uint64_t now) noexcept;
  // Tells the link of its addresses: it is at another place of it now. Nothing, for one that leaves
  // the conversation to others.
  void announce(Interface& interface, std::uint64_t now) noexcept;

  // How large packets of IPv4 may be here, as others of the link expect: no less than each machine
  // must take, no more than the device carries (RFC 2132 section 5.1). Nothing: as the device.
  void limit_ipv4_mtu(Interface& interface, std::optional<std::uint32_t> mtu) noexcept;

  // Addresses, with the route to their network. Errors: already_exists, limit_reached,
  // invalid_argument (not an address of one machine).
  Result<void> add_address(Interface& interface, const LocalAddress& address, Probe probe,
                           std::uint64_t now) noexcept;
  // Errors: not_found.
  Result<void> remove_address(Interface& interface, const wire::IpAddress& address) noexcept;
  // Null when none of the usable addresses of this machine is it.
  Interface* owner_of(const wire::IpAddress& address) noexcept;
  void set_observer(Observer* observer) noexcept { observer_ = observer; }

  // Groups. Errors: invalid_argument, limit_reached.
  Result<void> join(Interface& interface, const wire::IpAddress& group) noexcept;
  void leave(Interface& interface, const wire::IpAddress& group) noexcept;
  // Where a packet to a group goes when nobody says: by its own route, if there is one, or out of
  // the only interface there is, or by the default route. Null: none of them.
  Interface* group_interface(const wire::IpAddress& to) noexcept;

  // As RouteTable's.
  Result<void> add_route(const Route& route) noexcept;
  Result<void> remove_route(const wire::Prefix& to, const wire::IpAddress& via,
                            std::uint8_t interface) noexcept {
    changed();
    return routes_.remove(to, via, interface);
  }
  [[nodiscard]] const RouteTable& routes() const noexcept { return routes_; }

  // ---- several stacks of one machine (Device::answers)
  // Another number after each change of what settings() tells.
  [[nodiscard]] std::uint32_t revision() const noexcept { return revision_; }
  [[nodiscard]] Settings settings(const Interface& interface) const noexcept;
  // Takes them over; both stacks MUST have the same interfaces.
  void follow(Interface& interface, const Settings& settings, std::uint64_t now) noexcept;

  [[nodiscard]] const Neighbours& neighbours() const noexcept { return neighbours_; }
  [[nodiscard]] const Reassembly& reassembly() const noexcept { return reassembly_; }
  [[nodiscard]] std::uint32_t path_mtu(const wire::IpAddress& to, std::uint32_t most,
                                       std::uint64_t now) const noexcept {
    return path_mtu_.of(to, most, now);
  }
  [[nodiscard]] Unpredictable& random() noexcept { return random_; }

  // Packets in. The buffer goes to the transport, if that wants it, or back.
  void receive(Interface& interface, io::Buffer frame, const FrameInfo& info,
               std::uint64_t now) noexcept;
  // The transport MUST outlive the stack or be taken out with null.
  void set_transport(std::uint8_t protocol, Transport* transport) noexcept {
    transports_[protocol] = transport;
  }
  // The peer has answered a packet of a transport: the neighbour on the way to it is there.
  void confirm(const Way& way, std::uint64_t now) noexcept;

  // Packets out.
  // `from` default-constructed: chosen. `interface`: the only one that may be taken; packets to
  // groups, to all and to link-local addresses need one where there are several.
  // Errors: unreachable, address_unavailable, invalid_argument.
  Result<Way> way(const wire::IpAddress& to, const wire::IpAddress& from, Interface* interface,
                  std::uint64_t now) noexcept;
  // Errors: too_large, would_block (the device is full), unreachable (nobody can be asked for
  // the neighbour), invalid_argument (too many pieces).
  Result<void> send(const Way& way, const Packet& packet, std::uint64_t now) noexcept;

  // Echo requests and what comes of them.
  Result<void> send_echo(const Way& way, std::uint16_t id, std::uint16_t number, Bytes body,
                         std::uint64_t now) noexcept;
  void set_echo_client(EchoClient* client) noexcept { echo_client_ = client; }

  // Time.
  [[nodiscard]] std::uint64_t deadline() const noexcept;
  void advance(std::uint64_t now) noexcept;

 private:
  // stack.cpp
  Interface& interface(std::uint8_t index) noexcept override { return interfaces_[index]; }
  Counters& counters(std::uint8_t index) noexcept override { return interfaces_[index].counters; }
  void schedule(std::uint64_t at) noexcept { deadline_ = at < deadline_ ? at : deadline_; }
  // What settings() tells.
  void changed() noexcept {
    ++revision_;
    forget_ways();
  }
  // Something that way() depends on.
  void forget_ways() noexcept { ++ways_revision_; }
  void start_probing(LocalAddress& address) noexcept;
  void advance_addresses(Interface& interface) noexcept;
  void advance_address(Interface& interface, LocalAddress& address) noexcept;
  void conflict(Interface& interface, LocalAddress& address) noexcept;
  void tell(Interface& interface, const LocalAddress& address, AddressEvent event) noexcept;

  // input.cpp
  struct Origin {
    bool to_group_mac = false;
    bool checksum_done = false;
    io::Buffer* buffer = nullptr;
  };
  void input_ipv4(Interface& interface, Bytes bytes, const Origin& origin) noexcept;
  void input_ipv6(Interface& interface, Bytes bytes, const Origin& origin) noexcept;
  // `to_group`: whether it is for all or many.
  [[nodiscard]] bool is_own(Interface& interface, const wire::IpAddress& address) noexcept;
  bool accepts_ipv4(Interface& interface, const wire::Ipv4Packet& packet, const Origin& origin,
                    bool& to_group) noexcept;
  bool accepts_ipv6(Interface& interface, const wire::Ipv6Packet& packet) noexcept;
  bool check_options(const Arrival& arrival, Bytes options) noexcept;
  void reassemble(const Arrival& arrival, const DatagramKey& key,
                  const FragmentPiece& piece) noexcept;
  void deliver(const Arrival& arrival) noexcept;
  void drain_loopback() noexcept;
  static void narrow(const Arrival& arrival) noexcept;

  // output.cpp
  Result<Way> find_way(const wire::IpAddress& to, const wire::IpAddress& from,
                       Interface* interface) noexcept;
  Result<void> send_ipv4(const Way& way, const Packet& packet) noexcept;
  Result<void> send_ipv6(const Way& way, const Packet& packet) noexcept;
  Result<void> emit(const Way& way, std::size_t header_size, Pieces& pieces,
                    const Offload& offload) noexcept;
  Result<void> emit_frame(Interface& interface, const Frame& frame) noexcept;
  std::uint32_t next_id(const Way& way) noexcept;

  // icmp.cpp
  void receive_icmp(const Arrival& arrival) noexcept;
  void receive_icmpv6(const Arrival& arrival) noexcept;
  void receive_error(const Arrival& arrival, const wire::IcmpMessage& message,
                     const Failure& failure) noexcept;
  void answer_echo(const Arrival& arrival, const wire::IcmpMessage& request,
                   std::uint8_t reply_type) noexcept;
  void send_error(const Arrival& arrival, const wire::IcmpHeader& header,
                  bool even_if_multicast = false) noexcept;
  Result<void> send_icmp(const Way& way, const wire::IcmpHeader& header, Bytes body,
                         std::uint8_t hop_limit = 0) noexcept;
  void report(const wire::Quote& quote, const Failure& failure, Interface& interface) noexcept;
  void expired(const Reassembly::Datagram& datagram) noexcept override;

  // arp.cpp
  void receive_arp(Interface& interface, Bytes bytes) noexcept;
  void send_arp(Interface& interface, const wire::MacAddress& to,
                const wire::ArpPacket& packet) noexcept;
  void send_announcement(Interface& interface, const LocalAddress& address) noexcept;
  void send_probe(Interface& interface, const LocalAddress& address) noexcept;
  void solicit(const Neighbour& neighbour) noexcept override;
  void transmit(const Neighbour& neighbour, Bytes frame, const Offload& offload) noexcept override;
  void lost(const Neighbour& neighbour, Bytes frame) noexcept override;

  // ndp.cpp
  bool receive_ndp(const Arrival& arrival, const wire::IcmpMessage& message) noexcept;
  void receive_solicitation(const Arrival& arrival,
                            const wire::NeighbourSolicitation& solicitation) noexcept;
  void receive_advertisement(const Arrival& arrival,
                             const wire::NeighbourAdvertisement& advertisement) noexcept;
  template <class Message>
  void send_ndp(Interface& interface, const wire::IpAddress& from, const wire::IpAddress& to,
                const Message& message) noexcept;
  void solicit_ipv6(const Neighbour& neighbour) noexcept;
  void probe_ipv6(Interface& interface, const LocalAddress& address) noexcept;
  void advertise(Interface& interface, const LocalAddress& address) noexcept;

  // membership.cpp
  [[nodiscard]] std::uint8_t membership_version(const Interface& interface,
                                                bool ipv4) const noexcept;
  void advance_groups(Interface& interface) noexcept;
  void receive_igmp(const Arrival& arrival) noexcept;
  void receive_mld_query(const Arrival& arrival, const wire::IcmpMessage& message) noexcept;
  void answer_query(Interface& interface, const wire::MembershipQuery& query, bool ipv4) noexcept;
  void send_membership(Interface& interface, const wire::IpAddress& group,
                       wire::MembershipRecord record) noexcept;

  // router_discovery.cpp
  void start_ipv6(Interface& interface) noexcept;
  void advance_discovery(Interface& interface) noexcept;
  void receive_router(const Arrival& arrival, const wire::RouterAdvertisement& router) noexcept;
  void learn_prefix(Interface& interface, const wire::PrefixInformation& prefix) noexcept;
  void refresh(LocalAddress& address, const wire::PrefixInformation& prefix) noexcept;
  wire::Ipv6Address stable_address(const Interface& interface, const wire::Ipv6Address& prefix,
                                   std::uint8_t conflicts) noexcept;

  std::uint64_t now_ = 0;
  std::uint32_t revision_ = 1;
  // Ways that were found, by destination: who sends much sends to few.
  struct KnownWay {
    std::uint32_t revision = 0;
    std::uint64_t until = 0;
    Way way;
  };
  std::uint32_t ways_revision_ = 1;
  std::array<KnownWay, 8> known_ways_{};
  Unpredictable random_;
  std::uint64_t flow_key_;
  std::array<Interface, most_interfaces> interfaces_{};
  std::size_t interface_count_ = 1;
  RouteTable routes_;
  Neighbours neighbours_;
  Reassembly reassembly_;
  PathMtu path_mtu_;
  std::array<std::uint32_t, 64> ids_;  // of datagrams in pieces, by destination (RFC 7739)
  TokenBucket errors_{100, 10};        // RFC 1812 section 4.3.2.8, RFC 4443 section 2.4
  std::array<Transport*, 256> transports_{};
  EchoClient* echo_client_ = nullptr;
  Observer* observer_ = nullptr;
  std::uint64_t deadline_ = never;  // of addresses, routes and router discovery
  alignas(8) std::array<std::byte, loopback_bytes> loopback_memory_;
  RecordRing loopback_ring_{loopback_memory_};
};

}  // namespace lichen::net::ip
