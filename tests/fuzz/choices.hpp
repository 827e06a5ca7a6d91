// What a fuzzer's input says to do.
#pragma once

#include <cstdint>
#include <span>

namespace lichen::fuzz {

// The input, number by number; zeroes when it is at its end.
class Choices {
 public:
  explicit Choices(std::span<const std::uint8_t> input) : input_{input} {}
  [[nodiscard]] bool done() const { return input_.empty(); }
  std::uint8_t byte() {
    if (input_.empty()) return 0;
    const std::uint8_t value = input_.front();
    input_ = input_.subspan(1);
    return value;
  }
  std::uint16_t word() {
    const unsigned low = byte();
    return static_cast<std::uint16_t>(low | unsigned{byte()} << 8);
  }
  std::uint32_t number() {
    const std::uint32_t low = word();
    return low | std::uint32_t{word()} << 16;
  }
  std::uint32_t below(std::uint32_t end) { return byte() % end; }

 private:
  std::span<const std::uint8_t> input_;
};

}  // namespace lichen::fuzz
