// The contract of consoles: where somebody types and reads.
#pragma once

#include <cstdint>

#include "lichen/io/stream.hpp"

namespace lichen::io {

// In characters; zeros: not known.
struct ConsoleSize {
  std::uint16_t columns = 0;
  std::uint16_t rows = 0;
};

// read() returns 0, and receive() an empty buffer, while nobody is at the other end and all that
// was typed has been read; write() then fails with Error::closed. Somebody may come (back) later.
class Console : public Reader, public Writer {
 public:
  // Of the moment.
  [[nodiscard]] virtual ConsoleSize size() const noexcept = 0;
  // Waits until somebody is at the other end.
  virtual Task<Result<void>> opened() = 0;
};

}  // namespace lichen::io
