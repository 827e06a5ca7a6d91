// Link: one of the devices of an Inet, and the interface that the stack has for it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lichen/net/inet/configuration.hpp"
#include "lichen/net/inet/loan_book.hpp"
#include "lichen/net/inet/transmit_queue.hpp"

namespace lichen::net::inet {

// How the machine is known there.
struct LinkOptions {
  // Ours, with the size of its network. Unspecified: what the network offers by DHCP and from its
  // routers. Those of IPv6 that routers advertise are there in any case.
  wire::Prefix address{};
  wire::IpAddress gateway{};  // of everything else; unspecified: there is none
};

// Whether the device cuts segments, whatever they go over.
inline bool cuts_segments(const io::NetDevice& device) noexcept {
  const io::NetFeatures features = device.features();
  return features.checksum && features.segmentation4 && features.segmentation6;
}

struct Link {
  static constexpr std::size_t most = LoanBook::most / TransmitQueue::slots;

  Link(io::NetDevice& device, coro::Core& home, LoanBook& loans, ip::Stack& stack, ip::Udp& udp,
       coro::Event& moved)
      : device{device}, transmit{device, home, loans}, configuration{stack, udp, moved} {}

  io::NetDevice& device;
  TransmitQueue transmit;
  Configuration configuration;
  ip::Interface* interface = nullptr;
  std::uint32_t taken_over = 0;  // the number of the settings that were, by who follows
};

}  // namespace lichen::net::inet
