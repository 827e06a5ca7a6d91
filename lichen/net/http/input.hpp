// Input: what has arrived on a connection and was not used yet.
#pragma once

#include <cstddef>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/io/buffer.hpp"
#include "lichen/io/stream.hpp"
#include "lichen/net/http/block.hpp"

namespace lichen::net::http {

// The head of a message is parsed where it arrived, in a borrowed buffer; one that came in several
// parts is put together in a block of its own. Either stays until next_message(), so that views of
// the head are good while the body is read, which takes other buffers. Nothing is held when nothing
// is pending.
class Input {
 public:
  // Reads from `reader`; a head is at most `head_size` bytes long.
  Input(io::Reader& reader, std::size_t head_size) noexcept
      : reader_{reader}, head_size_{head_size} {}

  // MUST be called when nothing is pending.
  void lend(io::Buffer buffer) noexcept;
  // For those who take bytes off the front.
  std::string_view& pending() noexcept { return pending_; }

  // Waits for more of a head, of which a part may be pending. False at the end of the stream.
  Task<Result<bool>> more_of_head();
  // Waits for more of a body, of which nothing is pending. False at the end of the stream.
  Task<Result<bool>> more_of_body();
  // Gives back what is not needed for what is pending: no view of the last message may be left.
  void next_message() noexcept;

 private:
  io::Reader& reader_;
  const std::size_t head_size_;
  io::Buffer buffer_;         // holds the current head, if it came in one part
  io::Buffer later_;          // came after it
  Block assembled_;           // holds the current head, if it came in several
  std::string_view pending_;  // in one of these
};

}  // namespace lichen::net::http
