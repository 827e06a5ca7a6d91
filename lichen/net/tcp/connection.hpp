// Connection: one TCP connection as a pure state machine (RFC 9293). It has no I/O, no clock and no
// threads: segments, time and the app's wishes come in by calls, segments go out through Output.
//
//   segment ──input()──> ┌────────────┐ ──transmit()──> segment
//   time ───advance()──> │ Connection │ ──deadline()──> when to call advance()
//   app ────write()────> └────────────┘ ──take_changes()──> what the app may want to know
//
// Calls only note what is to be sent; flush() sends it. Whoever drives connections calls flush()
// once after a batch of segments and after calls of the app, so that acknowledgments ride on data.
// What must not wait (acknowledgments of segments that came early, challenge ACKs, resets) is sent
// at once. `now` is in ns, MUST NOT go back and MUST be greater than zero.
//
//   closed ─connect()─> syn_sent ───────────> established ─shutdown()─> fin_wait_1 ─> fin_wait_2
//      └────accept()──> syn_received ────────────┘ │                        └> closing ─┐  │
//                                                  └FIN─> close_wait ─> last_ack ─>     time_wait
//
// Where the parts are: connection.cpp (life, the app), input.cpp (segments), output.cpp, loss.cpp
// (acknowledgments, recovery), sizing.cpp (buffers that grow), timers.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "lichen/base/error.hpp"
#include "lichen/base/heap.hpp"
#include "lichen/base/list.hpp"
#include "lichen/base/result.hpp"
#include "lichen/io/buffer.hpp"
#include "lichen/net/tcp/config.hpp"
#include "lichen/net/tcp/congestion.hpp"
#include "lichen/net/tcp/flights.hpp"
#include "lichen/net/tcp/info.hpp"
#include "lichen/net/tcp/memory.hpp"
#include "lichen/net/tcp/output.hpp"
#include "lichen/net/tcp/receive_queue.hpp"
#include "lichen/net/tcp/rtt.hpp"
#include "lichen/net/tcp/send_queue.hpp"
#include "lichen/net/tcp/sequence.hpp"

namespace lichen::net::tcp {

inline constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

// What connections share. It MUST outlive them.
struct Resources {
  ChunkPool& chunks;
  Pool<Flight>& flights;
  PiecePool& pieces;
  BlockPool& blocks;
  Output& output;
};

// What was agreed when the connection was opened.
struct Agreed {
  std::uint16_t mss = 536;  // what the peer takes (RFC 9293 section 3.7.1)
  bool scaling = false;
  std::uint8_t send_scale = 0;
  bool timestamps = false;
  bool sack = false;
  bool ecn = false;
};

// A handshake that was completed without memory (SYN cookies).
struct Revived {
  Seq iss;  // of the SYN that was answered
  Seq irs;
  Agreed agreed;
  std::uint32_t timestamp = 0;  // of the peer, if they were agreed
};

// A set of what has changed.
namespace change {
inline constexpr std::uint8_t connected = 1;
inline constexpr std::uint8_t readable = 2;  // bytes, or the end of them
inline constexpr std::uint8_t writable = 4;  // room, after there was none
inline constexpr std::uint8_t closed = 8;    // it is over; error() says why
}  // namespace change

struct Listener;  // engine.hpp

inline constexpr std::uint32_t usual_reordering = 3;  // segments

// The least shift that lets any window of the buffer be announced (RFC 7323 section 2.3).
[[nodiscard]] std::uint8_t scale_for(const Config& config) noexcept;
// The window of a SYN: as many whole segments as may be, as in Linux.
[[nodiscard]] std::uint16_t opening_window(const Config& config, std::uint32_t mss) noexcept;

class Connection {
 public:
  // `timestamp_offset`: what is added to the clock of timestamps (RFC 7323 section 5.4).
  Connection(const Config& config, Resources& resources, const Path& path,
             std::uint32_t timestamp_offset) noexcept;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() = default;

  // ---- opening; each once, in state closed
  void connect(std::uint64_t now, Seq iss) noexcept;
  void accept(std::uint64_t now, const wire::TcpSegment& syn, Seq iss) noexcept;
  // The acknowledgment itself is passed to input() afterwards.
  void revive(std::uint64_t now, const Revived& revived) noexcept;

