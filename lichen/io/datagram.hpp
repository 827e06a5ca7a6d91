// The contract of datagram sockets: whole messages, unordered, unconfirmed.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/io/address.hpp"

namespace lichen::io {

struct Received {
  std::size_t size = 0;    // bytes of `into` that were filled
  bool truncated = false;  // the datagram was longer than `into`; the rest is gone
  Address from;
};

class Datagram {
 public:
  virtual ~Datagram() = default;
  virtual Task<Result<Received>> receive(std::span<std::byte> into) = 0;
  // Error::too_large when the datagram does not fit the medium.
  virtual Task<Result<void>> send(std::span<const std::byte> from, const Address& to) = 0;
  // From now on hears what is sent to a group at its port, too; for as long as it lives. It must be
  // bound to no address, or to the group's. The group's scope says in which network, or else the
  // routes do. Errors: invalid_argument (no group), address_in_use (joined already), limit_reached,
  // not_found (no network to join it in), not_supported.
  virtual Task<Result<void>> join(const Address&) { co_return Error::not_supported; }
  [[nodiscard]] virtual Address local() const = 0;
};

}  // namespace lichen::io
