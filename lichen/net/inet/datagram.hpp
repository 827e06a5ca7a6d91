// Datagrams by our own UDP.
#pragma once

#include <array>
#include <memory>

#include "lichen/io/datagram.hpp"
#include "lichen/io/home_signal.hpp"
#include "lichen/net/ip/udp.hpp"

namespace lichen::net::inet {

class Inet;

// What belongs to the core of its Inet: there alone it is used, and ends.
class UdpEnd final : ip::UdpWaiter {
 public:
  explicit UdpEnd(Inet& inet) noexcept : inet{inet}, socket{queue_, this} {}
  UdpEnd(const UdpEnd&) = delete;
  UdpEnd& operator=(const UdpEnd&) = delete;
  virtual ~UdpEnd();

  Result<void> open(const io::Address& at) noexcept;

  static constexpr std::size_t most_groups = 20;         // as many as the host allows
  static constexpr std::size_t queue_size = 128 * 1024;  // of datagrams that nobody has received

  Inet& inet;
  io::HomeSignal news;
  bool receiving = false;
  struct Group {
    wire::IpAddress address;
    std::uint8_t interface = 1;  // of the stack
  };
  std::array<Group, most_groups> groups;
  std::size_t group_count = 0;
  UdpEnd* next = nullptr;  // of those that were given up elsewhere

 private:
  void readable(ip::UdpSocket&) noexcept override { news.notify(); }

  alignas(8) std::array<std::byte, queue_size> queue_;

 public:
  ip::UdpSocket socket;
};

// On any core, as all streams.
class InetDatagram final : public io::Datagram {
 public:
  explicit InetDatagram(std::unique_ptr<UdpEnd> end) noexcept;
  InetDatagram(const InetDatagram&) = delete;
  InetDatagram& operator=(const InetDatagram&) = delete;
  ~InetDatagram() override;

  Task<Result<io::Received>> receive(std::span<std::byte> into) override;
  Task<Result<void>> send(std::span<const std::byte> from, const io::Address& to) override;
  // The scope does not count: there is one network.
  Task<Result<void>> join(const io::Address& group) override;
  [[nodiscard]] io::Address local() const override { return local_; }

 private:
  UdpEnd& end_;
  const io::Address local_;
};

}  // namespace lichen::net::inet