  // ---- segments
  // `payload`: the buffer in which segment.payload lies, cut to it; empty if there is none.
  void input(std::uint64_t now, const wire::TcpSegment& segment, io::Buffer payload,
             wire::Ecn ecn = wire::Ecn::not_capable) noexcept;
  void flush(std::uint64_t now) noexcept;

  // ---- time
  [[nodiscard]] std::uint64_t deadline() const noexcept;
  // Does what is due. Harmless when nothing is.
  void advance(std::uint64_t now) noexcept;
  // What was sent again in vain is due now, not when its time comes.
  void try_again(std::uint64_t now) noexcept;
  [[nodiscard]] bool has_retried() const noexcept { return retries_ != 0 || persist_retries_ != 0; }

  // ---- the app
  // Copies; returns how much was taken. Errors: would_block (no room), invalid_state (after
  // shutdown()), or why the connection is over.
  // `more`: another write() that belongs to this one follows, so it is not pushed (RFC 9293 section
  // 3.9.1.2).
  Result<std::size_t> write(std::uint64_t now, std::span<const std::byte> bytes,
                            bool more = false) noexcept;
  // Takes the buffer, which MUST NOT be empty and is given back when the peer has acknowledged it
  // and the output does not read it any more; on errors it stays with the caller. There is room as
  // long as there is any for write().
  Result<void> send(std::uint64_t now, io::Buffer& buffer) noexcept;
  // What was written so far shares no segment with what follows (MSG_EOR of Linux).
  void end_record() noexcept { send_.end_record(); }
  [[nodiscard]] std::uint32_t writable() const noexcept;
  // Whether it is so much that it is worth telling of.
  [[nodiscard]] bool is_writable() const noexcept {
    return writable() > 0 && writable() >= send_buffer_ / 3 &&
           (config_.unsent_most == 0 || unsent() < config_.unsent_most / 2);
  }
  // Bytes that receive() has; whether nothing more will come behind them.
  [[nodiscard]] std::uint32_t readable() const noexcept { return receive_.readable(); }
  // What may be unread and unsent; both grow unless the Config says otherwise.
  [[nodiscard]] std::uint32_t receive_buffer() const noexcept { return receive_buffer_; }
  [[nodiscard]] std::uint32_t send_buffer() const noexcept { return send_buffer_; }
  [[nodiscard]] bool at_end() const noexcept { return fin_received_ || state_ == State::closed; }
  // The next bytes, without a copy; empty at the end. Errors: would_block, or why the connection is
  // over (once everything that arrived has been taken).
  Result<io::Buffer> receive() noexcept;
  // The same with a copy; 0 at the end.
  Result<std::size_t> read(std::span<std::byte> into) noexcept;
  // Nothing more will be written. The peer sees the end once it has everything.
  void shutdown(std::uint64_t now) noexcept;
  // The app will not call again. Like shutdown(), but a reset if there is something unread or more
  // arrives (RFC 2525 section 2.17).
  void release(std::uint64_t now) noexcept;
  // A reset. `now` may be left out: only a timestamp depends on it.
  void abort(std::uint64_t now = 0) noexcept;
  // While it is set only full segments are sent.
  void set_cork(bool on) noexcept { cork_ = on; }
  // What is held back by cork or Nagle's rule goes with the next flush().
  void push() noexcept { push_ = wants_flush_ = true; }
  void set_keep_alive(std::uint64_t now, std::uint64_t idle) noexcept;
  void set_user_timeout(std::uint64_t timeout) noexcept { user_timeout_ = timeout; }
  // As TCP_QUICKACK of Linux: an acknowledgment that waits goes, or they wait for answers from now
  // on; until what is sent and received says otherwise.
  void set_quick_ack(bool on) noexcept;
  // Whether acknowledgments wait for answers that carry them.
  [[nodiscard]] bool is_interactive() const noexcept { return interactive_; }
  // Takes over what is chosen anew. What was agreed when the connection was opened (options, the
  // window scale) and the MTU stay as they are.
  void configure(std::uint64_t now, const Config& config) noexcept;
  [[nodiscard]] const Config& config() const noexcept { return config_; }

