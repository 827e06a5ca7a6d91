// Ours of what compilers take for granted, against loops over bytes (tests/boot).
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstring>

namespace lichen::hal {
namespace {

constexpr std::size_t most = 200;
using Block = std::array<unsigned char, 512>;

Block counted() {
  Block block;
  for (std::size_t i = 0; i < block.size(); ++i)
    block[i] = static_cast<unsigned char>(i * 7 + i / 256 + 1);
  return block;
}

TEST(Library, CopiesEverySizeFromAndToAnywhere) {
  const Block from = counted();
  for (std::size_t size = 0; size < most; ++size)
    for (std::size_t in = 0; in < 9; ++in)
      for (std::size_t out = 0; out < 9; ++out) {
        Block to{};
        std::memcpy(to.data() + 16 + out, from.data() + in, size);
        for (std::size_t i = 0; i < to.size(); ++i) {
          const bool within = i >= 16 + out && i < 16 + out + size;
          if (to[i] != (within ? from[in + i - 16 - out] : 0)) {
            FAIL() << "size " << size << " from " << in << " to " << out << " at " << i;
          }
        }
      }
}

TEST(Library, MovesWhatOverlaps) {
  const Block before = counted();
  for (std::size_t size = 0; size < most; ++size)
    for (std::size_t in = 32; in < 64; in += 7)
      for (std::size_t out = 0; out < 100; out += 3) {
        Block block = before;
        std::memmove(block.data() + out, block.data() + in, size);
        for (std::size_t i = 0; i < block.size(); ++i) {
          const bool within = i >= out && i < out + size;
          if (block[i] != before[within ? in + i - out : i]) {
            FAIL() << "size " << size << " from " << in << " to " << out << " at " << i;
          }
        }
      }
}

TEST(Library, FillsAndComparesEverySize) {
  for (std::size_t size = 0; size < most; ++size)
    for (std::size_t at = 16; at < 25; ++at) {
      Block block = counted();
      const Block before = block;
      std::memset(block.data() + at, 0xA5, size);
      for (std::size_t i = 0; i < block.size(); ++i) {
        if (block[i] != (i >= at && i < at + size ? 0xA5 : before[i])) {
          FAIL() << "size " << size << " at " << at << ": " << i;
        }
      }
      Block other = block;
      EXPECT_EQ(std::memcmp(block.data() + at, other.data() + at, size), 0);
      for (std::size_t i = 0; i < size; i += 5) {
        other[at + i] = 0xA6;
        other[at + size - 1] = 0;
        EXPECT_EQ(std::memcmp(block.data() + at, other.data() + at, size) < 0, i + 1 != size);
        EXPECT_EQ(std::memcmp(other.data() + at, block.data() + at, size) > 0, i + 1 != size);
        other = block;
      }
    }
}

}  // namespace
}  // namespace lichen::hal
