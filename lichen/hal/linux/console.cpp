#include "lichen/hal/linux/console.hpp"

#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace lichen::hal {

void write_console(std::string_view text) noexcept {
  const int error = errno;
  while (!text.empty()) {
    const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;  // nobody to tell
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  errno = error;
}

void exit_machine(int status) noexcept { std::exit(status); }

void panic(std::string_view message) noexcept {
  write_console("lichen: panic: ");
  write_console(message);
  write_console("\n");
  std::abort();
}

Result<void> random_bytes(std::span<std::byte> bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t got = getrandom(bytes.data(), bytes.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return Error::io_failed;
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

}  // namespace lichen::hal
