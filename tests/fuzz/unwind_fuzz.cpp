// Unwind tables of a damaged program: what they say may be wrong, but nothing outside of them is
// read. The first bytes of the input say where the header lies and which address is looked for.
#include <cstdint>
#include <cstring>
#include <span>

#include "lichen/hal/linux/unwind.hpp"
#include "tests/fuzz/check.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::uintptr_t at = 0x400000;
  struct Question {
    std::uint16_t header;
    std::int32_t address;
  } question{};
  constexpr std::size_t asked = 6;
  if (size < asked) return 0;
  std::memcpy(&question.header, data, 2);
  std::memcpy(&question.address, data + 2, 4);
  const auto tables = std::as_bytes(std::span{data + asked, size - asked});
  const auto address = at + static_cast<std::uintptr_t>(std::intptr_t{question.address});
  const auto rules = lichen::hal::detail::find_rules(tables, at, at + question.header, address);
  if (rules) CHECK(rules->base < lichen::hal::detail::instruction_register);
  return 0;
}
