// Channel<T>: messages between tasks, in order. Bounded, unbounded, or rendezvous (capacity 0).
//
// The ring has a lock at each end, so a sender and a receiver on two cores go about their messages
// each on cache lines of its own (docs/decisions/channel.md). While nobody waits, a sender needs
// the senders' end only and a receiver the receivers'; all else takes both: who waits, enters or
// leaves a queue, ends a wait, closes, makes the ring larger. So whoever holds one end finds the
// queues and the ring's memory unchanged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "lichen/coro/channel_ring.hpp"
#include "lichen/coro/loan.hpp"
#include "lichen/coro/waiting.hpp"

namespace lichen::coro {

// What a channel's waits are lent to, see Serving.
class Server {
 public:
  explicit Server(Strand& strand) noexcept : strand_{strand} {}

 protected:
  // Under the channel's lock: somebody begins to wait; nobody waits any more.
  void waits(const Waiter& waiter) noexcept { waits(waiter, {.lane = waiter.strand().lane()}); }
  void waits(const Waiter& waiter, Lent lent) noexcept {
    if ((lent.lane != strand_.lane() || strand_.hurried()) && &waiter.strand() != &strand_)
      hooks::lend(loan_, strand_, lent);
  }
  void nobody_waits() noexcept {
    if (loan_.to) hooks::take_back(loan_);
  }
  template <class T>
  friend class Channel;

 private:
  Strand& strand_;
  Loan loan_;
};

// Any number of senders and receivers, on any cores; first come, first served on both sides. MUST
// outlive those who wait. A message is moved, never copied, and no message is lost: one that a
// stopped or outrun receiver did not take stays for the next, one that was not sent stays with its
// sender.
template <class T>
class Channel {
  static_assert(std::is_nothrow_move_constructible_v<T>);

  using BothEnds = typename detail::ChannelRing<T>::BothEnds;
  using BothEndsStill = typename detail::ChannelRing<T>::BothEndsStill;
  using Outbox = detail::Outbox<T>;
  using Inbox = detail::Inbox<T>;

 public:
  // `capacity`: messages that may wait in the channel; 0 hands over from task to task, `unbounded`
  // grows with need. The buffer is allocated by the first message that needs it.
  explicit Channel(std::size_t capacity) noexcept : ring_{capacity} {}
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  class SendOperation;
  class SendAllOperation;
  class ReceiveOperation;
  class ReceiveSomeOperation;

  // Waits for room. Error::no_memory when the buffer cannot grow, the close reason once closed.
  Await<SendOperation> send(T message) noexcept {
    return Await<SendOperation>{*this, std::move(message)};
  }
  // Sends all messages in order, as many at a time as there is room: the cheap way across cores.
  // Yields how many were sent; fewer than all when the channel was closed or the task stopped
  // meanwhile. The span stays borrowed; the messages sent are moved from.
  Await<SendAllOperation> send_all(std::span<T> messages) noexcept {
    return Await<SendAllOperation>{*this, messages};
  }
  // Waits for a message. The close reason once closed and empty.
  Await<ReceiveOperation> receive() noexcept { return Await<ReceiveOperation>{*this}; }
  // Waits for at least one message and takes as many as are there and fit; assigns them to the
  // front of `into` (not empty) and yields how many.
  Await<ReceiveSomeOperation> receive_some(std::span<T> into) noexcept
    requires std::is_trivially_copyable_v<T>
  {
    return Await<ReceiveSomeOperation>{*this, into};
  }

  // Without waiting; Error::would_block when that cannot be done. On an error `message` is
  // untouched.
  Result<void> try_send(T& message) noexcept {
    Outbox out{&message, 1, Error{}};
    if (!offer(out, nullptr)) return Error::would_block;
    if (out.error != Error{}) return out.error;
    return {};
  }
  Result<T> try_receive() noexcept {
    alignas(T) std::byte storage[sizeof(T)];
    Inbox in{reinterpret_cast<T*>(storage), 1, 0, Error{}};
    if (!collect(in, nullptr)) return Error::would_block;
    if (in.error != Error{}) return in.error;
    return take_from(reinterpret_cast<T*>(storage));
  }

