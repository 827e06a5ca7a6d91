// Segments that leave.
#include <algorithm>
#include <array>

#include "lichen/net/tcp/connection.hpp"

namespace lichen::net::tcp {

namespace flag = wire::tcp_flag;

namespace {

constexpr std::size_t max_pieces = 20;
// The first segments of a connection are not spaced out, as in Linux.
constexpr std::uint32_t unpaced_segments = 10;

}  // namespace

// Of a segment without options.
std::uint32_t Connection::base_mss() const noexcept {
  const std::uint32_t mss = std::min<std::size_t>(agreed_.mss, path_mtu_ - headers_size_);
  return config_.largest_mss == 0 ? mss : std::min<std::uint32_t>(mss, config_.largest_mss);
}

std::uint16_t Connection::offered_mss() const noexcept {
  const std::size_t most = config_.mtu - headers_size_;
  return static_cast<std::uint16_t>(
      config_.largest_mss == 0 ? most : std::min<std::size_t>(most, config_.largest_mss));
}

// After a change of what is agreed, of the path or of the Config.
void Connection::note_mss() noexcept {
  const std::uint32_t options = agreed_.timestamps ? wire::TcpOptions::timestamps_size : 0;
  const std::uint32_t mss = base_mss();
  usual_mss_ = std::max<std::uint32_t>(mss - std::min(options, mss), 8);
}

std::uint32_t Connection::reporting_mss() const noexcept {
  if (!agreed_.sack) return usual_mss_;
  const std::uint32_t blocks = 4 + 8 * (agreed_.timestamps ? 3 : 4);
  return std::max<std::uint32_t>(usual_mss_ - std::min(blocks, usual_mss_), 8);
}

std::uint32_t Connection::burst() const noexcept {
  const std::uint32_t mss = send_mss();
  return std::max(mss, config_.largest_burst / mss * mss);
}

void Connection::flush(std::uint64_t now) noexcept {
  wants_flush_ = false;
  if (std::exchange(blocked_, false) && is_opening()) {
    // For the SYN, or its answer, there was no room.
    if (retries_ == 0) syn_sent_at_ = rto_from_ = now;
    send_syn(now);
    arm_loss_timer(now);
  }
  if (can_send()) {
    window_limited_ = false;
    if (has_to_send()) {
      send_lost(now);
      send_new(now);
      if (forward_ == Forward::second && snd_nxt_ == recovery_point_) {
        // RFC 5682 section 3.1 step 2b: nothing new could go.
        forward_ = Forward::off;
        send_lost(now);
      }
      arm_loss_timer(now);
    }
    push_ = false;
    note_usage();
    account(now);
    if (full_ && is_writable()) {
      full_ = false;
      changes_ |= change::writable;
    }
  }
  if (taken_ > 0) grow_receive_buffer(now);
  if (ack_now_) {
    send_ack(now);
  } else if (window_update_ && is_synchronized()) {
    // RFC 9293 section 3.8.6.2.2: an update of the window when it is worth one.
    const std::uint32_t open = rcv_edge_ - receive_.next();
    const std::uint32_t room = window_room(false);
    const std::uint32_t worth = std::min(receive_buffer_ / 2, 2 * base_mss());
    if (room >= open + worth && (open <= receive_buffer_ / 2 || open < base_mss())) send_ack(now);
  }
  window_update_ = false;
}

// ---- headers ------------------------------------------------------------------------------------

// How much more may come: what the buffer has room for and the header can say.
std::uint32_t Connection::window_room(bool syn) const noexcept {
  const std::uint32_t unread = receive_.readable();
  // What it has grown by is not promised while the stack has no more to give.
  const std::uint32_t buffer = resources_.pieces.is_exhausted()
                                   ? std::min(receive_buffer_, config_.receive_buffer)
                                   : receive_buffer_;
  const std::uint32_t room = buffer - std::min(buffer, unread);
  if (syn) return std::min<std::uint32_t>(room, opening_window(config_, offered_mss()));
  return std::min(room, 0xffffu << receive_scale_);
}

// The window to announce, scaled, and moves the edge to it. It never shrinks (section 3.8.6), and
// grows in steps that are worth a segment (section 3.8.6.2.2).
std::uint16_t Connection::choose_window(bool syn) noexcept {
  const std::uint32_t unit = syn ? 1 : 1u << receive_scale_;
  const std::uint32_t open = rcv_edge_ - receive_.next();
  const std::uint32_t room = window_room(syn);
  std::uint32_t window = open;
  if (room > open && room - open >= std::min(receive_buffer_ / 2, base_mss()))
    window = room & ~(unit - 1);
  window = std::max(window, open);
  const std::uint32_t scale = syn ? 0 : receive_scale_;
  const std::uint32_t units = std::min((window + unit - 1) >> scale, 0xffffu);
  rcv_edge_ = later(rcv_edge_, receive_.next() + (units << scale));
  return static_cast<std::uint16_t>(units);
}

// Fills in what all segments have, and sends it. False when there was no room.
bool Connection::emit(std::uint64_t now, wire::TcpHeader& header,
                      std::span<const std::span<const std::byte>> payload, std::uint32_t size,
                      wire::Ecn ecn) noexcept {
  const bool syn = header.has(flag::syn);
  const std::uint32_t mss = send_mss();  // before what is reported is forgotten
  header.from_port = path_.local.port;
  header.to_port = path_.remote.port;
  if (header.has(flag::ack)) {
    header.acknowledgment = receive_.next().value;
    const Seq edge = rcv_edge_;
    header.window = choose_window(syn);
    if (window_since_ == 0 && rcv_edge_ != edge) {
      window_since_ = now;
      window_mark_ = edge;
    }
  }
  // In a SYN they are an offer; in its answer, and later, what was agreed.
  const bool timestamps = state_ == State::syn_sent ? config_.timestamps : agreed_.timestamps;
  if (timestamps) {
    header.options.has_timestamps = true;
    header.options.timestamp = timestamp(now);
    header.options.timestamp_echo = header.has(flag::ack) ? ts_recent_ : 0;
  }
  if (!syn && agreed_.sack && receive_.has_report()) {
    const std::size_t most = timestamps ? 3 : 4;
    header.options.sack_count =
        static_cast<std::uint8_t>(receive_.report(std::span{header.options.sack}.first(most)));
  }
  if (!syn && agreed_.ecn && echo_) header.flags |= flag::ece;

  const Outgoing outgoing{path_, header, payload, size, mss, ecn, config_.ip};
  if (!resources_.output.transmit(outgoing)) {
    blocked_ = true;
    return false;
  }
  ++statistics_.segments_sent;
  last_sent_ = now;
  if (size > 0) {
    ++statistics_.data_segments_sent;
    statistics_.bytes_sent += size;
    last_data_sent_ = now;
    // It may be an answer: the next acknowledgment waits for one, too.
    if (now - last_data_received_ < config_.delayed_ack) interactive_ = true;
  }
  if (header.has(flag::ack)) {
    last_ack_sent_ = receive_.next();
    unacked_bytes_ = 0;
    ack_now_ = window_update_ = false;
    ack_at_ = never;
  }
  return true;
}

void Connection::send_syn(std::uint64_t now) noexcept {
  wire::TcpHeader header;
  header.sequence = iss_.value;
  header.flags = flag::syn;
  const bool answer = state_ == State::syn_received;
  header.options.mss = offered_mss();
  header.options.sack_permitted = answer ? agreed_.sack : config_.sack;
  if (answer ? agreed_.scaling : config_.window_scaling)
    header.options.window_scale = receive_scale_;
  if (answer) {
    header.flags |= flag::ack;
    // RFC 3168 section 6.1.1.
    if (agreed_.ecn) header.flags |= flag::ece;
  } else {
    // After two tries without an answer ECN may be why (section 6.1.1.1).
    if (config_.ecn == EcnMode::request && retries_ < 2) header.flags |= flag::ece | flag::cwr;
    header.window = opening_window(config_, offered_mss());
  }
  emit(now, header, {}, 0, wire::Ecn::not_capable);
}

bool Connection::send_ack(std::uint64_t now) noexcept {
  wire::TcpHeader header;
  header.sequence = snd_nxt_.value;
  header.flags = flag::ack;
  if (emit(now, header, {}, 0, wire::Ecn::not_capable)) return true;
  ack_now_ = true;
  return false;
}

// One byte before what is acknowledged: outside of the peer's window, so it answers (RFC 9293
// section 3.8.4).
void Connection::send_probe_ack(std::uint64_t now) noexcept {
  wire::TcpHeader header;
  header.sequence = (snd_una_ - 1).value;
  header.flags = flag::ack;
  emit(now, header, {}, 0, wire::Ecn::not_capable);
}

void Connection::send_reset(std::uint64_t now, Seq sequence, bool with_ack) noexcept {
  wire::TcpHeader header;
  header.from_port = path_.local.port;
  header.to_port = path_.remote.port;
  header.sequence = sequence.value;
  header.flags = flag::rst;
  if (with_ack) {
    header.flags |= flag::ack;
    header.acknowledgment = receive_.next().value;
    // RFC 7323 section 3.2: where they were agreed a reset should have them, too.
    if (agreed_.timestamps) {
      header.options.has_timestamps = true;
      header.options.timestamp = timestamp(now);
      header.options.timestamp_echo = ts_recent_;
    }
  }
  ++statistics_.segments_sent;
  resources_.output.transmit({path_, header, {}, 0, 0, wire::Ecn::not_capable, config_.ip});
}

// ---- data ---------------------------------------------------------------------------------------

// `size` bytes from `begin` on, or fewer when they are in too many pieces.
bool Connection::emit_range(std::uint64_t now, Seq begin, std::uint32_t& size, bool fin, bool again,
                            Part part) noexcept {
  std::array<std::span<const std::byte>, max_pieces> pieces;
  const std::uint32_t mss = send_mss();
  auto gathered = send_.gather(begin, size, pieces);
  if (gathered.size < size) {
    if (gathered.size > mss && !gathered.record)
      gathered = send_.gather(begin, gathered.size / mss * mss, pieces);
    size = gathered.size;
    fin = false;
  }
  wire::TcpHeader header;
  header.sequence = begin.value;
  header.flags = flag::ack;
  // As Linux does: where a write ends, and on the last of several segments that go at once.
  const bool ends_burst = part == Part::last || size > mss;
  if (gathered.push || ends_burst || (fin && size > 0)) header.flags |= flag::psh;
  if (fin) header.flags |= flag::fin;
  const bool reduced = cwr_due_ && !again && size > 0;
  if (reduced) header.flags |= flag::cwr;
  // RFC 3168 section 6.1.5: not what is sent again.
  const auto ecn =
      agreed_.ecn && !again && size > 0 ? wire::Ecn::capable_0 : wire::Ecn::not_capable;
  if (!emit(now, header, std::span{pieces}.first(gathered.pieces), size, ecn)) return false;
  if (reduced) cwr_due_ = false;
  if (recovery_ == Recovery::fast) prr_out_ += size;
  pace(now, size);
  return true;
}

void Connection::send_lost(std::uint64_t now) noexcept {
  if (forward_ == Forward::second) return;
  while (Flight* flight = flights_.first_lost()) {
    // Beyond a window that has shrunk only the first is tried.
    if (flight->begin >= window_end() && flight->begin != snd_una_) return;
    if (now < paced_until_) {
      pace_at_ = paced_until_;
      return;
    }
    std::uint32_t most = burst();
    if (!first_again_) {
      const std::uint32_t flying = in_flight();
      const std::uint32_t room = window_.size > flying ? window_.size - flying : 0;
      const std::uint32_t mss = send_mss();
      if (room < std::min(mss, flight->size())) return;
      most = std::min(most, std::max(room / mss * mss, std::min(mss, room)));
    } else {
      most = send_mss();
    }
    const bool noted = send_again(now, *flight, most);
    if (!blocked_) first_again_ = false;
    if (!noted) return;
  }
}

bool Connection::send_again(std::uint64_t now, Flight& flight, std::uint32_t most) noexcept {
  const bool with_fin = flight.end > send_.end();
  std::uint32_t size = flight.size() - (with_fin ? 1 : 0);
  // For want of memory its first part is sent, and nothing noted: the acknowledgment will tell.
  // Until it does, or time has come, that is not sent another time.
  const bool whole = size <= most || flights_.split(flight, flight.begin + most) != nullptr;
  if (!whole) {
    if (flight.begin == part_again_ && !first_again_) return false;
    part_again_ = flight.begin;
  }
  size = std::min(size, most);
  const bool fin = whole && with_fin && flight.end > send_.end();
  std::uint32_t sent = size;
  if (!emit_range(now, flight.begin, sent, fin, true, Part::whole)) return false;
  ++statistics_.retransmissions;
  statistics_.bytes_retransmitted += sent;
  note_sent_again(now, sent);
  // What could not be named at once is cut off.
  if (!whole || (sent < size && flights_.split(flight, flight.begin + sent) == nullptr))
    return false;
  flights_.sent_again(flight, now);
  return true;
}

// Linux's form of RFC 5681 section 4.1: half of the window for each timeout without data.
void Connection::restart_after_idle(std::uint64_t now) noexcept {
  if (!config_.restart_after_idle || !flights_.empty() || last_sent_ == 0 ||
      recovery_ != Recovery::none)
    return;
  const std::uint64_t idle = now - last_sent_;
  const std::uint64_t timeout = rtt_.timeout(config_);
  if (idle <= timeout) return;
  const std::uint32_t initial = config_.initial_window * send_mss();
  const std::uint64_t halvings = std::min<std::uint64_t>(idle / timeout, 31);
  if (window_.size > initial) {
    window_.threshold = std::max(window_.threshold, window_.size / 4 * 3);
    window_.size = std::max(initial, window_.size >> halvings);
  }
  policy_->idled(now, idle);
}

// How much of a rest that fills no segment, or ends with one that is not full, goes out now:
// Nagle's rule as Minshall has it, only one such segment at a time (RFC 9293 section 3.7.4).
std::uint32_t Connection::hold_small(std::uint32_t size, std::uint32_t mss) const noexcept {
  const std::uint32_t rest = size < mss ? size : size % mss;
  if (rest == 0 || fin_due() || push_) return size;
  if (cork_ || (!no_delay_ && small_end_ > snd_una_)) return size - rest;
  return size;
}

// How much new data may be sent in one go; 0: none now.
std::uint32_t Connection::sendable(std::uint64_t now, std::uint32_t mss) noexcept {
  std::uint32_t waiting = unsent();
  if (waiting == 0) return 0;
  // Before the end of a record as before the end of all, but that more will come is known.
  const std::uint32_t rest = send_.record_rest(snd_nxt_);
  const bool is_last = rest == waiting;
  waiting = rest;
  const Seq edge = window_end();
  const std::uint32_t open = edge > snd_nxt_ ? edge - snd_nxt_ : 0;
  std::uint32_t size = std::min(waiting, open);
  if (size > mss) {
    // At least two bursts make a window, so that acknowledgments keep coming; as in Linux.
    const std::uint32_t half = std::max(window_.size / 2 / mss * mss, mss);
    size = std::min({size, std::max(burst(), config_.least_burst * mss), half});
  }
  if (size == 0) return 0;

  const std::uint32_t flying = in_flight();
  const std::uint32_t room = window_.size > flying ? window_.size - flying : 0;
  if (size > room) {
    window_limited_ = true;
    size = room / mss * mss;
    if (size == 0 && flying == 0) size = std::min({waiting, open, mss});
    if (size == 0) return 0;
  }
  if (size < waiting) {
    // More is waiting: only whole segments, or what a small window lets through (section
    // 3.8.6.2.1).
    if (size >= mss) {
      size -= size % mss;
    } else if (size < std::max(max_window_ / 2, 1u) || !flights_.empty()) {
      return 0;
    }
  } else if (is_last) {
    size = hold_small(size, mss);
  }
  if (size > 0 && now < paced_until_) {
    pace_at_ = paced_until_;
    return 0;
  }
  return size;
}

void Connection::send_new(std::uint64_t now) noexcept {
  restart_after_idle(now);
  for (;;) {
    const std::uint32_t size = sendable(now, send_mss());
    if (size > 0) {
      if (!send_burst(now, size)) return;
      continue;
    }
    // A FIN alone, when everything before it is out.
    if (fin_due() && unsent() == 0 && window_end() > snd_nxt_) send_segment(now, 0);
    return;
  }
}

// What the device does not cut, segment by segment.
bool Connection::send_burst(std::uint64_t now, std::uint32_t size) noexcept {
  if (size <= send_mss()) return send_segment(now, size);
  const std::uint32_t most = burst();
  for (std::uint32_t left = size; left > most; left -= most)
    if (!send_segment(now, most, Part::first)) return false;
  const std::uint32_t rest = (size - 1) % most + 1;
  return send_segment(now, rest, rest < size ? Part::last : Part::whole);
}

bool Connection::send_segment(std::uint64_t now, std::uint32_t size, Part part) noexcept {
  if (!flights_.reserve()) return false;
  const std::uint32_t mss = send_mss();
  const bool fin = fin_due() && snd_nxt_ + size == send_.end() && window_end() > snd_nxt_ + size;
  std::uint32_t sent = size;
  if (!emit_range(now, snd_nxt_, sent, fin, false, part)) return false;
  const bool with_fin = fin && sent == size;
  const Seq end = snd_nxt_ + sent + (with_fin ? 1 : 0);
  if (flights_.empty()) rto_from_ = now;
  flights_.sent(snd_nxt_, end, now);
  probe_from_ = now;
  snd_nxt_ = end;
  if (with_fin) fin_sent_ = true;
  if (sent < mss ? sent != 0 : sent % mss != 0) small_end_ = end;
  return true;
}

// As Linux does; kept for a round trip, since little is out when the last of it is acknowledged.
void Connection::note_usage() noexcept {
  const std::uint32_t out = snd_nxt_ - snd_una_;
  if (snd_una_ < usage_end_ && !window_limited_ && (usage_limited_ || out <= usage_most_)) return;
  usage_limited_ = window_limited_;
  usage_most_ = out;
  usage_end_ = snd_nxt_;
}

// Notes how the time since the last call was spent, and what holds the sender up now.
void Connection::account(std::uint64_t now) noexcept {
  if (limit_ == Limit::idle && snd_una_ == snd_nxt_ && unsent() == 0) return;
  const std::uint64_t passed = now - limit_since_;
  limit_since_ = now;
  if (limit_ != Limit::idle) {
    statistics_.busy_ns += passed;
    if (limit_ == Limit::peer_window) statistics_.peer_window_ns += passed;
    if (limit_ == Limit::send_buffer) statistics_.send_buffer_ns += passed;
  }
  const std::uint32_t waiting = unsent();
  if (!can_send() || (waiting == 0 && flights_.empty()))
    limit_ = Limit::idle;
  else if (waiting > 0 && snd_nxt_ + std::min(waiting, send_mss()) > window_end())
    limit_ = Limit::peer_window;
  else
    limit_ = waiting == 0 && full_ ? Limit::send_buffer : Limit::network;
}

// Twice the window in a round trip in slow start, 1.2 times it later, as Linux does.
void Connection::pace(std::uint64_t now, std::uint32_t size) noexcept {
  if (!config_.pacing || !rtt_.measured()) return;
  if (snd_nxt_ - iss_ < unpaced_segments * send_mss()) return;
  const std::uint64_t percent = window_.size < window_.threshold / 2 ? 200 : 120;
  const auto rate = static_cast<unsigned __int128>(window_.size) * percent;
  const auto gap = static_cast<std::uint64_t>(static_cast<unsigned __int128>(size) *
                                              rtt_.smoothed() * 100 / rate);
  paced_until_ = std::max(paced_until_, now) + gap;
}

}  // namespace lichen::net::tcp
