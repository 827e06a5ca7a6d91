// Reductions of the window that had no reason: F-RTO (RFC 5682), Eifel (RFC 3522, RFC
// 4015) and reports of duplicates (RFC 3708). What was lost was late, so the window is what it was
// before, as in Linux.
//
//   timeout ──> the first is sent again (first)
//                 │ acknowledged, and no more ──> new data (second) ──> what was sent once arrived
//                 │                                    │                      ──> undo
//                 └─ what was sent once arrived        └─ only the new data did ──> it was a loss
//                       ──> undo
#include <algorithm>

#include "lichen/net/tcp/ack_summary.hpp"

namespace lichen::net::tcp {

void Connection::remember_window() noexcept {
  undo_window_ = window_.size;
  undo_threshold_ = window_.threshold;
  undo_mark_ = snd_una_;
  undo_bytes_ = 0;
  undo_sent_ = false;
  policy_->remember();
}

void Connection::note_sent_again(std::uint64_t now, std::uint32_t size) noexcept {
  if (undo_window_ == 0) return;
  if (!undo_sent_) undo_timestamp_ = timestamp(now);
  undo_sent_ = true;
  undo_bytes_ += size;
}

void Connection::note_duplicate_report(Seq begin, Seq end) noexcept {
  if (undo_window_ == 0 || end <= undo_mark_ || end > snd_una_) return;
  undo_bytes_ -= std::min(undo_bytes_, end - begin);
}

// Whether nothing had to be sent again: all of it was there already, or what is acknowledged now
// was sent before.
bool Connection::had_no_reason(const wire::TcpSegment& segment) const noexcept {
  if (!undo_sent_) return false;
  if (undo_bytes_ == 0) return true;
  const std::uint32_t echo = segment.options.timestamp_echo;
  return agreed_.timestamps && echo != 0 && Seq{echo} < Seq{undo_timestamp_} &&
         Seq{segment.acknowledgment} > undo_mark_;
}

// RFC 5682 section 3.1, steps 2 and 3; without SACK section 2.1.
void Connection::look_forward(const AckSummary& summary) noexcept {
  if (snd_nxt_ > recovery_point_) {
    if (summary.sacked > 0 || !summary.advanced) forward_ = Forward::off;
  } else if (summary.advanced && snd_una_ < recovery_point_) {
    const bool can_send = unsent() > 0 && window_end() > snd_nxt_;
    forward_ = can_send && forward_ == Forward::first ? Forward::second : Forward::off;
  } else if (!summary.advanced && !agreed_.sack) {
    forward_ = Forward::off;  // step 2a: what arrives may be there for the second time
  }
}

void Connection::undo_if_without_reason(const wire::TcpSegment& segment,
                                        const AckSummary& summary) noexcept {
  if (undo_window_ == 0) return;
  switch (recovery_) {
    case Recovery::timeout:
      if ((summary.advanced && had_no_reason(segment)) ||
          (forward_ != Forward::off && summary.original))
        undo();
      else if (forward_ != Forward::off)
        look_forward(summary);
      return;
    case Recovery::fast:
      // A part of it may be lost.
      if (flights_.lost() > 0) return;
      if (undo_sent_ && undo_bytes_ == 0) undo();
      if (snd_una_ >= recovery_point_ && had_no_reason(segment)) undo();
      return;
    case Recovery::none:
      if (undo_sent_ && undo_bytes_ == 0)
        undo();
      else if (snd_una_ > undo_end_)
        undo_window_ = 0;
      return;
  }
}

void Connection::undo() noexcept {
  if (undo_window_ == 0) return;
  ++statistics_.undone;
  window_.size = std::max(window_.size, undo_window_);
  window_.threshold = std::max(window_.threshold, undo_threshold_);
  policy_->restore();
  undo_window_ = 0;
  if (recovery_ == Recovery::timeout) {
    flights_.unmark_lost();
    // What was taken for the arrival of something sent late was not.
    rack_sent_at_ = 0;
    retries_ = backoff_ = 0;
    first_again_ = false;
  } else {
    reordering_seen_ = true;  // it was overtaken
  }
  recovery_ = Recovery::none;
  forward_ = Forward::off;
  duplicate_acks_ = 0;
}

}  // namespace lichen::net::tcp
