// Acknowledgments, what they tell of loss, and the congestion window: RFC 5681, RFC 6675, RFC 8985
// (RACK-TLP), RFC 6582 (without SACK), RFC 6937 and RFC 9937 (proportional rate reduction), RFC
// 3168 (ECN).
#include <algorithm>
#include <utility>

#include "lichen/net/tcp/ack_summary.hpp"

namespace lichen::net::tcp {

namespace flag = wire::tcp_flag;

namespace {
constexpr std::uint32_t duplicate_threshold = 3;
constexpr std::uint32_t most_reordering = 300;  // net.ipv4.tcp_max_reordering
}  // namespace

std::uint32_t Connection::in_flight() const noexcept {
  const std::uint32_t out = snd_nxt_ - snd_una_;
  const std::uint32_t gone = flights_.sacked() + flights_.lost();
  std::uint32_t flying = out > gone ? out - gone : 0;
  // Without SACK each duplicate acknowledgment says that one more has left the network.
  if (duplicate_acks_ > 0) flying -= std::min(flying, duplicate_acks_ * send_mss());
  return flying;
}

// RFC 6928, and RFC 5681 section 3.1 where a SYN was lost.
void Connection::set_initial_window() noexcept {
  const std::uint32_t mss = send_mss();
  const std::uint32_t segments = config_.initial_window;
  window_.size = retries_ > 0 ? mss : std::min(segments * mss, std::max(2 * mss, segments * 1'460));
}

void Connection::process_ack(std::uint64_t now, const wire::TcpSegment& segment) noexcept {
  const Seq ack{segment.acknowledgment};
  // An old one may tell of segments that have arrived: it was overtaken, no more.
  if (ack < snd_una_ && (!agreed_.sack || segment.options.sack_count == 0)) return;
  if (flights_.empty() && ack == snd_una_ && segment.options.sack_count == 0 && !probing_) {
    // From a peer that only sends.
    persist_unanswered_ = 0;
    update_window(segment);
    process_echo(segment);
    return;
  }
  AckSummary summary;
  summary.in_flight = in_flight();
  summary.window = snd_wnd_;
  summary.has_echo = agreed_.timestamps && segment.options.timestamp_echo != 0;
  summary.echo = segment.options.timestamp_echo;
  persist_unanswered_ = 0;

  if (ack > snd_una_) {
    summary.advanced = true;
    statistics_.bytes_acked += ack - snd_una_;
    bool again = false;
    flights_.acknowledge(ack, [&](const Flight& flight, std::uint32_t bytes) {
      summary.acked += bytes;
      arrived(now, flight, flight.begin + bytes, summary);
      if (flight.transmissions > 1) again = true;
      if (flight.sent_at >= timed_out_at_)
        summary.rtt = std::max<std::uint64_t>(now - flight.sent_at, 1);
    });
    // What waited behind a repaired hole is no sample either (RFC 6298 section 3).
    if (again) summary.rtt = 0;
    // Without SACK nothing tells whether the rest had arrived before what was sent again (RFC 5682
    // section 2.1 step 2).
    if (again && !agreed_.sack) summary.original = false;
    snd_una_ = ack;
    send_.release(earlier(ack, send_.end()));
    retries_ = 0;
    soft_error_ = false;
    rto_from_ = probe_from_ = progress_at_ = now;
    // Numbers that are compared later must not fall half a circle behind.
    small_end_ = later(small_end_, ack);
    rack_farthest_ = later(rack_farthest_, ack);
    if (ack >= round_end_) {
      round_over_ = true;
      round_end_ = snd_nxt_;
    }
    if (recovery_ == Recovery::none && ack - recovery_point_ > 0x40000000)
      recovery_point_ = ack - 1;
  }
  if (agreed_.sack && segment.options.sack_count > 0) process_sack(now, segment.options, summary);
  update_window(segment);
  update_rtt(now, segment, summary);
  process_probe_ack(ack, summary);
  undo_if_without_reason(segment, summary);

  if (recovery_ != Recovery::none && summary.advanced && ack >= recovery_point_) {
    if (recovery_ == Recovery::fast) window_.size = std::max(window_.threshold, send_mss());
    recovery_ = Recovery::none;
    forward_ = Forward::off;
    undo_end_ = snd_nxt_;
    duplicate_acks_ = 0;
    if (reorder_persist_ > 0 && --reorder_persist_ == 0) reorder_factor_ = 1;
  }
  // What duplicates have told of is not told a second time.
  summary.grows_by = summary.delivered();
  summary.grows_by -= std::min(summary.grows_by, duplicate_acks_ * send_mss());
  const std::uint32_t lost = flights_.lost();
  if (agreed_.sack) {
    update_reordering(summary);
    if (summary.delivered() > 0 || reorder_at_ != never) detect_loss(now);
  } else {
    count_duplicate_ack(segment, summary);
  }
  summary.new_loss = flights_.lost() > lost;

  if (flights_.lost() > 0 && recovery_ == Recovery::none) enter_recovery();
  if (recovery_ == Recovery::fast) {
    reduce_proportionally(summary);
  } else if (summary.delivered() > 0) {
    // RFC 9293 and RFC 7661: a window that is not used says nothing and does not grow.
    const bool used = usage_limited_ || recovery_ == Recovery::timeout ||
                      (window_.in_slow_start() && window_.size < 2 * usage_most_);
    // RFC 5681 section 3.2 step 1: duplicate acknowledgments let new segments go (RFC 3042), but
    // the window does not grow by them.
    if (used && summary.advanced && !cwr_round_) {
      policy_->acked(window_, {now, summary.grows_by, send_mss(), rtt_.smoothed(), summary.rtt,
                               std::exchange(round_over_, false)});
    }
  }
  process_echo(segment);
  // Here and not when it has met no room: it does not wait for room yet then.
  if (full_) grow_send_buffer();
}

// RFC 8985 section 6.2, steps 2 and 3: something sent at some time has arrived.
void Connection::arrived(std::uint64_t now, const Flight& flight, Seq end,
                         AckSummary& summary) noexcept {
  const std::uint64_t rtt = now - flight.sent_at;
  // Too soon to be the answer to the last transmission, or the echo is of an earlier one.
  const bool of_earlier =
      flight.transmissions > 1 &&
      (rtt < rtt_.least() ||
       (summary.has_echo && Seq{summary.echo} < Seq{timestamp(flight.sent_at)}));
  summary.original |= flight.transmissions == 1 && end <= recovery_point_;
  if (!of_earlier) {
    rack_rtt_ = rtt;
    if (flight.sent_at > rack_sent_at_ || (flight.sent_at == rack_sent_at_ && end > rack_end_)) {
      rack_sent_at_ = flight.sent_at;
      rack_end_ = end;
    }
  }
  if (end > rack_farthest_) {
    rack_farthest_ = end;
  } else if (end < rack_farthest_ && flight.transmissions == 1) {
    reordering_seen_ = true;
    // How far it was overtaken, as Linux counts.
    const std::uint32_t mss = send_mss();
    const std::uint32_t distance = (rack_farthest_ - flight.begin + mss - 1) / mss;
    reordering_ = std::max(reordering_, std::min(distance, most_reordering));
  }
}

void Connection::process_sack(std::uint64_t now, const wire::TcpOptions& options,
                              AckSummary& summary) noexcept {
  summary.has_blocks = true;
  for (std::size_t i = 0; i < options.sack_count; ++i) {
    const Seq begin{options.sack[i].begin};
    const Seq end{options.sack[i].end};
    if (begin >= end) continue;
    if (i == 0) {
      // RFC 2883 section 4: below what is acknowledged, or inside the second block.
      const bool inside = options.sack_count > 1 && begin >= Seq{options.sack[1].begin} &&
                          end <= Seq{options.sack[1].end};
      if (end <= snd_una_ || inside) {
        if (begin < snd_una_ - max_window_) continue;
        summary.duplicate = true;
        summary.begin = begin.value;
        summary.end = end.value;
        note_duplicate_report(begin, end);
        ++statistics_.duplicates_reported;
        continue;
      }
    }
    if (begin < snd_una_ || end > snd_nxt_) continue;
    flights_.sack(begin, end, [&](const Flight& flight) {
      summary.sacked += flight.size();
      arrived(now, flight, flight.end, summary);
      if (flight.transmissions == 1 && flight.sent_at >= timed_out_at_ && summary.rtt == 0)
        summary.rtt = std::max<std::uint64_t>(now - flight.sent_at, 1);
    });
  }
  if (summary.sacked > 0) probe_from_ = now;
}

// RFC 9293 section 3.10.7.4, fifth.
void Connection::update_window(const wire::TcpSegment& segment) noexcept {
  const Seq sequence{segment.sequence};
  const Seq ack{segment.acknowledgment};
  if (!(snd_wl1_ < sequence || (snd_wl1_ == sequence && snd_wl2_ <= ack))) return;
  snd_wnd_ = std::uint32_t{segment.window} << agreed_.send_scale;
  max_window_ = std::max(max_window_, snd_wnd_);
  snd_wl1_ = sequence;
  snd_wl2_ = ack;
  if (snd_wnd_ > 0) {
    persist_retries_ = 0;
    if (loss_timer_ == LossTimer::persist) loss_timer_ = LossTimer::none;
  }
}

// RFC 6298: never from what was sent twice (Karn), unless timestamps tell which one it was. Nor
// from what was sent before a timeout: where acknowledgments are lost it would be as long as the
// timeout, which would be longer and longer for that.
void Connection::update_rtt(std::uint64_t now, const wire::TcpSegment& segment,
                            const AckSummary& summary) noexcept {
  if (summary.rtt != 0) {
    rtt_.measured(summary.rtt, now);
    backoff_ = 0;
  } else if (summary.advanced) {
    measure_by_echo(now, segment);
  }
}

// RFC 7323 section 4.1.
void Connection::measure_by_echo(std::uint64_t now, const wire::TcpSegment& segment) noexcept {
  if (!agreed_.timestamps || segment.options.timestamp_echo == 0) return;
  const std::uint32_t ms = timestamp(now) - segment.options.timestamp_echo;
  constexpr std::uint32_t longest_ms = 120'000;
  if (ms >= longest_ms) return;
  rtt_.measured(std::max(ms, 1u) * millisecond, now);
  backoff_ = 0;
}

// RFC 8985 section 7.4.2: did the probe repair a loss that nobody has seen?
void Connection::process_probe_ack(Seq ack, const AckSummary& summary) noexcept {
  if (!probing_ || ack < probe_end_) return;
  if (!probe_again_) {
    probing_ = false;  // new data was sent: nothing was repaired
  } else if (summary.duplicate && Seq{summary.end} == probe_end_) {
    probing_ = false;  // the original had arrived
  } else if (ack > probe_end_) {
    probing_ = false;
    if (recovery_ == Recovery::none) {
      window_.threshold = policy_->congested(window_, snd_nxt_ - snd_una_, send_mss());
      window_.size = window_.threshold;
    }
  } else if (!summary.advanced && !summary.has_blocks) {
    probing_ = false;  // both arrived, and the peer does not tell of duplicates
  }
}

// RFC 8985 section 6.2, step 4.
void Connection::update_reordering(const AckSummary& summary) noexcept {
  if (reorder_round_set_ && snd_una_ >= reorder_round_) reorder_round_set_ = false;
  if (summary.duplicate && !reorder_round_set_) {
    reorder_round_set_ = true;
    reorder_round_ = snd_nxt_;
    reorder_factor_ = std::min(reorder_factor_ + 1, 64u);
    reorder_persist_ = 16;
  }
}

std::uint64_t Connection::reordering_window() noexcept {
  if (!reordering_seen_) {
    if (recovery_ != Recovery::none) return 0;
    if (flights_.sacked() >= duplicate_threshold * send_mss()) return 0;
  }
  return std::min(reorder_factor_ * rtt_.least() / 4, rtt_.smoothed());
}

// RFC 8985 section 6.2, step 5: what was sent before something that has arrived, and long enough
// ago, is lost.
void Connection::detect_loss(std::uint64_t now) noexcept {
  reorder_at_ = never;
  if (rack_sent_at_ == 0) return;
  const std::uint64_t patience = rack_rtt_ + reordering_window();
  std::uint64_t latest = 0;
  auto& by_time = flights_.by_time();
  for (auto at = by_time.begin(); at != by_time.end();) {
    Flight& flight = *at++;
    if (flight.sent_at > rack_sent_at_) break;
    if (flight.sent_at == rack_sent_at_ && flight.end >= rack_end_) continue;
    if (flight.sent_at + patience <= now)
      flights_.mark_lost(flight);
    else
      latest = std::max(latest, flight.sent_at + patience);
  }
  if (latest != 0) reorder_at_ = latest;
}

// RFC 6582, for peers without SACK.
void Connection::count_duplicate_ack(const wire::TcpSegment& segment,
                                     const AckSummary& summary) noexcept {
  if (summary.advanced) {
    if (recovery_ == Recovery::none) {
      duplicate_acks_ = 0;
      return;
    }
    // A partial acknowledgment: the next one is lost, too (section 3.2, step 3).
    const std::uint32_t segments = summary.acked / send_mss();
    duplicate_acks_ -= std::min(duplicate_acks_, segments > 0 ? segments - 1 : 0);
    if (recovery_ == Recovery::fast) mark_first_lost();
    return;
  }
  const bool duplicate = segment.payload.empty() && !segment.has(flag::fin) &&
                         summary.window == snd_wnd_ && !flights_.empty();
  if (!duplicate) return;
  if (std::uint64_t{duplicate_acks_ + 1} * send_mss() <= snd_nxt_ - snd_una_) ++duplicate_acks_;
  // Section 3.2, step 2: not for what a timeout has sent again.
  if (recovery_ == Recovery::none && duplicate_acks_ >= duplicate_threshold &&
      snd_una_ > recovery_point_)
    mark_first_lost();
}

void Connection::mark_first_lost() noexcept {
  Flight* first = flights_.front();
  if (first == nullptr || first->lost || first->sacked) return;
  const std::uint32_t mss = send_mss();
  if (first->size() > mss && flights_.split(*first, first->begin + mss) == nullptr) return;
  flights_.mark_lost(*first);
}

void Connection::enter_recovery() noexcept {
  ++statistics_.fast_recoveries;
  remember_window();
  window_.threshold = policy_->congested(window_, snd_nxt_ - snd_una_, send_mss());
  recovery_ = Recovery::fast;
  recovery_point_ = snd_nxt_;
  prr_delivered_ = prr_out_ = 0;
  prr_flight_ = std::max(snd_nxt_ - snd_una_, 1u);
  first_again_ = true;
  probing_ = false;
  cwr_due_ = agreed_.ecn;
}

// RFC 9937 section 6: as many bytes go out as the threshold's share of those that arrive.
void Connection::reduce_proportionally(const AckSummary& summary) noexcept {
  const std::uint32_t mss = send_mss();
  std::uint32_t delivered = summary.delivered();
  if (!agreed_.sack && !summary.advanced) delivered = mss;
  if (delivered == 0) return;
  prr_delivered_ += delivered;
  const std::uint32_t flying = in_flight();
  std::int64_t send;
  if (flying > window_.threshold) {
    const std::uint64_t share =
        (std::uint64_t{prr_delivered_} * window_.threshold + prr_flight_ - 1) / prr_flight_;
    send = static_cast<std::int64_t>(share) - prr_out_;
  } else {
    send = std::max<std::int64_t>(std::int64_t{prr_delivered_} - prr_out_, delivered);
    if (summary.advanced && !summary.new_loss) send += mss;
    send = std::min<std::int64_t>(send, window_.threshold - flying);
  }
  if (prr_out_ == 0) send = std::max<std::int64_t>(send, mss);
  window_.size = std::max(flying + static_cast<std::uint32_t>(std::max<std::int64_t>(send, 0)), 1u);
}

// RFC 3168 section 6.1.2: an echo counts like a loss, once in a round trip.
void Connection::process_echo(const wire::TcpSegment& segment) noexcept {
  if (!agreed_.ecn) return;
  if (cwr_round_ && snd_una_ >= cwr_point_) cwr_round_ = false;
  if (!segment.has(flag::ece) || cwr_round_ || recovery_ != Recovery::none) return;
  ++statistics_.congestion_marks;
  window_.threshold = policy_->congested(window_, snd_nxt_ - snd_una_, send_mss());
  window_.size = window_.threshold;
  cwr_round_ = cwr_due_ = true;
  cwr_point_ = snd_nxt_;
}

}  // namespace lichen::net::tcp