  // ---- messages about the path
  // Both: `sequence` from what they quote. False: nothing that is on its way, so it is not believed
  // (RFC 5927 section 4.1).
  // A router cannot forward more than `mtu` bytes.
  bool path_mtu(std::uint64_t now, std::uint32_t mtu, Seq sequence) noexcept;
  // An error that time may heal: told if the connection fails otherwise.
  bool unreachable(std::uint64_t now, Seq sequence) noexcept;

  // ---- what it is
  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] const Path& path() const noexcept { return path_; }
  // Why it is over; closed for an orderly end.
  [[nodiscard]] Error error() const noexcept { return error_; }
  [[nodiscard]] bool released() const noexcept { return released_; }
  // Output had no room for something; flush() is wanted once it has.
  [[nodiscard]] bool blocked() const noexcept { return blocked_; }
  // Something waits for flush().
  [[nodiscard]] bool wants_flush() const noexcept { return wants_flush_; }
  std::uint8_t take_changes() noexcept {
    const std::uint8_t changes = changes_;
    changes_ = 0;
    return changes;
  }
  // Whether a SYN may open a new connection in place of this one in time_wait (RFC 6191).
  [[nodiscard]] bool may_reopen(const wire::TcpSegment& syn) const noexcept;
  [[nodiscard]] Info info(std::uint64_t now) noexcept;
  [[nodiscard]] const Statistics& statistics() const noexcept { return statistics_; }
  // What is wrong with the state, null when nothing is. For tests.
  [[nodiscard]] const char* broken() noexcept;

  // ---- for whoever keeps it
  base::ListNode kept;         // in a list of connections with something to do
  base::ListNode owned;        // in a listener's or the stack's list
  base::HeapNode timer;        // in the order of `timer_at`
  std::uint64_t timer_at = 0;  // no later than deadline()
  Connection* next_in_table = nullptr;
  std::uint64_t hash = 0;
  Listener* listener = nullptr;  // until the app has taken it
  void* owner = nullptr;         // the app's; null while it has none

 private:
  enum class LossTimer : std::uint8_t { none, reorder, probe, retransmit, persist };
  enum class Limit : std::uint8_t { idle, network, peer_window, send_buffer };
  // RFC 5682: the first of what a timeout has sent again is on its way; it was acknowledged, and
  // new data was sent in place of more that is lost.
  enum class Forward : std::uint8_t { off, first, second };
  struct AckSummary;

  // connection.cpp
  void agree(const wire::TcpOptions& options) noexcept;
  void measure_opening(std::uint64_t now, const wire::TcpSegment& segment) noexcept;
  void established(std::uint64_t now) noexcept;
  void finish(Error error) noexcept;
  void enter_time_wait(std::uint64_t now) noexcept;
  [[nodiscard]] bool can_receive() const noexcept;
  [[nodiscard]] bool can_send() const noexcept;
  [[nodiscard]] bool is_synchronized() const noexcept { return state_ > State::syn_received; }
  [[nodiscard]] bool is_opening() const noexcept {
    return state_ == State::syn_sent || state_ == State::syn_received;
  }
  [[nodiscard]] Error over() const noexcept;

  // input.cpp
  void input_syn_sent(std::uint64_t now, const wire::TcpSegment& segment) noexcept;
  void input_synchronized(std::uint64_t now, const wire::TcpSegment& segment, io::Buffer payload,
                          wire::Ecn ecn) noexcept;
  [[nodiscard]] bool is_acceptable(Seq begin, Seq end) const noexcept;
  bool check_timestamps(std::uint64_t now, const wire::TcpSegment& segment) noexcept;
  void note_timestamp(std::uint64_t now, const wire::TcpSegment& segment) noexcept;
  void refuse(std::uint64_t now, const wire::TcpSegment& segment) noexcept;
  void input_reset(std::uint64_t now, Seq sequence) noexcept;
  void tell_readable() noexcept;
  void note_taken(std::size_t size) noexcept;
  void input_payload(std::uint64_t now, Seq begin, io::Buffer payload) noexcept;
  void input_fin(std::uint64_t now, Seq at) noexcept;
  void note_ecn(const wire::TcpSegment& segment, wire::Ecn ecn) noexcept;
  void hasten_acks(std::uint32_t segments) noexcept;
  void challenge(std::uint64_t now) noexcept;
  void answer_seldom(std::uint64_t now) noexcept;