  // Senders fail with `reason` from now on; receivers do once they have taken what is there.
  // Idempotent: the first reason stays.
  void close(Error reason = Error::closed) noexcept {
    Woken woken;
    {
      BothEndsStill guard{ring_};
      if (closed_ != Error{}) return;
      closed_ = reason;
      while (Waiter* waiter = senders_.pop_front()) {
        if (!waiter->claim()) continue;
        static_cast<Outbox*>(waiter->slot)->error = reason;
        woken.push(*waiter);
      }
      while (Waiter* waiter = receivers_.pop_front()) {
        if (!waiter->claim()) continue;
        static_cast<Inbox*>(waiter->slot)->error = reason;
        woken.push(*waiter);
      }
    }
    woken.complete_all();
  }
  [[nodiscard]] bool closed() noexcept {
    BothEndsStill guard{ring_};
    return closed_ != Error{};
  }
  // Names the task that the other side waits for: while somebody more urgent waits to receive from
  // it, or for room, it runs as urgently. Null: nobody. See Serving.
  void set_server(Server* server) noexcept {
    BothEndsStill guard{ring_};
    if (server_) server_->nobody_waits();
    server_ = server;
    if (!server) return;
    for (const Waiter& waiter : senders_) server->waits(waiter);
    for (const Waiter& waiter : receivers_) server->waits(waiter);
  }
  // Messages that wait in the channel.
  [[nodiscard]] std::size_t size() noexcept { return BothEnds{ring_}.size(); }

 private:
  static T take_from(T* storage) noexcept {
    T value = std::move(*storage);
    std::destroy_at(storage);
    return value;
  }

