#include "lichen/io/steering.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace lichen::io {
namespace {

// The published values by which makers of cards verify theirs ("Verifying the RSS Hash
// Calculation", Microsoft), with this key.
constexpr std::array<std::uint8_t, Steering::key_size> key{
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

struct Known {
  std::vector<std::uint8_t> flow;
  std::uint32_t of_addresses;
  std::uint32_t of_all;
};

std::vector<std::uint8_t> flow(std::vector<std::uint8_t> source, std::uint16_t source_port,
                               const std::vector<std::uint8_t>& destination,
                               std::uint16_t destination_port) {
  source.insert(source.end(), destination.begin(), destination.end());
  for (const std::uint16_t port : {source_port, destination_port}) {
    source.push_back(static_cast<std::uint8_t>(port >> 8));
    source.push_back(static_cast<std::uint8_t>(port));
  }
  return source;
}

const std::vector<Known> known{
    {flow({66, 9, 149, 187}, 2794, {161, 142, 100, 80}, 1766), 0x323e8fc2, 0x51ccc178},
    {flow({199, 92, 111, 2}, 14230, {65, 69, 140, 83}, 4739), 0xd718262a, 0xc626b0ea},
    {flow({24, 19, 198, 95}, 12898, {12, 22, 207, 184}, 38024), 0xd2d0a5de, 0x5c2b394a},
    {flow({38, 27, 205, 30}, 48228, {209, 142, 163, 6}, 2217), 0x82989176, 0xafc7327f},
    {flow({153, 39, 163, 191}, 44251, {202, 188, 127, 2}, 1303), 0x5d1809c5, 0x10e828a2},
    {flow({0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, 7}, 2794,
          {0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x00, 0x03, 0, 0, 0, 0, 0, 0, 0, 1}, 1766),
     0x2cc18cd5, 0x40207d3d},
    {flow({0x3f, 0xfe, 0x05, 0x01, 0, 8, 0, 0, 0x02, 0x60, 0x97, 0xff, 0xfe, 0x40, 0xef, 0xab},
          14230, {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 4739),
     0x0f0c461c, 0xdde51bbf},
    {flow({0x3f, 0xfe, 0x19, 0, 0x45, 0x45, 0, 3, 2, 0, 0xf8, 0xff, 0xfe, 0x21, 0x67, 0xcf}, 44251,
          {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0xf8, 0xff, 0xfe, 0x21, 0x67, 0xcf}, 38024),
     0x4b61e985, 0x02d1feef},
};

TEST(Steering, HashesAsIsPublished) {
  for (const Known& each : known) {
    EXPECT_EQ(toeplitz_hash(key, each.flow), each.of_all);
    const std::size_t addresses = each.flow.size() - 4;
    EXPECT_EQ(toeplitz_hash(key, std::span{each.flow}.first(addresses)), each.of_addresses);
  }
  EXPECT_EQ(toeplitz_hash(key, {}), 0U);
}

TEST(Steering, FollowsTheTable) {
  const Steering steering{.key = key, .queues = 3};
  for (const Known& each : known)
    EXPECT_EQ(steering.queue_of(each.flow), steering.queue_of_entry(each.of_all & 127));
  EXPECT_EQ(steering.queue_of_entry(127), 1U);
}

}  // namespace
}  // namespace lichen::io
