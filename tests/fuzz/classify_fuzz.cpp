// Who is to see a frame: whatever the bytes, nothing beyond them is looked at, and what the parsers
// of all headers take for TCP in one piece is kept where it came.
#include <cstdint>

#include "lichen/base/span.hpp"
#include "lichen/net/inet/classify.hpp"
#include "lichen/net/wire/wire.hpp"
#include "tests/fuzz/check.hpp"

using namespace lichen::net;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span frame{reinterpret_cast<const std::byte*>(data), size};
  const inet::Audience audience = inet::audience_of(frame);
  CHECK(audience <= inet::Audience::all);
  const auto ethernet = wire::parse_ethernet(frame);
  if (!ethernet) return 0;
  if (ethernet->type == wire::ether_type::arp) CHECK(audience == inet::Audience::all);
  if (ethernet->type == wire::ether_type::ipv4) {
    const auto packet = wire::parse_ipv4(ethernet->payload, wire::Verify::done_by_device());
    if (!packet) return 0;
    const bool whole_tcp = packet->protocol == wire::protocol::tcp && !packet->is_fragment();
    CHECK((audience == inet::Audience::here) == whole_tcp);
    // A port is one core's; what is for several machines, or in parts, is the first core's.
    const bool for_one = !packet->is_fragment() && !ethernet->to.is_group();
    if (packet->protocol == wire::protocol::udp)
      CHECK(audience == (for_one ? inet::Audience::ports : inet::Audience::first));
  }
  return 0;
}
