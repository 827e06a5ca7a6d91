// Console and power are the host's; entropy is not: it comes from the seed.
#include "lichen/hal/linux/console.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "lichen/hal/sim/machine.hpp"

namespace lichen::hal {

void write_console(std::string_view text) noexcept {
  (void)std::fwrite(text.data(), 1, text.size(), stderr);
}

void exit_machine(int status) noexcept { std::exit(status); }

void panic(std::string_view message) noexcept {
  sim::Machine::instance().report("lichen: panic: ", message);
  std::abort();
}

Result<void> random_bytes(std::span<std::byte> bytes) noexcept {
  Random& random = sim::Machine::instance().random();
  while (!bytes.empty()) {
    const std::uint64_t word = random();
    const std::size_t n = std::min(bytes.size(), sizeof(word));
    std::memcpy(bytes.data(), &word, n);
    bytes = bytes.subspan(n);
  }
  return {};
}

}  // namespace lichen::hal