  // loss.cpp
  void process_ack(std::uint64_t now, const wire::TcpSegment& segment) noexcept;
  void process_sack(std::uint64_t now, const wire::TcpOptions& options,
                    AckSummary& summary) noexcept;
  void arrived(std::uint64_t now, const Flight& flight, Seq end, AckSummary& summary) noexcept;
  void update_window(const wire::TcpSegment& segment) noexcept;
  void update_rtt(std::uint64_t now, const wire::TcpSegment& segment,
                  const AckSummary& summary) noexcept;
  void measure_by_echo(std::uint64_t now, const wire::TcpSegment& segment) noexcept;
  void process_probe_ack(Seq ack, const AckSummary& summary) noexcept;
  void count_duplicate_ack(const wire::TcpSegment& segment, const AckSummary& summary) noexcept;
  void update_reordering(const AckSummary& summary) noexcept;
  [[nodiscard]] std::uint64_t reordering_window() noexcept;
  void detect_loss(std::uint64_t now) noexcept;
  void mark_first_lost() noexcept;
  void enter_recovery() noexcept;
  // undo.cpp
  void remember_window() noexcept;
  void note_sent_again(std::uint64_t now, std::uint32_t size) noexcept;
  void note_duplicate_report(Seq begin, Seq end) noexcept;
  [[nodiscard]] bool had_no_reason(const wire::TcpSegment& segment) const noexcept;
  void look_forward(const AckSummary& summary) noexcept;
  void undo_if_without_reason(const wire::TcpSegment& segment, const AckSummary& summary) noexcept;
  void undo() noexcept;

  void reduce_proportionally(const AckSummary& summary) noexcept;
  void process_echo(const wire::TcpSegment& segment) noexcept;
  [[nodiscard]] std::uint32_t in_flight() const noexcept;
  void set_initial_window() noexcept;

  // output.cpp
  // RFC 6691: what options take is taken from the payload.
  [[nodiscard]] std::uint32_t send_mss() const noexcept {
    return receive_.has_report() ? reporting_mss() : usual_mss_;
  }
  [[nodiscard]] std::uint32_t reporting_mss() const noexcept;
  [[nodiscard]] std::uint32_t base_mss() const noexcept;
  void note_mss() noexcept;
  [[nodiscard]] std::uint16_t offered_mss() const noexcept;
  [[nodiscard]] std::uint32_t burst() const noexcept;
  [[nodiscard]] Seq window_end() const noexcept { return snd_una_ + snd_wnd_; }
  [[nodiscard]] std::uint32_t unsent() const noexcept {
    return snd_nxt_ < send_.end() ? send_.end() - snd_nxt_ : 0;
  }
  // Whether there is something that might go now, new or again.
  [[nodiscard]] bool has_to_send() const noexcept {
    return unsent() > 0 || fin_due() || flights_.lost() > 0 || forward_ == Forward::second;
  }
  [[nodiscard]] bool fin_due() const noexcept { return fin_queued_ && !fin_sent_; }
  void send_syn(std::uint64_t now) noexcept;
  bool send_ack(std::uint64_t now) noexcept;
  void send_probe_ack(std::uint64_t now) noexcept;
  void send_reset(std::uint64_t now, Seq sequence, bool with_ack) noexcept;
  bool emit(std::uint64_t now, wire::TcpHeader& header,
            std::span<const std::span<const std::byte>> payload, std::uint32_t size,
            wire::Ecn ecn) noexcept;
  enum class Part : std::uint8_t { whole, first, last };  // of several segments sent in one go
  bool emit_range(std::uint64_t now, Seq begin, std::uint32_t& size, bool fin, bool again,
                  Part part) noexcept;
  void send_lost(std::uint64_t now) noexcept;
  bool send_again(std::uint64_t now, Flight& flight, std::uint32_t most) noexcept;
  void send_new(std::uint64_t now) noexcept;
  bool send_burst(std::uint64_t now, std::uint32_t size) noexcept;
  bool send_segment(std::uint64_t now, std::uint32_t size, Part part = Part::whole) noexcept;
  [[nodiscard]] std::uint32_t sendable(std::uint64_t now, std::uint32_t mss) noexcept;
  [[nodiscard]] std::uint32_t hold_small(std::uint32_t size, std::uint32_t mss) const noexcept;
  void restart_after_idle(std::uint64_t now) noexcept;
  void pace(std::uint64_t now, std::uint32_t size) noexcept;
  void account(std::uint64_t now) noexcept;
  void note_usage() noexcept;
  [[nodiscard]] std::uint32_t window_room(bool syn) const noexcept;
  [[nodiscard]] std::uint16_t choose_window(bool syn) noexcept;
  [[nodiscard]] std::uint32_t timestamp(std::uint64_t now) const noexcept {
    return static_cast<std::uint32_t>(now / millisecond) + timestamp_offset_;
  }
  void note_pending_ack(std::uint64_t now, std::uint32_t size) noexcept;

