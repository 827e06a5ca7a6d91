// Buffers that grow: as large as a round trip needs, no larger than the stack can give. The rules
// are those of Linux ("dynamic right-sizing": Fisk and Feng, 2001; tcp_rcv_space_adjust() and
// tcp_sndbuf_expand()).
#include <algorithm>

#include "lichen/net/tcp/connection.hpp"

namespace lichen::net::tcp {

bool Connection::may_promise_more() const noexcept {
  return resources_.pieces.is_ample(resources_.blocks.used() * BlockPool::block_size);
}

void Connection::set_receive_buffer(std::uint32_t size) noexcept {
  receive_buffer_ = size;
  receive_.set_memory_most(ReceiveQueue::memory_for(size),
                           ReceiveQueue::memory_for(config_.receive_buffer));
}

// Payload has come: how long is a round trip? What the window has not let through before has taken
// one at least since it was opened; so has the echo of a timestamp of ours, if it is new.
void Connection::measure_receiver(std::uint64_t now, const wire::TcpSegment& segment) noexcept {
  if (receive_buffer_ >= config_.receive_buffer_most) return;
  const auto measured = [this](std::uint64_t rtt) noexcept {
    rtt = std::max<std::uint64_t>(rtt, 1);
    receive_rtt_ = receive_rtt_ == 0 ? rtt : std::min(receive_rtt_, rtt);
  };
  if (window_since_ != 0 && receive_.next() > window_mark_) {
    measured(now - window_since_);
    window_since_ = 0;
  }
  const std::uint32_t echo = segment.options.timestamp_echo;
  if (!agreed_.timestamps || echo == 0 || echo == last_echo_ ||
      segment.payload.size() < received_mss_)
    return;
  last_echo_ = echo;
  constexpr std::uint32_t longest_ms = 120'000;
  const std::uint32_t ms = timestamp(now) - echo;
  if (ms < longest_ms) measured(std::max(ms, 1u) * millisecond);
}

// 0: not known.
std::uint64_t Connection::receive_rtt() const noexcept {
  const std::uint64_t sent = rtt_.least();
  if (sent == 0 || receive_rtt_ == 0) return std::max(sent, receive_rtt_);
  return std::min(sent, receive_rtt_);
}

// The app has taken more than in the round trip before: there is to be room for twice as much, and
// for more where it takes more and more.
void Connection::grow_receive_buffer(std::uint64_t now) noexcept {
  const std::uint32_t most = config_.receive_buffer_most;
  const std::uint64_t rtt = receive_rtt();
  if (receive_buffer_ >= most || rtt == 0) {
    taken_ = 0;
    return;
  }
  if (now - taken_since_ < rtt) return;
  // An app that leaves things lying needs no more room.
  const std::uint32_t unread = receive_.readable();
  const std::uint32_t taken = taken_ - std::min(taken_, unread);
  if (taken > taken_before_) {
    const std::uint64_t before = std::max(taken_before_, 10u * offered_mss());
    std::uint64_t wanted = 2 * std::uint64_t{taken} + 16 * offered_mss();
    if (taken > before) wanted += wanted * (taken - before) / before * 2;
    wanted = std::min<std::uint64_t>(wanted, most);
    if (wanted > receive_buffer_ && may_promise_more()) {
      set_receive_buffer(static_cast<std::uint32_t>(wanted));
      window_update_ = true;
    }
    taken_before_ = taken;
  }
  taken_ = 0;
  taken_since_ = now;
}

// The app has met no room: there is to be as much as two windows. Not where the window has become
// so large that most of it only waits on the way, and the round trip is long for that: what is sent
// would come out of the caches, and be no sooner there. So much as the shortest round trip needs
// four times is enough then.
void Connection::grow_send_buffer() noexcept {
  if (send_buffer_ >= config_.send_buffer_most || !may_promise_more()) return;
  const std::uint64_t window = window_.size;
  std::uint64_t enough = 2 * window;
  if (rtt_.measured()) {
    // In microseconds: in 64 bits.
    const std::uint64_t usual = rtt_.smoothed() / 1'000 + 1;
    const std::uint64_t least = rtt_.least() / 1'000 + 1;
    enough = std::max(4 * window * least / usual, 2 * std::uint64_t{config_.send_buffer});
  }
  const std::uint64_t wanted =
      std::min({2 * window, enough, std::uint64_t{config_.send_buffer_most}});
  send_buffer_ = std::max(send_buffer_, static_cast<std::uint32_t>(wanted));
}

}  // namespace lichen::net::tcp
