#include "lichen/base/format.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <limits>
#include <numbers>
#include <string>

namespace outside {

struct Address {
  std::string_view host;
  std::uint16_t port;
};

void format_value(lichen::TextBuffer& out, const Address& address) {
  lichen::format_to(out, "{}:{}", address.host, address.port);
}

}  // namespace outside

namespace lichen::base {
namespace {

template <class... Args>
std::string text(FormatString<std::type_identity_t<Args>...> format, const Args&... args) {
  std::array<char, 512> memory;
  const Formatted formatted = format_to(memory, format, args...);
  EXPECT_FALSE(formatted.truncated);
  return std::string{formatted.text};
}

TEST(Format, PlainTextAndBraces) {
  EXPECT_EQ(text(""), "");
  EXPECT_EQ(text("plain"), "plain");
  EXPECT_EQ(text("{{}} {{{}}}", 1), "{} {1}");
}

TEST(Format, Integers) {
  EXPECT_EQ(text("{} {} {}", 0, -1, 42u), "0 -1 42");
  EXPECT_EQ(text("{}", std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
  EXPECT_EQ(text("{}", std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
  EXPECT_EQ(text("{} {}", std::uint8_t{200}, std::int8_t{-100}), "200 -100");
  EXPECT_EQ(text("{:x} {:X} {:b} {:o} {:d}", 255, 255, 5, 8, 7), "ff FF 101 10 7");
  EXPECT_EQ(text("{:#x} {:#X} {:#b} {:#o}", 255, 255, 5, 8), "0xff 0XFF 0b101 010");
  EXPECT_EQ(text("{:x} {:#o} {:#x}", -255, 0, 0), "-ff 0 0x0");
  EXPECT_EQ(text("{:b}", std::numeric_limits<std::uint64_t>::max()), std::string(64, '1'));
}

TEST(Format, WidthFillAndAlignment) {
  EXPECT_EQ(text("[{:5}] [{:<5}] [{:^5}] [{:>5}]", 42, 42, 42, 42),
            "[   42] [42   ] [ 42  ] [   42]");
  EXPECT_EQ(text("[{:5}] [{:>5}] [{:*^6}]", "ab", "ab", "abc"), "[ab   ] [   ab] [*abc**]");
  EXPECT_EQ(text("{:08x} {:#010x} {:05} {:02}", 0xBEEF, 0xBEEF, -42, 1234),
            "0000beef 0x0000beef -0042 1234");
  EXPECT_EQ(text("[{:<05}]", 7), "[7    ]");  // an alignment beats the zeros
  EXPECT_EQ(text("[{:3}] [{:>7}]", 'c', true), "[c  ] [   true]");
}

TEST(Format, TextOfEveryKind) {
  const char* pointer = "pointer";
  const std::string owned = "owned";
  EXPECT_EQ(text("{} {} {} {}", "literal", pointer, owned, std::string_view{"view"}),
            "literal pointer owned view");
  EXPECT_EQ(text("{:.3}|{:5.2}|{:.0}|{:.9s}", "abcdef", "abcdef", "abcdef", "abc"),
            "abc|ab   ||abc");
  EXPECT_EQ(text("{} {} {:c}", true, false, 'x'), "true false x");
}

TEST(Format, Pointers) {
  EXPECT_EQ(text("{} {:>8}", reinterpret_cast<void*>(0xABC0), nullptr), "0xabc0      0x0");
}

TEST(Format, RealNumbers) {
  EXPECT_EQ(text("{} {} {} {}", 0.1, 0.1f, -2.0, 1e300), "0.1 0.1 -2 1e+300");
  EXPECT_EQ(text("{:.3} {:.3f} {:.2e} {:g}", std::numbers::pi, std::numbers::pi, 12345.678, 0.5),
            "3.14 3.142 1.23e+04 0.5");
  EXPECT_EQ(text("[{:8.2f}] [{:<8.2f}] [{:08.2f}]", -1.5, -1.5, -1.5),
            "[   -1.50] [-1.50   ] [-0001.50]");
  EXPECT_EQ(text("{} {:05}", std::numeric_limits<double>::infinity(),
                 -std::numeric_limits<double>::infinity()),
            "inf  -inf");
  EXPECT_EQ(text("{:.60f}", -std::numeric_limits<double>::max()).size(), 1u + 309 + 1 + 60);
}

TEST(Format, ErrorsAndTypesOfOnesOwn) {
  const outside::Address address{.host = "localhost", .port = 8080};
  EXPECT_EQ(text("{} at {}", Error::connection_refused, address),
            "connection_refused at localhost:8080");
  EXPECT_EQ(text("[{:>16}] [{:-<8}]", address, Error::busy), "[  localhost:8080] [busy----]");
}

TEST(Format, WhatDoesNotFitIsCutAndSaidToBe) {
  const outside::Address address{.host = "localhost", .port = 8080};
  const std::string whole = text("{:>20}|{:-^9}|{:#08x}|{}", address, "mid", 255, true);
  for (std::size_t size = 0; size <= whole.size() + 2; ++size) {
    std::string memory(size + 1, '#');  // one byte more than is given, to be left alone
    const auto [part, truncated] = format_to(std::span{memory}.first(size),
                                             "{:>20}|{:-^9}|{:#08x}|{}", address, "mid", 255, true);
    EXPECT_EQ(part, whole.substr(0, size));
    EXPECT_EQ(truncated, size < whole.size());
    EXPECT_EQ(memory[size], '#');
  }
}

TEST(Format, ATextByValue) {
  const FixedString<8> name = format<8>("core {}", 3);
  EXPECT_EQ(name, "core 3");
  EXPECT_EQ(name.size(), 6u);
  EXPECT_FALSE(name.truncated());
  const auto copy = name;
  EXPECT_EQ(text("<{}>", copy), "<core 3>");
  EXPECT_TRUE(format<4>("core {}", 3).truncated());
  EXPECT_EQ(format<4>("core {}", 3), "core");
  EXPECT_TRUE(FixedString<4>{}.empty());
}

// What the compiler refuses, asked of the checker's own parts.
constexpr bool is_well_formed(std::string_view format) {
  return read_format(format, [](std::string_view) {}, [](const FormatSpec&) {});
}
static_assert(is_well_formed("{}{:x}{:>8}{:.3}{{}}") && is_well_formed("{:#08x}"));
static_assert(!is_well_formed("{") && !is_well_formed("}") && !is_well_formed("{:"));
static_assert(!is_well_formed("{0}") && !is_well_formed("{:.}") && !is_well_formed("{:xx}"));
static_assert(!is_well_formed("{:99999}") && !is_well_formed("{:{>3}") && !is_well_formed("a}b"));
static_assert(fits({.type = 'x'}, FormatKind::integer) && !fits({.type = 'x'}, FormatKind::text));
static_assert(!fits({.precision = 3}, FormatKind::integer));
static_assert(!fits({.precision = 61}, FormatKind::real) &&
              fits({.precision = 60}, FormatKind::real));
static_assert(!fits({.zero = true}, FormatKind::text) && !fits({.type = 'd'}, FormatKind::custom));
static_assert(!fits({}, FormatKind::none));

}  // namespace
}  // namespace lichen::base
