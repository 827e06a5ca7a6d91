// What time brings: retransmission (RFC 6298), tail loss probes (RFC 8985 section 7), probes of a
// closed window, keep-alive, delayed acknowledgments and the end of TIME-WAIT.
#include <algorithm>

#include "lichen/net/tcp/connection.hpp"

namespace lichen::net::tcp {

namespace {

constexpr std::uint64_t longest_ack_delay = 200 * millisecond;  // RFC 8985: WCDelAckT
// As in Linux: where round trips are short, how long either end takes is no loss.
constexpr std::uint64_t least_probe_delay = 2 * millisecond;
// As in Linux: how often a window that stays closed is probed for an app that has gone.
constexpr std::uint32_t orphan_probes = 8;

}  // namespace

std::uint64_t Connection::rto() const noexcept {
  std::uint64_t timeout = rtt_.timeout(config_);
  // RFC 6298 section 5.7: nothing is known but that a SYN was lost.
  if (!rtt_.measured() && opening_retried_) timeout = std::max(timeout, 3 * second);
  return std::min(timeout << std::min(backoff_, 20u), config_.max_rto);
}

std::uint64_t Connection::deadline() const noexcept {
  return std::min({loss_at_, ack_at_, keep_alive_at_, end_at_, pace_at_, accept_at_});
}

void Connection::arm_loss_timer(std::uint64_t now) noexcept {
  if (state_ == State::closed || state_ == State::time_wait) return;
  const bool opening = !is_synchronized();
  if (opening || !flights_.empty()) {
    loss_timer_ = LossTimer::retransmit;
    loss_at_ = rto_from_ + rto();
    if (!opening && reorder_at_ < loss_at_) {
      loss_timer_ = LossTimer::reorder;
      loss_at_ = reorder_at_;
    } else if (!opening && may_probe()) {
      // RFC 8985 section 7.2: no later than the timeout, and in its place.
      loss_timer_ = LossTimer::probe;
      loss_at_ = std::min(loss_at_, probe_at());
    }
  } else if (can_send() && (unsent() > 0 || fin_due())) {
    if (loss_timer_ != LossTimer::persist) {
      loss_timer_ = LossTimer::persist;
      const std::uint32_t doublings = std::min(persist_retries_, 20u);
      loss_at_ = now + std::min(rtt_.timeout(config_) << doublings, config_.max_rto);
    }
  } else {
    loss_timer_ = LossTimer::none;
    loss_at_ = never;
    return;
  }
  if (user_timeout_ != 0 && is_synchronized())
    loss_at_ = std::min(loss_at_, std::max(progress_at_ + user_timeout_, now));
}

// RFC 8985 section 7.2.
bool Connection::may_probe() const noexcept {
  return config_.tail_loss_probes && agreed_.sack && recovery_ == Recovery::none && !probing_ &&
         retries_ == 0 && flights_.sacked() == 0 && flights_.lost() == 0;
}

std::uint64_t Connection::probe_at() const noexcept {
  std::uint64_t wait = second;
  if (rtt_.measured()) {
    // A single segment may be acknowledged late.
    wait = 2 * rtt_.smoothed() +
           (snd_nxt_ - snd_una_ <= send_mss() ? longest_ack_delay : least_probe_delay);
  }
  return probe_from_ + wait;
}

void Connection::advance(std::uint64_t now) noexcept {
  if (state_ == State::closed) return;
  if (end_at_ <= now) {
    finish(Error::closed);
    return;
  }
  if (loss_at_ <= now) on_loss_timer(now);
  if (state_ != State::closed && keep_alive_at_ <= now) on_keep_alive(now);
  if (state_ == State::closed) return;
  if (ack_at_ <= now) {
    ack_at_ = never;
    ack_now_ = true;
    interactive_ = false;  // no answer has come in time
  }
  if (pace_at_ <= now) pace_at_ = never;
  if (accept_at_ <= now) {
    accept_at_ = never;
    changes_ |= change::connected | change::writable;
  }
  flush(now);
}

// As if its time had come, and with the usual times from now on.
void Connection::try_again(std::uint64_t now) noexcept {
  if (!has_retried() || loss_at_ <= now) return;
  if (loss_timer_ != LossTimer::retransmit && loss_timer_ != LossTimer::persist) return;
  // This one counts neither as a retry nor for the next wait.
  if (retries_ > 1) --retries_;
  backoff_ = persist_retries_ = 0;
  loss_at_ = now;
}

void Connection::on_loss_timer(std::uint64_t now) noexcept {
  const LossTimer timer = loss_timer_;
  if (is_synchronized() && user_timeout_ != 0 && now - progress_at_ >= user_timeout_) {
    finish(failure());
    return;
  }
  switch (timer) {
    case LossTimer::none: return;
    case LossTimer::reorder:
      detect_loss(now);
      if (flights_.lost() > 0 && recovery_ == Recovery::none) {
        enter_recovery();
        window_.size = std::min(window_.size, std::max(window_.threshold, send_mss()));
      }
      break;
    case LossTimer::probe: send_probe(now); break;
    case LossTimer::persist: on_persist(now); break;
    case LossTimer::retransmit:
      if (is_synchronized())
        on_retransmit(now);
      else
        on_syn_timeout(now);
      break;
  }
  if (state_ != State::closed) arm_loss_timer(now);
}

Error Connection::failure() const noexcept {
  return soft_error_ ? Error::unreachable : Error::timed_out;
}

void Connection::on_syn_timeout(std::uint64_t now) noexcept {
  if (retries_ >= (passive_ ? config_.syn_ack_retries : config_.syn_retries)) {
    finish(failure());
    return;
  }
  ++retries_;
  ++backoff_;
  ++statistics_.timeouts;
  rto_from_ = now;
  send_syn(now);
}

// RFC 6298 section 5 and RFC 5681 section 3.1.
void Connection::on_retransmit(std::uint64_t now) noexcept {
  if (retries_ >= config_.retries) {
    finish(failure());
    return;
  }
  ++statistics_.timeouts;
  // What was sacked should be acknowledged by now, if it is the first (RFC 2018 section 8).
  if (flights_.front()->sacked) flights_.forget_sacked();
  // RFC 5682 sections 2.1 and 3.1, step 1: not for what a recovery has already sent again.
  forward_ = config_.forward_recovery && (recovery_ == Recovery::none || retries_ > 0)
                 ? Forward::first
                 : Forward::off;
  if (recovery_ == Recovery::none || (recovery_ == Recovery::timeout && retries_ == 0))
    remember_window();
  if (retries_ == 0)
    window_.threshold = policy_->timed_out(window_, snd_nxt_ - snd_una_, send_mss());
  window_.size = send_mss();
  recovery_ = Recovery::timeout;
  recovery_point_ = snd_nxt_;
  duplicate_acks_ = 0;
  probing_ = false;
  reorder_at_ = never;
  cwr_due_ = agreed_.ecn;
  if (agreed_.sack && rack_sent_at_ != 0) {
    // RFC 8985 section 6.3: the first, and what was sent long enough ago.
    const std::uint64_t patience = rack_rtt_ + reordering_window();
    auto& by_time = flights_.by_time();
    for (auto at = by_time.begin(); at != by_time.end();) {
      Flight& flight = *at++;
      if (flight.begin == snd_una_ || flight.sent_at + patience <= now) flights_.mark_lost(flight);
    }
  } else {
    flights_.mark_all_lost();
  }
  ++retries_;
  ++backoff_;
  rto_from_ = timed_out_at_ = now;
  first_again_ = true;
}

// RFC 8985 section 7.3: one segment beyond what the window allows, new if there is any.
void Connection::send_probe(std::uint64_t now) noexcept {
  const std::uint32_t mss = send_mss();
  const Seq edge = window_end();
  const std::uint32_t open = edge > snd_nxt_ ? edge - snd_nxt_ : 0;
  const std::uint32_t size = std::min({unsent(), open, mss});
  probing_ = true;
  rto_from_ = now;
  ++statistics_.probes;
  if (size > 0 && send_segment(now, size)) {
    probe_again_ = false;
    probe_end_ = snd_nxt_;
    return;
  }
  probe_again_ = true;
  probe_end_ = snd_nxt_;
  Flight* last = flights_.back();
  if (last->size() > mss)
    if (Flight* tail = flights_.split(*last, last->end - mss)) last = tail;
  send_again(now, *last, mss);
}

// RFC 9293 section 3.8.6.1. A peer that answers may keep its window closed for ever, as long as the
// app is there and has set no timeout.
void Connection::on_persist(std::uint64_t now) noexcept {
  loss_timer_ = LossTimer::none;
  if (persist_unanswered_ >= config_.retries ||
      (released_ && snd_wnd_ == 0 && persist_retries_ >= orphan_probes)) {
    finish(failure());
    return;
  }
  ++persist_retries_;
  const Seq edge = window_end();
  const std::uint32_t open = edge > snd_nxt_ ? edge - snd_nxt_ : 0;
  if (const std::uint32_t size = std::min({unsent(), open, send_mss()}); size > 0) {
    // Section 3.8.6.2.1: a small window has been waited on long enough. Pushed, as Linux does: more
    // may not come for long.
    send_segment(now, size, Part::last);
    return;
  }
  ++persist_unanswered_;
  ++statistics_.window_probes;
  send_probe_ack(now);
}

// RFC 1122 section 4.2.3.6.
void Connection::on_keep_alive(std::uint64_t now) noexcept {
  if (!flights_.empty() || unsent() > 0) {
    keep_alive_at_ = now + keep_alive_idle_;  // other timers watch over it
    return;
  }
  if (keep_alive_retries_ == 0 && now - last_received_ < keep_alive_idle_) {
    keep_alive_at_ = last_received_ + keep_alive_idle_;
    return;
  }
  if (keep_alive_retries_ >= config_.keep_alive_probes) {
    send_reset(now, snd_nxt_, true);
    finish(Error::timed_out);
    return;
  }
  ++keep_alive_retries_;
  ++statistics_.keep_alive_probes;
  send_probe_ack(now);
  keep_alive_at_ = now + config_.keep_alive_interval;
}

}  // namespace lichen::net::tcp
