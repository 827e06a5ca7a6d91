// Output: what is to be sent on a connection, gathered so that many small responses are one write.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "lichen/base/result.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/io/stream.hpp"
#include "lichen/net/http/block.hpp"
#include "lichen/net/http/watch.hpp"

namespace lichen::net::http {

// Written to by one task. Another one of the same core may run flush_late() beside it, which sends
// what waits here while the first is busy with something else.
class Output {
 public:
  static constexpr std::size_t size = 16'384;
  // The time to send is limited a slice at a time, so that a large body may take longer.
  static constexpr std::size_t slice = 131'072;

  Output(io::Writer& writer, Watch& watch, Duration timeout) noexcept
      : writer_{writer}, watch_{watch}, timeout_{timeout} {}

  // Gets the memory if it is not there. False when there is none to be had.
  [[nodiscard]] bool open() noexcept {
    if (!block_ && !block_.allocate(size)) return false;
    return true;
  }
  // Gives the memory back if nothing waits in it.
  void close() noexcept {
    if (!empty()) return;
    block_.release();
    begin_ = end_ = 0;
  }

  // Where more can be written, and taking so many bytes of it into use. MUST be open.
  [[nodiscard]] std::span<char> room() const noexcept {
    return {block_.data() + end_, block_.size() - end_};
  }
  void commit(std::size_t written) noexcept {
    assert(written <= block_.size() - end_);
    end_ += written;
  }
  void append(std::string_view text) noexcept;
  // Nothing waits here or is being sent.
  [[nodiscard]] bool empty() const noexcept { return begin_ == end_ && !sending_; }

  // How much was ever written here, and taking back what was since then. False, and nothing
  // happens, when a part of that is on its way.
  [[nodiscard]] std::uint64_t position() const noexcept { return sent_ + (end_ - begin_); }
  [[nodiscard]] bool rewind(std::uint64_t position) noexcept;

  // Sends all that waits here, then `pieces` (at most three of them, borrowed until it completes).
  Task<Result<void>> flush(std::string_view first = {}, std::string_view second = {},
                           std::string_view third = {});
  // Sends what waits here now, unless it is being sent. An error is kept for the next flush().
  Task<> flush_late();

 private:
  io::Writer& writer_;
  Watch& watch_;
  const Duration timeout_;
  Block block_;
  std::size_t begin_ = 0;  // of what waits; before it lies what flush_late() is sending
  std::size_t end_ = 0;
  std::uint64_t sent_ = 0;  // bytes that were sent or are being sent
  bool sending_ = false;    // by flush_late()
  Error error_{};
  coro::Event sent_event_;
};

}  // namespace lichen::net::http
