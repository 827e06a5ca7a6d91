// Between IP and what is above it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lichen/io/buffer.hpp"
#include "lichen/net/ip/interface.hpp"
#include "lichen/net/wire/icmp.hpp"
#include "lichen/net/wire/ipv4.hpp"

namespace lichen::net::ip {

struct Endpoint {
  wire::IpAddress address;
  std::uint16_t port = 0;

  friend constexpr bool operator==(const Endpoint&, const Endpoint&) noexcept = default;
};

// A packet that is for us, whole.
struct Arrival {
  Interface& interface;
  wire::IpAddress from;
  wire::IpAddress to;
  std::uint8_t protocol = 0;
  std::uint8_t hop_limit = 0;
  std::uint8_t traffic_class = 0;
  bool to_group = false;       // to many: by its address or by that of its frame
  bool checksum_done = false;  // the device has verified the transport's
  Bytes packet;                // from the IP header on
  Bytes payload;               // from the transport's header on
  // The memory of `payload`, if it may be kept by taking the buffer; otherwise it is to be copied.
  io::Buffer* buffer = nullptr;

  [[nodiscard]] wire::Verify verify() const noexcept {
    if (checksum_done) return wire::Verify::done_by_device();
    return wire::pseudo_header(from, to, protocol, payload.size());
  }
};

enum class Verdict : std::uint8_t {
  taken,   // or dropped and counted: nothing is left to do
  nobody,  // no port: the sender is to be told
};

enum class FailureKind : std::uint8_t {
  unreachable,    // the network, the machine, or the way there is forbidden: may heal
  refused,        // the protocol or the port
  too_big,        // of the path takes less
  time_exceeded,  // on the way, or while it was put together
  malformed,      // a parameter problem
};

struct Failure {
  FailureKind kind = FailureKind::unreachable;
  std::uint32_t mtu = 0;  // of too_big
};

class Transport {
 public:
  virtual Verdict receive(const Arrival& arrival, std::uint64_t now) noexcept = 0;
  // An ICMP error about something this machine may have sent. Whether it has: only then is what
  // the message says of the path believed (RFC 5927, RFC 8201 section 4).
  virtual bool failed(const wire::Quote& quote, const Failure& failure,
                      std::uint64_t now) noexcept = 0;

 protected:
  ~Transport() = default;
};

}  // namespace lichen::net::ip
