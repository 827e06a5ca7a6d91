// Time, console, power and randomness of the `linux` world.
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "lichen/hal/linux/machine.hpp"

namespace lichen::hal {

std::uint64_t now_ns() noexcept {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

std::int64_t wall_clock_ns() noexcept {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

void write_console(std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

void panic(const char* message) noexcept {
  write_console("lichen: panic: ");
  write_console(message);
  write_console("\n");
  std::abort();
}

void exit_machine(int status) noexcept { std::_Exit(status); }

void random_bytes(std::span<std::byte> into) noexcept {
  while (!into.empty()) {
    const ssize_t got = getrandom(into.data(), into.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) panic("the host has no random numbers: getrandom failed");
    into = into.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace lichen::hal
