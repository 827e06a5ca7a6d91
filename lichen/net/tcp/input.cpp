// Segments that arrive (RFC 9293 section 3.10.7).
#include <algorithm>
#include <utility>

#include "lichen/net/tcp/connection.hpp"

namespace lichen::net::tcp {

namespace flag = wire::tcp_flag;

namespace {

// RFC 7323 section 5.5: how long a connection may be silent before ts_recent means nothing.
constexpr std::uint64_t timestamps_expire = 24ull * 24 * 3600 * second;
// Answers to what is not worth one, as in Linux.
constexpr std::uint64_t seldom = 500 * millisecond;

}  // namespace

void Connection::input(std::uint64_t now, const wire::TcpSegment& segment, io::Buffer payload,
                       wire::Ecn ecn) noexcept {
  if (state_ == State::closed) return;
  ++statistics_.segments_received;
  if (state_ == State::syn_sent)
    input_syn_sent(now, segment);
  else
    input_synchronized(now, segment, std::move(payload), ecn);
  if (state_ == State::closed) return;
  if (ack_now_ || window_update_ || full_ || has_to_send()) {
    wants_flush_ = true;
  } else {
    // All that flush() would do.
    window_limited_ = false;
    note_usage();
    account(now);
  }
  arm_loss_timer(now);
}

// Section 3.10.7.3.
void Connection::input_syn_sent(std::uint64_t now, const wire::TcpSegment& segment) noexcept {
  const Seq ack{segment.acknowledgment};
  const bool has_ack = segment.has(flag::ack);
  if (has_ack && (ack <= iss_ || ack > snd_nxt_)) {
    if (!segment.has(flag::rst)) send_reset(now, ack, false);
    return;
  }
  if (segment.has(flag::rst)) {
    if (has_ack) finish(Error::connection_refused);
    return;
  }
  if (!segment.has(flag::syn)) return;

  irs_ = Seq{segment.sequence};
  receive_.start(irs_ + 1);
  last_ack_sent_ = irs_ + 1;
  // What our SYN has offered: data may be close behind the answer.
  rcv_edge_ = irs_ + 1 + opening_window(config_, offered_mss());
  agree(segment.options);
  if (agreed_.timestamps) {
    ts_recent_ = segment.options.timestamp;
    ts_recent_at_ = now;
  }
  // The window of a SYN is not scaled (RFC 7323 section 2.2).
  snd_wnd_ = max_window_ = segment.window;
  snd_wl1_ = irs_;
  snd_wl2_ = ack;
  if (!has_ack) {
    // Both opened at once (section 3.5, figure 7).
    constexpr std::uint8_t both = flag::ece | flag::cwr;
    agreed_.ecn = config_.ecn == EcnMode::request && (segment.flags & both) == both;
    state_ = State::syn_received;
    send_syn(now);
    return;
  }
  // RFC 3168 section 6.1.1: ECE without CWR agrees.
  agreed_.ecn =
      config_.ecn == EcnMode::request && segment.has(flag::ece) && !segment.has(flag::cwr);
  measure_opening(now, segment);
  snd_una_ = ack;
  established(now);
  ack_now_ = true;
}

void Connection::input_synchronized(std::uint64_t now, const wire::TcpSegment& segment,
                                    io::Buffer payload, wire::Ecn ecn) noexcept {
  if (state_ == State::syn_received && segment.has(flag::syn) && Seq{segment.sequence} == irs_) {
    if (segment.has(flag::rst)) return;
    if (!segment.has(flag::ack)) {
      note_timestamp(now, segment);
      send_syn(now);
      return;
    }
    // The answer to our SYN when both opened at once: its SYN is known already (figure 7, line 6).
    wire::TcpSegment rest = segment;
    rest.flags &= static_cast<std::uint8_t>(~flag::syn);
    ++rest.sequence;
    input_synchronized(now, rest, std::move(payload), ecn);
    return;
  }
  const Seq begin{segment.sequence};
  const Seq end = begin + segment.length();

  if (!check_timestamps(now, segment)) return;
  if (!is_acceptable(begin, end)) {
    refuse(now, segment);
    return;
  }
  if (segment.has(flag::rst)) {
    input_reset(now, begin);
    return;
  }
  if (segment.has(flag::syn)) {
    challenge(now);  // RFC 5961 section 4
    return;
  }
  if (!segment.has(flag::ack)) return;

  const Seq ack{segment.acknowledgment};
  if (state_ == State::syn_received) {
    if (ack <= snd_una_ || ack > snd_nxt_) {
      send_reset(now, ack, false);
      return;
    }
    measure_opening(now, segment);
    snd_una_ = ack;
    snd_wnd_ = std::uint32_t{segment.window} << agreed_.send_scale;
    max_window_ = std::max(max_window_, snd_wnd_);
    snd_wl1_ = begin;
    snd_wl2_ = ack;
    established(now);
  }
  // RFC 5961 section 5.
  if (ack > snd_nxt_ || ack < snd_una_ - max_window_) {
    challenge(now);
    return;
  }
  last_received_ = now;
  if (keep_alive_retries_ > 0) set_keep_alive(now, keep_alive_idle_);
  if (begin <= last_ack_sent_) note_timestamp(now, segment);
  note_ecn(segment, ecn);
  if (state_ != State::time_wait) process_ack(now, segment);

  if (fin_sent_ && snd_una_ == snd_nxt_) {
    switch (state_) {
      case State::fin_wait_1:
        state_ = State::fin_wait_2;
        if (released_) end_at_ = now + config_.fin_wait_2;
        break;
      case State::closing: enter_time_wait(now); break;
      case State::last_ack: finish(Error::closed); return;
      default: break;
    }
  }
  // The urgent pointer is of no use (RFC 6093): urgent data is data like any other.
  if (!payload.empty()) {
    input_payload(now, begin, std::move(payload));
    if (state_ == State::closed) return;
    measure_receiver(now, segment);
    if (taken_ > 0) grow_receive_buffer(now);
  }
  if (segment.has(flag::fin)) input_fin(now, end - 1);
}

// Section 3.10.7.4, first: does it touch the window? More is taken than the letter says in two
// cases: empty segments right behind the window, which a peer sends that has used all of it, and
// segments at rcv_nxt while the window is closed, for their acknowledgments.
bool Connection::is_acceptable(Seq begin, Seq end) const noexcept {
  const Seq next = receive_.next();
  if (begin == end) return begin >= next && begin <= rcv_edge_;
  if (begin == next) return true;
  return end > next && begin < rcv_edge_;
}

// RFC 7323 sections 3.2 and 5.3.
bool Connection::check_timestamps(std::uint64_t now, const wire::TcpSegment& segment) noexcept {
  if (!agreed_.timestamps || segment.has(flag::rst)) return true;
  if (!segment.options.has_timestamps) {
    if (!config_.timestamps_required) return true;
    ++statistics_.paws_drops;
    return false;
  }
  if (Seq{segment.options.timestamp} >= Seq{ts_recent_}) return true;
  if (now - ts_recent_at_ > timestamps_expire) {
    ts_recent_ = segment.options.timestamp;
    return true;
  }
  ++statistics_.paws_drops;
  if (segment.length() > 0)
    send_ack(now);
  else
    answer_seldom(now);
  return false;
}

// RFC 7323 section 4.3.
void Connection::note_timestamp(std::uint64_t now, const wire::TcpSegment& segment) noexcept {
  if (!agreed_.timestamps || !segment.options.has_timestamps) return;
  if (Seq{segment.options.timestamp} < Seq{ts_recent_}) return;
  ts_recent_ = segment.options.timestamp;
  ts_recent_at_ = now;
}

// Outside of the window.
void Connection::refuse(std::uint64_t now, const wire::TcpSegment& segment) noexcept {
  ++statistics_.out_of_window_drops;
  if (segment.has(flag::rst)) return;
  const Seq begin{segment.sequence};
  const auto size = static_cast<std::uint32_t>(segment.payload.size());
  if (segment.has(flag::syn)) {
    challenge(now);
    return;
  }
  if (size == 0 && !segment.has(flag::fin)) {
    answer_seldom(now);
    return;
  }
  // Sent again because our acknowledgment was lost, or a probe of a closed window.
  if (size > 0 && begin + size <= receive_.next()) {
    ++statistics_.duplicate_segments;
    receive_.note_duplicate(begin, begin + size);
    hasten_acks(config_.quick_acks);
    // Echoed, so that the peer does not take its timeout for a round trip.
    if (begin + receive_buffer_ >= receive_.next()) note_timestamp(now, segment);
  }
  // RFC 9293 section 3.10.7.4, eighth: a FIN again restarts the wait.
  if (state_ == State::time_wait && segment.has(flag::fin)) end_at_ = now + config_.time_wait;
  send_ack(now);
}

// RFC 5961 section 3: only what is exactly next ends the connection.
void Connection::input_reset(std::uint64_t now, Seq sequence) noexcept {
  if (sequence != receive_.next()) {
    challenge(now);
    return;
  }
  switch (state_) {
    case State::syn_received:
      finish(passive_ ? Error::connection_reset : Error::connection_refused);
      break;
    case State::closing:
    case State::last_ack:
    case State::time_wait: finish(Error::closed); break;
    default: finish(Error::connection_reset); break;
  }
}

void Connection::tell_readable() noexcept {
  changes_ |= change::readable;
  if (accept_at_ == never) return;
  // What a passive opening has waited for.
  accept_at_ = never;
  changes_ |= change::connected | change::writable;
}

void Connection::input_payload(std::uint64_t now, Seq begin, io::Buffer payload) noexcept {
  ++statistics_.data_segments_received;
  // Whoever was silent for longer than a timeout begins with a small window again.
  const std::uint64_t silent = now - last_data_received_;
  if (silent > config_.min_rto && silent > rto())
    quick_acks_ = std::max(quick_acks_, config_.quick_acks);
  last_data_received_ = now;
  if (!can_receive()) {
    // Behind the peer's FIN there is nothing; everything else was taken before.
    ack_now_ = true;
    return;
  }
  if (released_ && begin + static_cast<std::uint32_t>(payload.size()) > receive_.next()) {
    // RFC 9293 section 3.6.1: nobody will read it, and the peer is to know. With the number that it
    // expects, whether it has our FIN or not (RFC 5961 section 3).
    send_reset(now, snd_una_, false);
    finish(Error::connection_reset);
    return;
  }
  Seq end = begin + static_cast<std::uint32_t>(payload.size());
  const Seq edge = has_fin_at_ ? earlier(rcv_edge_, fin_at_) : rcv_edge_;
  if (end > edge) {
    ack_now_ = true;
    if (begin >= edge) return;
    payload.shorten(end - edge);
    end = edge;
  }
  const Seq before = receive_.next();
  const Arrival arrival = receive_.add(begin, std::move(payload));
  const std::uint32_t taken = receive_.next() - before;
  if (taken > 0) {
    statistics_.bytes_received += taken;
    tell_readable();
    note_pending_ack(now, taken);
  }
  switch (arrival) {
    case Arrival::in_order: break;
    case Arrival::filled: ack_now_ = true; break;
    case Arrival::early:
      // RFC 5681 section 4.2: at once, and one for each.
      ++statistics_.early_segments;
      send_ack(now);
      break;
    case Arrival::duplicate:
      ++statistics_.duplicate_segments;
      send_ack(now);
      break;
    case Arrival::dropped:
      ++statistics_.memory_drops;
      ack_now_ = true;
      break;
  }
  if (has_fin_at_ && receive_.next() == fin_at_) input_fin(now, fin_at_);
}

void Connection::input_fin(std::uint64_t now, Seq at) noexcept {
  if (fin_received_) {
    ack_now_ = true;
    return;
  }
  if (!can_receive()) return;
  if (at != receive_.next()) {
    // It came early. A second one elsewhere would be a lie; the first is believed.
    if (!has_fin_at_ && at > receive_.next() && at <= rcv_edge_) {
      has_fin_at_ = true;
      fin_at_ = at;
      receive_.drop_early_from(at);
    }
    ack_now_ = true;
    return;
  }
  receive_.drop_early_from(at);  // behind it there is nothing
  receive_.skip();
  rcv_edge_ = later(rcv_edge_, receive_.next());
  fin_received_ = ack_now_ = true;
  tell_readable();
  switch (state_) {
    case State::established: state_ = State::close_wait; break;
    // Had our FIN been acknowledged, it would be fin_wait_2.
    case State::fin_wait_1: state_ = State::closing; break;
    case State::fin_wait_2: enter_time_wait(now); break;
    default: break;
  }
}

// RFC 3168 section 6.1.3: marks are echoed until the peer says that it has slowed down.
void Connection::note_ecn(const wire::TcpSegment& segment, wire::Ecn ecn) noexcept {
  if (!agreed_.ecn) return;
  if (segment.has(flag::cwr)) echo_ = false;
  if (ecn == wire::Ecn::congested) {
    echo_ = true;
    hasten_acks(2);
  }
}

void Connection::note_pending_ack(std::uint64_t now, std::uint32_t size) noexcept {
  unacked_bytes_ += size;
  // RFC 5681 section 4.2: at once with more than a full segment of the peer's, the rest in time.
  received_mss_ = std::max(received_mss_, std::min(size, base_mss()));
  if (unacked_bytes_ > received_mss_ || (quick_acks_ > 0 && !interactive_)) {
    if (quick_acks_ > 0) --quick_acks_;
    ack_now_ = true;
  } else if (ack_at_ == never) {
    ack_at_ = now + config_.delayed_ack;
  }
}

// The peer waits for them, or its window is small.
void Connection::hasten_acks(std::uint32_t segments) noexcept {
  quick_acks_ = std::max(quick_acks_, segments);
  interactive_ = false;
}

// RFC 5961 section 7: an answer that tells a blind attacker nothing, and not too many of them.
void Connection::challenge(std::uint64_t now) noexcept {
  if (now - challenge_window_ >= second || challenge_window_ == 0) {
    challenge_window_ = now;
    challenges_ = 0;
  }
  if (challenges_ >= config_.challenge_acks) return;
  ++challenges_;
  ++statistics_.challenge_acks;
  send_ack(now);
}

void Connection::answer_seldom(std::uint64_t now) noexcept {
  if (answered_at_ != 0 && now - answered_at_ < seldom) return;
  answered_at_ = now;
  send_ack(now);
}

}  // namespace lichen::net::tcp
