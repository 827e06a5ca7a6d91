#include "lichen/hal/sim/link.hpp"

#include <algorithm>
#include <utility>

namespace lichen::hal::sim {

namespace {
constexpr std::uint64_t million = 1'000'000;

std::uint64_t time_on_wire(std::uint64_t bytes, std::uint64_t bits_per_second) noexcept {
  if (bits_per_second == 0) return 0;
  const auto bits = static_cast<unsigned __int128>(bytes) * 8 * 1'000'000'000;
  return static_cast<std::uint64_t>((bits + bits_per_second - 1) / bits_per_second);
}

// What fits on the wire in a time.
std::uint64_t bytes_in(std::uint64_t ns, std::uint64_t bits_per_second) noexcept {
  return static_cast<std::uint64_t>(static_cast<unsigned __int128>(ns) * bits_per_second / 8 /
                                    1'000'000'000);
}
}  // namespace

bool Link::happens(std::uint32_t in_a_million) noexcept {
  return in_a_million > 0 && random_.below(million) < in_a_million;
}

std::uint64_t Link::draw(Range range) noexcept {
  return range.least >= range.most ? range.least
                                   : range.least + random_.below(range.most - range.least + 1);
}

bool Link::later(const Flight& a, const Flight& b) noexcept {
  return std::pair{a.arrives_ns, a.number} > std::pair{b.arrives_ns, b.number};
}

void Link::fly(std::vector<std::byte> packet, std::uint64_t arrives_ns) {
  flights_.push_back({arrives_ns, flights_begun_++, std::move(packet)});
  std::ranges::push_heap(flights_, &later);
}

Result<void> Link::send(std::span<const std::byte> packet, std::uint64_t now_ns) {
  if (packet.empty()) return Error::invalid_argument;
  if (packet.size() > model_.largest_packet) return Error::too_large;
  ++statistics_.sent;
  if (!up_) {
    ++statistics_.lost;
    return {};
  }
  const std::uint64_t begins = std::max(now_ns, wire_free_ns_);
  if (bytes_in(begins - now_ns, model_.bits_per_second) + packet.size() > model_.queue_bytes) {
    ++statistics_.dropped;
    return {};
  }
  wire_free_ns_ = begins + time_on_wire(packet.size(), model_.bits_per_second);
  if (happens(model_.lost)) {
    ++statistics_.lost;
    return {};
  }
  std::vector<std::byte> copy{packet.begin(), packet.end()};
  if (happens(model_.damaged)) {
    ++statistics_.damaged;
    for (std::uint64_t flips = 1 + random_.below(8); flips > 0; --flips)
      copy[random_.below(copy.size())] ^= std::byte{1} << random_.below(8);
  }
  std::uint64_t arrives = wire_free_ns_ + draw(model_.latency);
  if (happens(model_.overtaken)) {
    ++statistics_.overtaken;
    arrives += draw(model_.overtaken_by);
  } else {
    arrives = last_arrival_ns_ = std::max(arrives, last_arrival_ns_);
  }
  if (happens(model_.doubled)) {
    ++statistics_.doubled;
    fly(copy, arrives + draw(model_.latency));
  }
  fly(std::move(copy), arrives);
  return {};
}

std::uint64_t Link::next_arrival() const noexcept {
  return flights_.empty() ? no_deadline : flights_.front().arrives_ns;
}

Result<std::vector<std::byte>> Link::receive(std::uint64_t now_ns) {
  if (next_arrival() > now_ns) return Error::would_block;
  std::ranges::pop_heap(flights_, &later);
  std::vector<std::byte> packet = std::move(flights_.back().packet);
  flights_.pop_back();
  ++statistics_.received;
  return packet;
}

}  // namespace lichen::hal::sim
