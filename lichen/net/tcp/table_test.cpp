#include "lichen/net/tcp/table.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "lichen/base/hash.hpp"
#include "lichen/net/tcp/test_world.hpp"

namespace lichen::net::tcp {
namespace {

class Nowhere final : public Output {
  bool transmit(const Outgoing& /*segment*/) noexcept override { return true; }
};

class TableTest : public testing::Test {
 protected:
  static Path path_of(std::uint32_t i) {
    const wire::Ipv4Address remote{{10, static_cast<std::uint8_t>(i >> 16),
                                    static_cast<std::uint8_t>(i >> 8),
                                    static_cast<std::uint8_t>(i)}};
    return {{*wire::IpAddress::parse("192.0.2.1"), 80}, {wire::IpAddress{remote}, 1'024}};
  }
  static std::uint64_t hash_of(std::uint32_t i) { return base::hash(std::uint64_t{i}); }

  void add(Table& table, std::uint32_t i) {
    connections.push_back(std::make_unique<Connection>(Config{}, resources, path_of(i), 0));
    table.insert(*connections.back(), hash_of(i));
  }

  TestMemory memory;
  TestPools pools{memory};
  Nowhere nowhere;
  Resources resources{pools.chunks, pools.flights, pools.pieces, pools.blocks, nowhere};
  std::vector<std::unique_ptr<Connection>> connections;
};

TEST_F(TableTest, GrowsWithWhatIsInIt) {
  constexpr std::uint32_t count = 5'000;
  {
    Table table{memory, 65'536};
    ASSERT_TRUE(table.created());
    EXPECT_LE(memory.used, 4'096u) << "an empty table is small";
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::size_t before = table.chains();
      const std::size_t calls = memory.calls;
      add(table, i);
      EXPECT_LE(table.chains(), before + 1) << "one step at a time";
      EXPECT_LE(memory.calls, calls + 1);
      if (i % 97 != 0) continue;
      for (std::uint32_t k = 0; k <= i; ++k)
        ASSERT_EQ(table.find(path_of(k), hash_of(k)), connections[k].get());
      ASSERT_EQ(table.find(path_of(i + 1), hash_of(i + 1)), nullptr);
    }
    EXPECT_EQ(table.chains(), count);
    EXPECT_LE(memory.used, count * sizeof(Connection*) + 4'096);
    for (std::uint32_t i = 0; i < count; i += 2) table.erase(*connections[i]);
    EXPECT_EQ(table.size(), count / 2);
    for (std::uint32_t i = 0; i < count; ++i)
      ASSERT_EQ(table.find(path_of(i), hash_of(i)), i % 2 == 0 ? nullptr : connections[i].get());
    std::size_t seen = 0;
    table.for_each([&](Connection& connection) {
      ++seen;
      table.erase(connection);
    });
    EXPECT_EQ(seen, count / 2);
    EXPECT_EQ(table.size(), 0u);
  }
  EXPECT_EQ(memory.used, 0u);
}

TEST_F(TableTest, WithoutMemoryTheChainsBecomeLonger) {
  Table table{memory, 65'536};
  ASSERT_TRUE(table.created());
  memory.refuses = true;
  for (std::uint32_t i = 0; i < 2'000; ++i) add(table, i);
  EXPECT_EQ(table.chains(), Table::segment_chains);
  memory.refuses = false;
  for (std::uint32_t i = 2'000; i < 4'000; ++i) add(table, i);
  EXPECT_EQ(table.chains(), Table::segment_chains + 2'000);
  for (std::uint32_t i = 0; i < 4'000; ++i)
    ASSERT_EQ(table.find(path_of(i), hash_of(i)), connections[i].get());
}

TEST_F(TableTest, HasABound) {
  Table table{memory, 6};
  ASSERT_TRUE(table.created());
  for (std::uint32_t i = 0; i < 1'000; ++i) add(table, i);
  EXPECT_EQ(table.chains(), Table::segment_chains);
  for (std::uint32_t i = 0; i < 1'000; ++i)
    ASSERT_EQ(table.find(path_of(i), hash_of(i)), connections[i].get());
}

TEST_F(TableTest, MayHaveNoMemoryAtAll) {
  memory.refuses = true;
  const Table table{memory, 65'536};
  EXPECT_FALSE(table.created());
}

}  // namespace
}  // namespace lichen::net::tcp