  // sizing.cpp
  [[nodiscard]] bool may_promise_more() const noexcept;
  void set_receive_buffer(std::uint32_t size) noexcept;
  void measure_receiver(std::uint64_t now, const wire::TcpSegment& segment) noexcept;
  [[nodiscard]] std::uint64_t receive_rtt() const noexcept;
  void grow_receive_buffer(std::uint64_t now) noexcept;
  void grow_send_buffer() noexcept;

  // timers.cpp
  [[nodiscard]] std::uint64_t rto() const noexcept;
  void arm_loss_timer(std::uint64_t now) noexcept;
  void on_loss_timer(std::uint64_t now) noexcept;
  void on_retransmit(std::uint64_t now) noexcept;
  void on_syn_timeout(std::uint64_t now) noexcept;
  void on_persist(std::uint64_t now) noexcept;
  void send_probe(std::uint64_t now) noexcept;
  void on_keep_alive(std::uint64_t now) noexcept;
  [[nodiscard]] bool may_probe() const noexcept;
  [[nodiscard]] std::uint64_t probe_at() const noexcept;
  [[nodiscard]] Error failure() const noexcept;

  Config config_;
  Resources& resources_;
  const Path path_;

  State state_ = State::closed;
  Error error_ = Error::closed;
  std::uint8_t changes_ = 0;
  bool passive_ = false;
  bool released_ = false;
  bool no_delay_;
  bool cork_ = false;
  bool push_ = false;
  bool blocked_ = false;
  bool wants_flush_ = false;
  Agreed agreed_;

  // Sending (RFC 9293 section 3.3.1).
  Seq iss_;
  Seq snd_una_;
  Seq snd_nxt_;
  std::uint32_t snd_wnd_ = 0;
  std::uint32_t max_window_ = 0;
  Seq snd_wl1_;
  Seq snd_wl2_;
  Seq small_end_;  // of the last segment that was less than full (Minshall's form of Nagle's rule)
  bool fin_queued_ = false;
  bool fin_sent_ = false;
  bool full_ = false;               // write() met no room
  std::uint32_t path_mtu_;          // of IP packets
  std::uint32_t usual_mss_ = 0;     // of segments without reports: note_mss()
  const std::size_t headers_size_;  // of IP and TCP, without options
  std::uint32_t send_buffer_;
  SendQueue send_;
  Flights flights_;

  // Receiving.
  Seq irs_;
  Seq rcv_edge_;  // the right edge of the window that was announced
  Seq last_ack_sent_;
  std::uint8_t receive_scale_ = 0;
  bool fin_received_ = false;
  bool has_fin_at_ = false;
  Seq fin_at_;  // the number of a FIN that came early
  bool ack_now_ = false;
  bool window_update_ = false;
  bool interactive_ = false;          // requests and answers take turns
  std::uint32_t quick_acks_;          // segments that are acknowledged at once unless they do
  std::uint32_t unacked_bytes_ = 0;   // received and not acknowledged
  std::uint32_t received_mss_ = 536;  // what the peer seems to send at most
  ReceiveQueue receive_;
  std::uint32_t receive_buffer_;
  // What the app has taken since, and in the round trip before.
  std::uint32_t taken_ = 0;
  std::uint32_t taken_before_ = 0;
  std::uint64_t taken_since_ = 0;
  // The least time in which something has come that we had to ask for. The window was opened beyond
  // the mark then; 0: what lies behind it has come.
  std::uint64_t receive_rtt_ = 0;
  std::uint64_t window_since_ = 0;
  Seq window_mark_;
  std::uint32_t last_echo_ = 0;

  // Timestamps (RFC 7323).
  std::uint32_t timestamp_offset_;
  std::uint32_t ts_recent_ = 0;
  std::uint64_t ts_recent_at_ = 0;

