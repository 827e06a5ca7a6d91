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
  [[nodiscard]] virtual Address local() const = 0;
};

}  // namespace lichen::io