  // The common cases, in few instructions and with one end held. `undecided` leaves everything to
  // offer() or collect(); `nothing`: there is no room, or no message, and nothing else can happen.
  enum class Quick : std::uint8_t { done, nothing, undecided };
  Quick send_one(T& message) noexcept {
    if (!cores_share && hand_over_at_once(message)) return Quick::done;
    return put_one(message);
  }
  bool hand_over_at_once(T& message) noexcept {
    // A message that does more than copy itself might enter a section of its own.
    if constexpr (std::is_trivially_copyable_v<T>) {
      Core& core = *this_core();
      const ShortSection section{core};
      Waiter* receiver = receivers_.front();
      if (!receiver || server_ || !receiver->complete_at_once(core)) return false;
      hand_over_to(*receiver, message);
      return true;
    }
    return false;
  }
  [[gnu::noinline]] Quick put_one(T& message) noexcept __attribute__((no_thread_safety_analysis)) {
    const PreemptionOff section;
    const std::uint64_t sent = ring_.senders_end.lock();
    if (Waiter* receiver = receivers_.front()) {
      if (receiver->several()) [[unlikely]] {
        ring_.senders_end.unlock(sent);
        return Quick::undecided;
      }
      {
        const BothEndsStill ends{ring_, sent};
        hand_over_to(*receiver, message);
        look_at_server();
      }
      receiver->complete(section.core());
      return Quick::done;
    }
    if (closed_ != Error{} || ring_.room(sent, 1) == 0) [[unlikely]] {
      ring_.senders_end.unlock(sent);
      return Quick::undecided;
    }
    std::construct_at(ring_.slot(sent), std::move(message));
    ring_.senders_end.unlock(sent + 1);
    return Quick::done;
  }
  static void hand_over_to(Waiter& receiver, T& message) noexcept {
    receiver.node.unlink();
    auto& in = *static_cast<Inbox*>(receiver.slot);
    std::construct_at(in.next, std::move(message));
    in.taken = 1;
  }
  Quick send_some(Outbox& out) noexcept __attribute__((no_thread_safety_analysis)) {
    const PreemptionOff section;
    const std::uint64_t sent = ring_.senders_end.lock();
    std::size_t n = 0;
    const bool decided = receivers_.empty() && closed_ == Error{} && ring_.has_all_its_slots();
    if (decided) {
      n = ring_.room(sent, out.left);
      ring_.put(out, sent, n);
    }
    ring_.senders_end.unlock(sent + n);
    if (out.left == 0 && decided) return Quick::done;
    return decided ? Quick::nothing : Quick::undecided;
  }
  Quick receive_one(T* into) noexcept {
    // Where only this core looks, a glance will do: whoever then waits looks once more.
    if (!cores_share && ring_.senders_end.level_with(ring_.receivers_end) && senders_.empty() &&
        closed_ == Error{})
      return Quick::nothing;
    return take_one(into);
  }
  [[gnu::noinline]] Quick take_one(T* into) noexcept {
    return take_up_to(1, [this, into](std::uint64_t received, std::size_t) {
      T* message = ring_.slot(received);
      std::construct_at(into, std::move(*message));
      std::destroy_at(message);
    });
  }
  Quick take_some(Inbox& in) noexcept {
    return take_up_to(in.room, [this, &in](std::uint64_t received, std::size_t n) {
      ring_.take(in, received, n);
    });
  }
  // take(received, n): n messages are there behind the `received` first ones.
  template <class Take>
  [[gnu::always_inline]] Quick take_up_to(std::size_t most, Take take) noexcept
      __attribute__((no_thread_safety_analysis)) {
    const PreemptionOff section;
    const std::uint64_t received = ring_.receivers_end.lock();
    Quick outcome = Quick::undecided;
    std::size_t n = 0;
    if (senders_.empty()) [[likely]] {
      n = ring_.there(received, most);
      if (n > 0) {
        take(received, n);
        outcome = Quick::done;
      } else if (closed_ == Error{}) {
        outcome = Quick::nothing;
      }
    }
    ring_.receivers_end.unlock(received + n);
    return outcome;
  }
  // Queues a receiver where nothing else can happen. In await_suspend(), without preemption.
  bool wait_for_one(Inbox& in, Waiter& waiter) noexcept {
    if (cores_share) return wait_for_one_locked(in, waiter);
    return ring_.senders_end.level_with(ring_.receivers_end) && queue_receiver(in, waiter);
  }
  [[gnu::noinline]] bool wait_for_one_locked(Inbox& in, Waiter& waiter) noexcept {
    const BothEndsStill ends{ring_, in_section};
    return ends.ring_is_empty() && queue_receiver(in, waiter);
  }
  // With both ends held and nothing in the ring.
  bool queue_receiver(Inbox& in, Waiter& waiter) noexcept {
    if (!senders_.empty() || closed_ != Error{} || server_ || waiter.stop_requested()) return false;
    waiter.slot = &in;
    receivers_.push_back(waiter);
    return true;
  }
  // As offer() or collect() leave it undone.
  void queue(WaitQueue& waiters, Waiter& waiter, void* slot) noexcept {
    waiter.slot = slot;
    waiters.push_back(waiter);
    if (server_) server_->waits(waiter);
  }
  // Called when a waiter was taken from its queue.
  void look_at_server() noexcept {
    if (server_ && receivers_.empty() && senders_.empty()) [[unlikely]]
      server_->nobody_waits();
  }
  // Hands over, buffers, or queues `waiter` (if any). True when complete: all gone, or failed.
  [[gnu::noinline]] bool offer(Outbox& out, Waiter* waiter, bool* refused = nullptr) noexcept {
    const PreemptionOff section;  // to the end: who was handed something is woken first
    Waiter* receiver = nullptr;
    Woken more;
    bool complete = false;
    {
      BothEnds ends{ring_, in_section};
      if (closed_ != Error{}) {
        out.error = closed_;
        complete = claim_own(waiter, refused);
      } else {
        const bool can_progress =
            out.left > 0 && (ends.size() < ring_.capacity() || has_partner(receivers_, waiter));
        if (can_progress && waiter && !waiter->claim()) {
          *refused = true;
          return false;
        }
        while (can_progress && out.left > 0) {
          Waiter* next = receivers_.pop_front();
          if (!next) break;
          if (!next->claim()) continue;
          detail::hand_over(out, *static_cast<Inbox*>(next->slot));
          if (receiver)
            more.push(*next);
          else
            receiver = next;
        }
        if (!ring_.buffer(out, ends)) out.error = Error::no_memory;
        if (receiver) look_at_server();
        complete = out.left == 0 || out.error != Error{};
        if (!complete && waiter) {
          // A select whose partner turned out to be taken is decided and must start over.
          if ((can_progress && waiter->several()) || waiter->stop_requested()) {
            *refused = true;
          } else {
            queue(senders_, *waiter, &out);
          }
        }
      }
    }
    if (receiver) receiver->complete();
    more.complete_all();
    return complete;
  }

