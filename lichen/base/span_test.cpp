#include "lichen/base/span.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace lichen::base {
namespace {

TEST(Span, TextAndBytesAreTheSameMemory) {
  const std::string_view text = "lichen";
  const auto bytes = as_bytes(text);
  EXPECT_EQ(bytes.size(), 6u);
  EXPECT_EQ(bytes[0], std::byte{'l'});
  EXPECT_EQ(as_string_view(bytes).data(), text.data());
  EXPECT_EQ(as_string_view(bytes), text);
  EXPECT_TRUE(as_bytes("").empty());
  EXPECT_TRUE(as_string_view({}).empty());
}

TEST(Span, AnObjectIsItsBytes) {
  struct Header {
    std::uint16_t length;
    std::uint16_t type;
  };
  Header header{.length = 0x0102, .type = 0};
  static_assert(decltype(bytes_of(header))::extent == sizeof(Header));
  EXPECT_EQ(std::memcmp(bytes_of(header).data(), &header, sizeof header), 0);
  const std::uint16_t type = 0x1234;
  std::memcpy(writable_bytes_of(header).data() + 2, &type, sizeof type);
  EXPECT_EQ(header.length, 0x0102);
  EXPECT_EQ(header.type, 0x1234);
}

template <class T>
concept HasWritableBytes = requires(T& object) { writable_bytes_of(object); };

TEST(Span, AConstantIsNotWritable) {
  static_assert(HasWritableBytes<int>);
  static_assert(!HasWritableBytes<const int>);
}

}  // namespace
}  // namespace lichen::base
