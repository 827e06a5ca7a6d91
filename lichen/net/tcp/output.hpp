// Where segments go, and between whom.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/net/tcp/config.hpp"
#include "lichen/net/wire/address.hpp"
#include "lichen/net/wire/ipv4.hpp"
#include "lichen/net/wire/tcp.hpp"

namespace lichen::net::tcp {

struct Endpoint {
  wire::IpAddress address;
  std::uint16_t port = 0;

  friend constexpr bool operator==(const Endpoint&, const Endpoint&) noexcept = default;
};

// Seen from here. Both ends are of one family.
struct Path {
  Endpoint local;
  Endpoint remote;

  friend constexpr bool operator==(const Path&, const Path&) noexcept = default;
};

struct Outgoing {
  const Path& path;
  const wire::TcpHeader& header;
  std::span<const std::span<const std::byte>> payload;  // in pieces, none of them empty
  std::uint32_t payload_size = 0;
  // The most payload of one packet. More is to be cut by the device: flags as they are on the last
  // packet, without FIN and PSH on those before (with CWR only on the first).
  std::uint32_t segment_size = 0;
  wire::Ecn ecn = wire::Ecn::not_capable;
  IpOptions ip = {};
};

// Segments whose payload is read where it lies after transmit() has returned. They come back in
// the order in which they were lent.
struct Loans {
  std::uint64_t lent = 0;
  std::uint64_t returned = 0;
};

// The way to the network layer. What it is given is valid during the call only, but the payload of
// loans until they have come back: also when a peer acknowledges what it has not received, or the
// connection is cut.
class Output {
 public:
  // False: there is no room now, and nothing was sent. Who says so calls flush() later.
  virtual bool transmit(const Outgoing& segment) noexcept = 0;
  // False: transmit() has no room for anybody, and flush() follows when it has. So that not all who
  // wait for room have to try.
  [[nodiscard]] virtual bool has_room() noexcept { return true; }
  // Whether there is a way to the peer just now; what is sent without is lost.
  [[nodiscard]] virtual bool has_way(const Path& /*path*/) const noexcept { return true; }
  // How large packets may be that take the path, as far as that is known; 0: as the Config says.
  [[nodiscard]] virtual std::uint32_t mtu(const Path& /*path*/) const noexcept { return 0; }
  // So far.
  [[nodiscard]] virtual Loans loans() const noexcept { return {}; }

 protected:
  ~Output() = default;
};

}  // namespace lichen::net::tcp