  // Takes what is there, or queues `waiter` (if any). True when complete: something taken, or
  // failed.
  [[gnu::noinline]] bool collect(Inbox& in, Waiter* waiter, bool* refused = nullptr) noexcept {
    const PreemptionOff section;
    Waiter* sender = nullptr;
    Woken more;
    bool complete = false;
    {
      BothEnds ends{ring_, in_section};
      const bool can_progress =
          ends.size() > 0 || closed_ != Error{} || has_partner(senders_, waiter);
      if (can_progress && waiter && !waiter->claim()) {
        *refused = true;
        return false;
      }
      if (const std::size_t n = std::min(in.room, ends.size()); n > 0) {
        ring_.take(in, ends.received, n);
        ends.received += n;
      }
      // Waiting senders fill what room there is now, in the receiver and in the buffer.
      while (can_progress && (in.room > 0 || ends.size() < ring_.capacity()) && !senders_.empty()) {
        Waiter* next = senders_.front();
        auto& out = *static_cast<Outbox*>(next->slot);
        next->node.unlink();
        if (!next->claim()) continue;
        if (in.room > 0) detail::hand_over(out, in);
        if (!ring_.buffer(out, ends) || out.left > 0) {
          senders_.push_front(*next);
          break;
        }
        if (sender)
          more.push(*next);
        else
          sender = next;
      }
      if (sender) look_at_server();
      if (in.taken == 0 && closed_ != Error{}) in.error = closed_;
      complete = in.taken > 0 || in.error != Error{};
      if (!complete && waiter) {
        if ((can_progress && waiter->several()) || waiter->stop_requested()) {
          *refused = true;
        } else {
          queue(receivers_, *waiter, &in);
        }
      }
    }
    if (sender) sender->complete_in_order();
    more.complete_all();
    return complete;
  }
  Enqueued offer_or_wait(Outbox& out, Waiter& waiter) noexcept {
    bool refused = false;
    if (offer(out, &waiter, &refused)) return Enqueued::complete;
    return refused ? Enqueued::refused : Enqueued::waiting;
  }
  [[gnu::noinline]] Enqueued collect_or_wait(Inbox& in, Waiter& waiter) noexcept {
    bool refused = false;
    if (collect(in, &waiter, &refused)) return Enqueued::complete;
    return refused ? Enqueued::refused : Enqueued::waiting;
  }
  // A select that both sends and receives on one channel is no partner for itself.
  static bool has_partner(WaitQueue& queue, const Waiter* waiter) noexcept {
    if (!waiter || !waiter->several()) return !queue.empty();
    for (const Waiter& other : queue)
      if (!other.same_wait(*waiter)) return true;
    return false;
  }
  static bool claim_own(Waiter* waiter, bool* refused) noexcept {
    if (waiter && !waiter->claim()) {
      *refused = true;
      return false;
    }
    return true;
  }

  bool dequeue(Waiter& waiter) noexcept {
    const BothEndsStill guard{ring_};
    if (!waiter.node.is_linked()) return false;
    waiter.node.unlink();
    look_at_server();
    return true;
  }

  void hurry(Waiter& waiter, Lent lent) noexcept {
    const BothEndsStill guard{ring_};
    if (server_ && waiter.node.is_linked()) server_->waits(waiter, lent);
  }

  detail::ChannelRing<T> ring_;
  Error closed_{};
  WaitQueue senders_;
  WaitQueue receivers_;
  Server* server_ = nullptr;

 public:
  class SendOperation {
   public:
    using Value = void;
    SendOperation(Channel& channel, T message) noexcept
        : channel_{channel}, message_{std::move(message)} {
      out_.error = Error{};
    }
    bool try_now() noexcept {
      return channel_.send_one(message_) == Quick::done || channel_.offer(whole(), nullptr);
    }
    Enqueued enqueue(Waiter& waiter) noexcept { return channel_.offer_or_wait(whole(), waiter); }
    bool dequeue(Waiter& waiter) noexcept { return channel_.dequeue(waiter); }
    void hurry(Waiter& waiter, Lent lent) noexcept { channel_.hurry(waiter, lent); }
    Result<void> result() noexcept {
      if (out_.error != Error{}) return out_.error;
      return {};
    }

   private:
    // The common case needs nothing of it.
    Outbox& whole() noexcept {
      out_.next = &message_;
      out_.left = 1;
      return out_;
    }

    Channel& channel_;
    T message_;
    Outbox out_;
  };

