#include "lichen/net/tcp/connection.hpp"

#include <algorithm>
#include <utility>

#include "lichen/net/wire/ipv6.hpp"

namespace lichen::net::tcp {

std::uint8_t scale_for(const Config& config) noexcept {
  const std::uint32_t buffer = std::max(config.receive_buffer, config.receive_buffer_most);
  std::uint8_t scale = 0;
  while (scale < 14 && (std::uint64_t{0xffff} << scale) < buffer) ++scale;
  return scale;
}

std::uint16_t opening_window(const Config& config, std::uint32_t mss) noexcept {
  const std::uint32_t window = std::min<std::uint32_t>(config.receive_buffer, 0xffff);
  return static_cast<std::uint16_t>(window > mss ? window - window % mss : window);
}

std::string_view name(State state) noexcept {
  static constexpr std::array<std::string_view, 10> names = {
      "closed",     "syn_sent",   "syn_received", "established", "fin_wait_1",
      "fin_wait_2", "close_wait", "closing",      "last_ack",    "time_wait"};
  return names[static_cast<std::size_t>(state)];
}

Connection::Connection(const Config& config, Resources& resources, const Path& path,
                       std::uint32_t timestamp_offset) noexcept
    : config_{config},
      resources_{resources},
      path_{path},
      no_delay_{config.no_delay},
      path_mtu_{config.mtu},
      headers_size_{
          (path.remote.address.is_ipv4() ? wire::Ipv4Header::size : wire::Ipv6Header::size) +
          wire::TcpHeader::size},
      send_buffer_{config.send_buffer},
      send_{resources.chunks, resources.blocks},
      flights_{resources.flights},
      receive_scale_{scale_for(config)},
      quick_acks_{config.quick_acks},
      receive_{resources.pieces, ReceiveQueue::memory_for(config.receive_buffer),
               config.out_of_order_most},
      receive_buffer_{config.receive_buffer},
      timestamp_offset_{timestamp_offset},
      policy_{config.congestion},
      keep_alive_idle_{config.keep_alive_idle},
      user_timeout_{config.user_timeout} {
  note_mss();
}

// ---- opening ------------------------------------------------------------------------------------

void Connection::connect(std::uint64_t now, Seq iss) noexcept {
  iss_ = snd_una_ = iss;
  snd_nxt_ = small_end_ = iss + 1;
  send_.start(snd_nxt_);
  state_ = State::syn_sent;
  syn_sent_at_ = progress_at_ = rto_from_ = now;
  send_syn(now);
  arm_loss_timer(now);
}

void Connection::accept(std::uint64_t now, const wire::TcpSegment& syn, Seq iss) noexcept {
  passive_ = true;
  iss_ = snd_una_ = iss;
  snd_nxt_ = small_end_ = iss + 1;
  send_.start(snd_nxt_);
  irs_ = Seq{syn.sequence};
  receive_.start(irs_ + 1);
  rcv_edge_ = last_ack_sent_ = irs_ + 1;
  agree(syn.options);
  constexpr std::uint8_t both = wire::tcp_flag::ece | wire::tcp_flag::cwr;
  agreed_.ecn = config_.ecn != EcnMode::off && (syn.flags & both) == both;
  snd_wnd_ = max_window_ = syn.window;
  if (agreed_.timestamps) {
    ts_recent_ = syn.options.timestamp;
    ts_recent_at_ = now;
  }
  state_ = State::syn_received;
  syn_sent_at_ = progress_at_ = last_received_ = rto_from_ = now;
  send_syn(now);
  arm_loss_timer(now);
}

void Connection::revive(std::uint64_t now, const Revived& revived) noexcept {
  passive_ = true;
  iss_ = snd_una_ = revived.iss;
  snd_nxt_ = small_end_ = iss_ + 1;
  send_.start(snd_nxt_);
  irs_ = revived.irs;
  receive_.start(irs_ + 1);
  last_ack_sent_ = irs_ + 1;
  agreed_ = revived.agreed;
  note_mss();
  if (!agreed_.scaling) receive_scale_ = 0;
  rcv_edge_ = irs_ + 1 + opening_window(config_, offered_mss());
  ts_recent_ = revived.timestamp;
  ts_recent_at_ = now;
  state_ = State::syn_received;
  progress_at_ = last_received_ = rto_from_ = now;
}

void Connection::agree(const wire::TcpOptions& options) noexcept {
  // RFC 9293, MUST-15; and some bytes of payload in each segment, whatever the peer says.
  const std::uint16_t unsaid = path_.remote.address.is_ipv4() ? 536 : 1'220;
  agreed_.mss = std::max<std::uint16_t>(options.mss == 0 ? unsaid : options.mss, 64);
  agreed_.scaling = config_.window_scaling && options.window_scale != wire::TcpOptions::no_scale;
  agreed_.send_scale = agreed_.scaling ? options.window_scale : 0;
  if (!agreed_.scaling) receive_scale_ = 0;
  agreed_.timestamps = config_.timestamps && options.has_timestamps;
  agreed_.sack = config_.sack && options.sack_permitted;
  note_mss();
}

void Connection::measure_opening(std::uint64_t now, const wire::TcpSegment& segment) noexcept {
  opening_retried_ = retries_ > 0;
  if (syn_sent_at_ == 0) return;  // a cookie: nobody knows when
  if (!opening_retried_)
    rtt_.measured(now - syn_sent_at_, now);
  else if (Seq{segment.options.timestamp_echo} >= Seq{timestamp(rto_from_)})
    measure_by_echo(now, segment);
  // An answer to an earlier one may have been sent again, as Linux does with the first echo: the
  // time since then is no round trip.
}

void Connection::established(std::uint64_t now) noexcept {
  state_ = fin_queued_ ? State::fin_wait_1 : State::established;
  if (passive_ && config_.defer_accept != 0)
    accept_at_ = now + config_.defer_accept;
  else
    changes_ |= change::connected | change::writable;
  set_initial_window();
  usage_end_ = round_end_ = snd_una_;
  window_since_ = 0;
  last_data_sent_ = last_data_received_ = now;  // as Linux counts
  retries_ = backoff_ = 0;
  rack_farthest_ = snd_una_;
  loss_timer_ = LossTimer::none;
  loss_at_ = never;
  rto_from_ = probe_from_ = progress_at_ = last_received_ = now;
  recovery_point_ = part_again_ = iss_;
  set_keep_alive(now, keep_alive_idle_);
}

// ---- the end ------------------------------------------------------------------------------------

// What has arrived can still be taken.
void Connection::finish(Error error) noexcept {
  if (state_ == State::closed) return;
  state_ = State::closed;
  error_ = error;
  changes_ |= change::closed | change::readable | change::writable;
  send_.clear();
  flights_.clear();
  loss_timer_ = LossTimer::none;
  loss_at_ = ack_at_ = keep_alive_at_ = end_at_ = pace_at_ = accept_at_ = never;
  ack_now_ = window_update_ = wants_flush_ = blocked_ = false;
}

void Connection::enter_time_wait(std::uint64_t now) noexcept {
  state_ = State::time_wait;
  send_.clear();
  flights_.clear();
  loss_timer_ = LossTimer::none;
  loss_at_ = keep_alive_at_ = pace_at_ = never;
  end_at_ = now + config_.time_wait;
}

Error Connection::over() const noexcept {
  return state_ == State::closed ? error_ : Error::invalid_state;
}

bool Connection::can_receive() const noexcept {
  return state_ == State::established || state_ == State::fin_wait_1 || state_ == State::fin_wait_2;
}

// Data or a FIN, new or again.
bool Connection::can_send() const noexcept {
  switch (state_) {
    case State::established:
    case State::close_wait:
    case State::fin_wait_1:
    case State::closing:
    case State::last_ack: return true;
    default: return false;
  }
}

// ---- the app ------------------------------------------------------------------------------------

std::uint32_t Connection::writable() const noexcept {
  if (config_.unsent_most != 0 && unsent() >= config_.unsent_most) return 0;
  return send_.size() >= send_buffer_ ? 0 : send_buffer_ - send_.size();
}

Result<std::size_t> Connection::write(std::uint64_t now, std::span<const std::byte> bytes,
                                      bool more) noexcept {
  if (state_ == State::closed || fin_queued_) return over();
  const std::size_t size = std::min<std::size_t>(bytes.size(), writable());
  if (send_.size() == 0) progress_at_ = now;
  const std::size_t written = send_.write(bytes.first(size), more);
  full_ |= written < bytes.size();
  if (written == 0 && !bytes.empty()) return Error::would_block;
  wants_flush_ = true;
  return written;
}

Result<void> Connection::send(std::uint64_t now, io::Buffer& buffer) noexcept {
  if (state_ == State::closed || fin_queued_) return over();
  if (send_.size() == 0) progress_at_ = now;
  if (writable() == 0 || !send_.append(buffer)) {
    full_ = true;
    return Error::would_block;
  }
  wants_flush_ = true;
  return {};
}

// The app has taken something. flush() need not look unless there may be something to tell: the
// window is far from closed, and no reason for a greater one.
void Connection::note_taken(std::size_t size) noexcept {
  taken_ += static_cast<std::uint32_t>(size);
  const std::uint32_t open = rcv_edge_ - receive_.next();
  const bool may_grow = taken_ > taken_before_ && receive_buffer_ < config_.receive_buffer_most;
  if (may_grow || open <= receive_buffer_ / 2 || open < base_mss())
    window_update_ = wants_flush_ = is_synchronized();
  // As in Linux: less than a full segment is what its sender may wait to hear of (Nagle's rule),
  // and no answer is to be expected.
  if (ack_at_ != never && !interactive_ && unacked_bytes_ < received_mss_ && readable() == 0)
    ack_now_ = wants_flush_ = true;
}

Result<io::Buffer> Connection::receive() noexcept {
  io::Buffer buffer = receive_.take();
  if (!buffer.empty()) {
    note_taken(buffer.size());
    return buffer;
  }
  if (fin_received_) return buffer;
  if (state_ == State::closed) return error_;
  return Error::would_block;
}

Result<std::size_t> Connection::read(std::span<std::byte> into) noexcept {
  const std::size_t size = receive_.read(into);
  if (size > 0) {
    note_taken(size);
    return size;
  }
  if (fin_received_) return std::size_t{0};
  if (state_ == State::closed) return error_;
  return Error::would_block;
}

void Connection::shutdown(std::uint64_t now) noexcept {
  if (fin_queued_) return;
  switch (state_) {
    case State::syn_sent: finish(Error::closed); return;
    case State::syn_received: break;  // established() goes on from here
    case State::established: state_ = State::fin_wait_1; break;
    case State::close_wait: state_ = State::last_ack; break;
    default: return;
  }
  if (send_.size() == 0) progress_at_ = now;
  fin_queued_ = wants_flush_ = true;
}

void Connection::release(std::uint64_t now) noexcept {
  if (released_) return;
  released_ = true;
  if (receive_.readable() > 0 && state_ != State::closed) {
    abort(now);
    return;
  }
  shutdown(now);
  if (state_ == State::fin_wait_2) end_at_ = now + config_.fin_wait_2;
}

void Connection::abort(std::uint64_t now) noexcept {
  now = std::max({now, last_sent_, last_received_});
  // RFC 9293 section 3.10.5: nobody to tell before the handshake and after the end.
  if (is_synchronized() && state_ != State::time_wait) send_reset(now, snd_nxt_, true);
  if (state_ == State::syn_received) send_reset(now, snd_nxt_, true);
  receive_.clear();
  finish(Error::connection_reset);
}

void Connection::set_keep_alive(std::uint64_t now, std::uint64_t idle) noexcept {
  keep_alive_idle_ = idle;
  keep_alive_retries_ = 0;
  keep_alive_at_ = idle == 0 || !is_synchronized() || state_ == State::time_wait
                       ? never
                       : std::max(now, last_received_ + idle);
}

void Connection::set_quick_ack(bool on) noexcept {
  interactive_ = !on;
  if (on && ack_at_ != never) ack_now_ = wants_flush_ = true;
}

void Connection::configure(std::uint64_t now, const Config& config) noexcept {
  const Config before = config_;
  config_ = config;
  config_.mtu = before.mtu;
  config_.largest_burst = before.largest_burst;
  note_mss();
  no_delay_ = config.no_delay;
  user_timeout_ = config.user_timeout;
  // What has grown stays so, unless a size is asked for.
  const std::uint32_t receive_before = receive_buffer_;
  if (config.receive_buffer != before.receive_buffer || config.receive_buffer_most < receive_before)
    set_receive_buffer(config.receive_buffer);
  if (config.send_buffer != before.send_buffer || config.send_buffer_most < send_buffer_)
    send_buffer_ = config.send_buffer;
  if (config.congestion != before.congestion) policy_.choose(config.congestion);
  if (config.keep_alive_idle != before.keep_alive_idle) set_keep_alive(now, config.keep_alive_idle);
  // Not of the opening itself, which the options of its SYN belong to.
  if (is_synchronized()) {
    arm_loss_timer(now);
    wants_flush_ = true;
    window_update_ |= receive_buffer_ > receive_before;
  }
}

// ---- messages about the path --------------------------------------------------------------------

bool Connection::path_mtu(std::uint64_t now, std::uint32_t mtu, Seq sequence) noexcept {
  if (!can_send() || sequence < snd_una_ || sequence >= snd_nxt_) return false;
  // RFC 1191 section 3 and RFC 8201 section 4: no less than every link must carry.
  const std::uint32_t least = path_.remote.address.is_ipv4() ? 552 : 1'280;
  mtu = std::max(mtu, least);
  if (mtu >= path_mtu_) return true;
  path_mtu_ = mtu;
  note_mss();
  // What was sent in segments that were too large is sent again, and the network is not blamed.
  flights_.mark_all_lost();
  if (flights_.lost() > 0 && recovery_ == Recovery::none) {
    recovery_ = Recovery::timeout;
    forward_ = Forward::off;
    undo_window_ = 0;
    recovery_point_ = snd_nxt_;
    window_.threshold = std::max(window_.size, 2 * send_mss());
  }
  first_again_ = wants_flush_ = true;
  arm_loss_timer(now);
  return true;
}

bool Connection::unreachable(std::uint64_t /*now*/, Seq sequence) noexcept {
  if (state_ == State::closed || sequence < snd_una_ || sequence >= snd_nxt_) return false;
  soft_error_ = true;
  return true;
}

// ---- what it is ---------------------------------------------------------------------------------

bool Connection::may_reopen(const wire::TcpSegment& syn) const noexcept {
  if (state_ != State::time_wait) return false;
  if (agreed_.timestamps && syn.options.has_timestamps)
    return Seq{ts_recent_} < Seq{syn.options.timestamp} ||
           (ts_recent_ == syn.options.timestamp && Seq{syn.sequence} > receive_.next());
  return Seq{syn.sequence} > receive_.next();
}

Info Connection::info(std::uint64_t now) noexcept {
  account(now);
  Info info;
  info.state = state_;
  info.recovery = recovery_;
  info.timestamps = agreed_.timestamps;
  info.sack = agreed_.sack;
  info.scaling = agreed_.scaling;
  info.ecn = agreed_.ecn;
  info.send_scale = agreed_.send_scale;
  info.receive_scale = receive_scale_;
  info.send_mss = send_mss();
  info.received_mss = received_mss_;
  info.offered_mss = offered_mss();
  info.path_mtu = path_mtu_;
  info.congestion_window = window_.size;
  info.slow_start_threshold = window_.threshold;
  info.send_window = snd_wnd_;
  info.receive_window = rcv_edge_ - receive_.next();
  info.in_flight = in_flight();
  info.unacked = snd_nxt_ - snd_una_;
  info.unsent = unsent();
  info.sacked = flights_.sacked();
  info.lost = flights_.lost();
  for (const Flight& flight : flights_.by_time())
    if (flight.transmissions > 1) info.sent_again += flight.size();
  info.unread = receive_.readable();
  info.receive_buffer = receive_buffer_;
  info.send_buffer = send_buffer_;
  info.retries = retries_;
  info.backoff = backoff_;
  info.probes = std::max(persist_retries_, keep_alive_retries_);
  info.reordering_seen = reordering_seen_;
  info.reordering = reordering_;
  info.reduced = cwr_round_;
  info.rtt_ns = rtt_.smoothed();
  info.rtt_variation_ns = rtt_.variation();
  info.least_rtt_ns = rtt_.least();
  info.receive_rtt_ns = receive_rtt();
  info.rto_ns = rto();
  info.delayed_ack_ns = config_.delayed_ack;
  info.data_sent_at = last_data_sent_;
  info.data_received_at = last_data_received_;
  info.received_at = last_received_;
  info.statistics = statistics_;
  return info;
}

const char* Connection::broken() noexcept {
  if (state_ == State::closed) {
    if (deadline() != never) return "a closed connection has a deadline";
    if (!flights_.empty() || send_.size() > 0) return "a closed connection holds data to send";
    return nullptr;
  }
  if (snd_una_ > snd_nxt_) return "snd_una is past snd_nxt";
  if (rcv_edge_ < receive_.next()) return "the window ends before rcv_nxt";
  if (!is_synchronized() || state_ == State::time_wait) return nullptr;
  if (fin_received_ == can_receive()) return "the state does not fit the peer's FIN";
  if (snd_nxt_ > send_.end() + (fin_sent_ ? 1 : 0)) return "snd_nxt is past what was queued";
  if (send_.size() > std::uint64_t{send_buffer_} + 0x7fffffff / 2)
    return "more is queued than may be";
  if (std::uint64_t{flights_.sacked()} + flights_.lost() > snd_nxt_ - snd_una_)
    return "more is sacked or lost than was sent";
  if (receive_.memory() > ReceiveQueue::memory_for(receive_buffer_) + 0x10000)
    return "more memory is kept than may be";
  if (receive_buffer_ > std::max(config_.receive_buffer, config_.receive_buffer_most))
    return "the receive buffer has grown too far";
  if (const char* broken = receive_.broken()) return broken;
  if (window_.size == 0) return "the congestion window is zero";
  if (!flights_.empty() && loss_timer_ == LossTimer::none) return "nothing watches over flights";
  if (const char* broken = flights_.broken(snd_una_, snd_nxt_)) return broken;
  return nullptr;
}

}  // namespace lichen::net::tcp