  // Loss and congestion.
  RttEstimator rtt_;
  CongestionWindow window_;
  CongestionPolicy policy_;
  Recovery recovery_ = Recovery::none;
  Seq recovery_point_;
  bool window_limited_ = false;  // the congestion window held something back just now
  // What was used of the window in this round trip: all of it, or how much was out at most.
  bool usage_limited_ = false;
  std::uint32_t usage_most_ = 0;
  Seq usage_end_;
  Seq round_end_;  // of the round trips that slow start counts
  bool round_over_ = false;
  bool first_again_ = false;  // the next lost segment is sent whatever the window says
  Seq part_again_;            // the begin of what was sent again and could not be noted
  std::uint32_t prr_delivered_ = 0;
  std::uint32_t prr_out_ = 0;
  std::uint32_t prr_flight_ = 0;
  std::uint32_t duplicate_acks_ = 0;  // without SACK
  std::uint64_t rack_sent_at_ = 0;    // of the latest segment sent that has arrived
  Seq rack_end_;
  std::uint64_t rack_rtt_ = 0;
  std::uint32_t reordering_ = usual_reordering;
  Seq rack_farthest_;
  bool reordering_seen_ = false;
  std::uint32_t reorder_factor_ = 1;
  std::uint32_t reorder_persist_ = 16;
  Seq reorder_round_;
  bool reorder_round_set_ = false;
  Forward forward_ = Forward::off;
  // Before the window was reduced for a loss; zero when nothing can be undone any more.
  std::uint32_t undo_window_ = 0;
  std::uint32_t undo_threshold_ = 0;
  Seq undo_mark_;                 // what was sent again lies behind it ...
  Seq undo_end_;                  // ... and is reported as a duplicate before this is acknowledged
  std::uint32_t undo_bytes_ = 0;  // sent again, and not reported as duplicates
  std::uint32_t undo_timestamp_ = 0;  // of the first that was
  bool undo_sent_ = false;            // something was
  bool probing_ = false;              // a tail loss probe is out
  bool probe_again_ = false;
  Seq probe_end_;

  // ECN (RFC 3168).
  bool echo_ = false;       // a mark was received, and no CWR yet
  bool cwr_due_ = false;    // to be told with the next new data
  bool cwr_round_ = false;  // the window was reduced for this round trip
  Seq cwr_point_;

  // Timers.
  LossTimer loss_timer_ = LossTimer::none;
  std::uint64_t loss_at_ = never;
  std::uint64_t rto_from_ = 0;
  std::uint64_t timed_out_at_ = 0;    // the last time
  std::uint64_t probe_from_ = 0;      // the last new data or progress
  std::uint64_t reorder_at_ = never;  // when more will be lost unless it arrives
  std::uint64_t progress_at_ = 0;     // when something was acknowledged, or began to wait
  std::uint64_t ack_at_ = never;
  std::uint64_t keep_alive_at_ = never;
  std::uint64_t end_at_ = never;  // of time_wait, or of fin_wait_2 without an app
  std::uint64_t paced_until_ = 0;
  std::uint64_t pace_at_ = never;
  std::uint32_t retries_ = 0;             // timeouts since the last progress
  std::uint32_t backoff_ = 0;             // doublings of the timeout since the last measurement
  bool opening_retried_ = false;          // a SYN was sent again
  std::uint32_t persist_retries_ = 0;     // since the window was open
  std::uint32_t persist_unanswered_ = 0;  // since the peer was heard
  std::uint32_t keep_alive_retries_ = 0;
  std::uint64_t keep_alive_idle_;
  std::uint64_t user_timeout_;
  std::uint64_t accept_at_ = never;  // when a passive opening is told of without data
  std::uint64_t last_sent_ = 0;
  std::uint64_t last_data_sent_ = 0;
  std::uint64_t last_data_received_ = 0;
  std::uint64_t last_received_ = 0;
  std::uint64_t syn_sent_at_ = 0;
  bool soft_error_ = false;
  std::uint64_t challenge_window_ = 0;
  std::uint32_t challenges_ = 0;
  std::uint64_t answered_at_ = 0;

  Limit limit_ = Limit::idle;  // what has held the sender up ...
  std::uint64_t limit_since_ = 0;
  Statistics statistics_;
};

}  // namespace lichen::net::tcp