  class SendAllOperation {
   public:
    using Value = std::size_t;
    SendAllOperation(Channel& channel, std::span<T> messages) noexcept
        : channel_{channel},
          total_{messages.size()},
          out_{messages.data(), messages.size(), Error{}} {}
    bool try_now() noexcept {
      switch (channel_.send_some(out_)) {
        case Quick::done: return true;
        case Quick::nothing: return false;
        case Quick::undecided: break;
      }
      return channel_.offer(out_, nullptr);
    }
    Enqueued enqueue(Waiter& waiter) noexcept { return channel_.offer_or_wait(out_, waiter); }
    bool dequeue(Waiter& waiter) noexcept { return channel_.dequeue(waiter); }
    void hurry(Waiter& waiter, Lent lent) noexcept { channel_.hurry(waiter, lent); }
    // Some were sent before the task was stopped: that is what it must know.
    [[nodiscard]] bool partial() const noexcept { return out_.left < total_; }
    Result<std::size_t> result() noexcept {
      const std::size_t sent = total_ - out_.left;
      if (out_.error != Error{} && sent == 0) return out_.error;
      return sent;
    }

   private:
    Channel& channel_;
    std::size_t total_;
    Outbox out_;
  };

  class ReceiveOperation {
   public:
    using Value = T;
    explicit ReceiveOperation(Channel& channel) noexcept : channel_{channel} {
      in_.taken = 0;
      in_.error = Error{};
    }
    ReceiveOperation(const ReceiveOperation&) = delete;
    ~ReceiveOperation() {
      if (in_.taken) std::destroy_at(place());
    }
    bool try_now() noexcept {
      switch (channel_.receive_one(place())) {
        case Quick::done: in_.taken = 1; return true;
        case Quick::nothing: return false;
        case Quick::undecided: break;
      }
      return channel_.collect(empty(), nullptr);
    }
    Enqueued enqueue(Waiter& waiter) noexcept {
      if (channel_.wait_for_one(empty(), waiter)) [[likely]]
        return Enqueued::waiting;
      return channel_.collect_or_wait(in_, waiter);
    }
    bool dequeue(Waiter& waiter) noexcept { return channel_.dequeue(waiter); }
    void hurry(Waiter& waiter, Lent lent) noexcept { channel_.hurry(waiter, lent); }
    Result<T> result() noexcept {
      if (!in_.taken) return in_.error;
      in_.taken = 0;
      return take_from(place());
    }

   private:
    T* place() noexcept { return reinterpret_cast<T*>(storage_); }
    // A message that is there needs nothing of it.
    Inbox& empty() noexcept {
      in_.next = place();
      in_.room = 1;
      return in_;
    }

    Channel& channel_;
    alignas(T) std::byte storage_[sizeof(T)];
    Inbox in_;
  };

  class ReceiveSomeOperation {
   public:
    using Value = std::size_t;
    ReceiveSomeOperation(Channel& channel, std::span<T> into) noexcept
        : channel_{channel}, in_{into.data(), into.size(), 0, Error{}} {}
    bool try_now() noexcept {
      switch (channel_.take_some(in_)) {
        case Quick::done: return true;
        case Quick::nothing: return false;
        case Quick::undecided: break;
      }
      return channel_.collect(in_, nullptr);
    }
    Enqueued enqueue(Waiter& waiter) noexcept { return channel_.collect_or_wait(in_, waiter); }
    bool dequeue(Waiter& waiter) noexcept { return channel_.dequeue(waiter); }
    void hurry(Waiter& waiter, Lent lent) noexcept { channel_.hurry(waiter, lent); }
    Result<std::size_t> result() noexcept {
      if (!in_.taken) return in_.error;
      return in_.taken;
    }

   private:
    Channel& channel_;
    Inbox in_;
  };
};

// const Serving serving{channel}: the running task is the one that answers. It inherits the urgency
// of whoever waits on the channel meanwhile. MUST be destroyed by the same task, before the
// channel.
template <class T>
class [[nodiscard]] Serving : Server {
 public:
  explicit Serving(Channel<T>& channel) noexcept
      : Server{*this_core()->current()}, channel_{channel} {
    channel_.set_server(this);
  }
  Serving(const Serving&) = delete;
  Serving& operator=(const Serving&) = delete;
  ~Serving() { channel_.set_server(nullptr); }

 private:
  Channel<T>& channel_;
};

}  // namespace lichen::coro

namespace lichen {
using coro::Channel;
using coro::Serving;
using coro::unbounded;
}  // namespace lichen
