// Datagrams by our own UDP.
#pragma once

#include <array>
#include <memory>

#include "lichen/io/datagram.hpp"
#include "lichen/io/home_signal.hpp"
#include "lichen/net/ip/udp.hpp"

namespace lichen::net::inet {

class Inet;

// MUST be destroyed on the core of its Inet.
class InetDatagram final : public io::Datagram, ip::UdpWaiter {
 public:
  explicit InetDatagram(Inet& inet) noexcept : inet_{inet}, socket_{queue_, this} {}
  InetDatagram(const InetDatagram&) = delete;
  InetDatagram& operator=(const InetDatagram&) = delete;
  ~InetDatagram() override;

  Result<void> open(const io::Address& at) noexcept;

  Task<Result<io::Received>> receive(std::span<std::byte> into) override;
  Task<Result<void>> send(std::span<const std::byte> from, const io::Address& to) override;
  // The scope does not count: there is one network.
  Task<Result<void>> join(const io::Address& group) override;
  [[nodiscard]] io::Address local() const override;

 private:
  void readable(ip::UdpSocket&) noexcept override { news_.notify(); }

  static constexpr std::size_t most_groups = 20;         // as many as the host allows
  static constexpr std::size_t queue_size = 128 * 1024;  // of datagrams that nobody has received

  Inet& inet_;
  io::HomeSignal news_;
  bool receiving_ = false;
  std::array<wire::IpAddress, most_groups> groups_;
  std::size_t group_count_ = 0;
  alignas(8) std::array<std::byte, queue_size> queue_;
  ip::UdpSocket socket_;
};

}  // namespace lichen::net::inet
