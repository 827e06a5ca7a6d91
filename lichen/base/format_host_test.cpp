// Against the C library of the host, which says what it ought to be. What needs none is in
// format_test.cpp, which also runs on bare machines.
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

#include "lichen/base/format.hpp"

namespace lichen::base {
namespace {

template <class... Args>
std::string text(FormatString<std::type_identity_t<Args>...> format, const Args&... args) {
  std::array<char, 512> memory;
  return std::string{format_to(memory, format, args...).text};
}

TEST(FormatOnHost, Pointers) {
  int value = 0;
  std::array<char, 32> expected;
  std::snprintf(expected.data(), expected.size(), "%p", static_cast<void*>(&value));
  EXPECT_EQ(text("{:p}", &value), expected.data());
}

TEST(FormatOnHost, ARealNumberReadsBackTheSame) {
  std::mt19937_64 random{3};
  for (int i = 0; i < 2000; ++i) {
    const double value = std::bit_cast<double>(random());
    if (value != value) continue;
    ASSERT_EQ(std::strtod(text("{}", value).c_str(), nullptr), value);
  }
}

TEST(FormatOnHost, AgreesWithPrintfOnRandomIntegers) {
  std::mt19937_64 random{4};
  std::array<char, 256> expected;
  for (int i = 0; i < 5000; ++i) {
    const auto value = static_cast<std::int64_t>(random()) >> (random() % 64);
    const auto bits = static_cast<std::uint64_t>(value);
    std::snprintf(expected.data(), expected.size(), "%ld|%24ld|%-24ld|%024ld|%lx|%020lX|%lo", value,
                  value, value, value, bits, bits, bits);
    ASSERT_EQ(text("{}|{:24}|{:<24}|{:024}|{:x}|{:020X}|{:o}", value, value, value, value, bits,
                   bits, bits),
              expected.data());
  }
}

}  // namespace
}  // namespace lichen::base
