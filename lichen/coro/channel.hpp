// Channel<T>: messages between tasks, in order. Bounded, unbounded, or rendezvous (capacity 0).
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "lichen/coro/loan.hpp"
#include "lichen/coro/waiting.hpp"

namespace lichen::coro {

inline constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();

// What a channel's waits are lent to, see Serving.
class Server {
 public:
  explicit Server(Strand& strand) noexcept : strand_{strand} {}

 protected:
  // Under the channel's lock: somebody begins to wait; nobody waits any more.
  void waits(const Waiter& waiter) noexcept {
    const LaneId lane = waiter.waiting->waiter->strand->lane();
    if (lane != strand_.lane() && waiter.waiting->waiter->strand != &strand_)
      hooks::lend(loan_, strand_, lane);
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
  static_assert(alignof(T) <= 16, "the buffer comes from the frame pool");

  // What a waiting sender still has to hand over, and where a waiting receiver wants it.
  struct Outbox {
    T* next;
    std::size_t left;
    Error error{};
  };
  struct Inbox {
    T* next;  // raw storage
    std::size_t room;
    std::size_t taken = 0;
    Error error{};
  };

 public:
  // `capacity`: messages that may wait in the channel; 0 hands over from task to task, `unbounded`
  // grows with need. The buffer is allocated by the first message that needs it.
  explicit Channel(std::size_t capacity) noexcept : capacity_{capacity} {}
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  ~Channel() {
    while (size_ > 0) pop_into_nothing();
    if (ring_) hooks::free_frame(ring_, slots_ * sizeof(T));
  }

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
    Outbox out{&message, 1};
    if (!offer(out, nullptr)) return Error::would_block;
    if (out.error != Error{}) return out.error;
    return {};
  }
  Result<T> try_receive() noexcept {
    alignas(T) std::byte storage[sizeof(T)];
    Inbox in{reinterpret_cast<T*>(storage), 1};
    if (!collect(in, nullptr)) return Error::would_block;
    if (in.error != Error{}) return in.error;
    return take_from(reinterpret_cast<T*>(storage));
  }

  // Senders fail with `reason` from now on; receivers do once they have taken what is there.
  // Idempotent: the first reason stays.
  void close(Error reason = Error::closed) noexcept {
    Woken woken;
    {
      SpinGuard guard{lock_};
      if (closed_ != Error{}) return;
      closed_ = reason;
      while (Waiter* waiter = senders_.pop_front()) {
        if (!waiter->waiting->claim(waiter)) continue;
        static_cast<Outbox*>(waiter->slot)->error = reason;
        woken.push(*waiter);
      }
      while (Waiter* waiter = receivers_.pop_front()) {
        if (!waiter->waiting->claim(waiter)) continue;
        static_cast<Inbox*>(waiter->slot)->error = reason;
        woken.push(*waiter);
      }
    }
    woken.complete_all();
  }
  [[nodiscard]] bool closed() noexcept {
    SpinGuard guard{lock_};
    return closed_ != Error{};
  }
  // Names the task that the other side waits for: while somebody more urgent waits to receive from
  // it, or for room, it runs as urgently. Null: nobody. See Serving.
  void set_server(Server* server) noexcept {
    SpinGuard guard{lock_};
    if (server_) server_->nobody_waits();
    server_ = server;
    if (!server) return;
    for (const Waiter& waiter : senders_) server->waits(waiter);
    for (const Waiter& waiter : receivers_) server->waits(waiter);
  }
  // Messages that wait in the channel.
  [[nodiscard]] std::size_t size() noexcept {
    SpinGuard guard{lock_};
    return size_;
  }

 private:
  static T take_from(T* storage) noexcept {
    T value = std::move(*storage);
    std::destroy_at(storage);
    return value;
  }
  static void hand_over(Outbox& out, Inbox& in) noexcept {
    const std::size_t n = std::min(out.left, in.room);
    std::uninitialized_move_n(out.next, n, in.next);
    out.next += n;
    out.left -= n;
    in.next += n;
    in.room -= n;
    in.taken += n;
  }

  // The common cases of one message, in few instructions; false leaves everything to offer() or
  // collect().
  bool send_one(T& message) noexcept {
    SpinGuard guard{lock_};
    if (closed_ != Error{}) [[unlikely]]
      return false;
    if (Waiter* receiver = receivers_.front()) {
      if (receiver->waiting->several()) return false;
      receiver->node.unlink();
      look_at_server();
      auto& in = *static_cast<Inbox*>(receiver->slot);
      std::construct_at(in.next, std::move(message));
      in.taken = 1;
      guard.unlock();
      receiver->waiting->complete(guard.core());
      return true;
    }
    if (size_ == slots_ || size_ >= capacity_) return false;
    std::construct_at(ring_ + ((first_ + size_++) & (slots_ - 1)), std::move(message));
    return true;
  }
  enum class Quick : std::uint8_t { done, nothing, undecided };
  Quick receive_one(Inbox& in) noexcept {
    // Where only this core looks, a glance will do: whoever then waits looks once more.
    if (!cores_share && size_ == 0 && senders_.empty() && closed_ == Error{}) return Quick::nothing;
    return take_one(in);
  }
  [[gnu::noinline]] Quick take_one(Inbox& in) noexcept {
    SpinGuard guard{lock_};
    if (!senders_.empty()) [[unlikely]]
      return Quick::undecided;
    if (size_ == 0) return closed_ == Error{} ? Quick::nothing : Quick::undecided;
    T* message = ring_ + (first_++ & (slots_ - 1));
    std::construct_at(in.next, std::move(*message));
    std::destroy_at(message);
    --size_;
    in.taken = 1;
    return Quick::done;
  }
  // Queues a receiver where nothing else can happen.
  bool wait_for_one(Inbox& in, Waiter& waiter) noexcept {
    SpinGuard guard{lock_, in_section};  // in await_suspend()
    if (size_ != 0 || !senders_.empty() || closed_ != Error{} || waiter.waiting->stop_requested())
      return false;
    waiter.slot = &in;
    receivers_.push_back(waiter);
    if (server_) [[unlikely]]
      server_->waits(waiter);
    return true;
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
      SpinGuard guard{lock_};
      if (closed_ != Error{}) {
        out.error = closed_;
        complete = claim_own(waiter, refused);
      } else {
        const bool can_progress =
            out.left > 0 && (size_ < capacity_ || has_partner(receivers_, waiter));
        if (can_progress && waiter && !waiter->waiting->claim(waiter)) {
          *refused = true;
          return false;
        }
        while (can_progress && out.left > 0) {
          Waiter* next = receivers_.pop_front();
          if (!next) break;
          if (!next->waiting->claim(next)) continue;
          hand_over(out, *static_cast<Inbox*>(next->slot));
          if (receiver)
            more.push(*next);
          else
            receiver = next;
        }
        while (out.left > 0 && size_ < capacity_) {
          if (size_ == slots_ && !grow()) {
            out.error = Error::no_memory;
            break;
          }
          std::construct_at(ring_ + ((first_ + size_++) & (slots_ - 1)), std::move(*out.next++));
          --out.left;
        }
        if (receiver) look_at_server();
        complete = out.left == 0 || out.error != Error{};
        if (!complete && waiter) {
          // A select whose partner turned out to be taken is decided and must start over.
          if ((can_progress && waiter->waiting->several()) || waiter->waiting->stop_requested()) {
            *refused = true;
          } else {
            waiter->slot = &out;
            senders_.push_back(*waiter);
            if (server_) server_->waits(*waiter);
          }
        }
      }
    }
    if (receiver) receiver->waiting->complete();
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
      SpinGuard guard{lock_};
      const bool can_progress = size_ > 0 || closed_ != Error{} || has_partner(senders_, waiter);
      if (can_progress && waiter && !waiter->waiting->claim(waiter)) {
        *refused = true;
        return false;
      }
      while (in.room > 0 && size_ > 0) {
        T* message = ring_ + (first_ & (slots_ - 1));
        std::construct_at(in.next++, std::move(*message));
        std::destroy_at(message);
        ++first_;
        --size_;
        --in.room;
        ++in.taken;
      }
      // Waiting senders fill what room there is now, in the receiver and in the buffer.
      while (can_progress && (in.room > 0 || size_ < capacity_) && !senders_.empty()) {
        Waiter* next = senders_.front();
        auto& out = *static_cast<Outbox*>(next->slot);
        next->node.unlink();
        if (!next->waiting->claim(next)) continue;
        if (in.room > 0) hand_over(out, in);
        while (out.left > 0 && size_ < capacity_) {
          if (size_ == slots_ && !grow()) break;
          std::construct_at(ring_ + ((first_ + size_++) & (slots_ - 1)), std::move(*out.next++));
          --out.left;
        }
        if (out.left > 0) {
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
        if ((can_progress && waiter->waiting->several()) || waiter->waiting->stop_requested()) {
          *refused = true;
        } else {
          waiter->slot = &in;
          receivers_.push_back(*waiter);
          if (server_) server_->waits(*waiter);
        }
      }
    }
    if (sender) sender->waiting->complete_in_order();
    more.complete_all();
    return complete;
  }

  // A select that both sends and receives on one channel is no partner for itself.
  static bool has_partner(WaitQueue& queue, const Waiter* waiter) noexcept {
    if (!waiter || !waiter->waiting->several()) return !queue.empty();
    for (const Waiter& other : queue)
      if (other.waiting != waiter->waiting) return true;
    return false;
  }
  static bool claim_own(Waiter* waiter, bool* refused) noexcept {
    if (waiter && !waiter->waiting->claim(waiter)) {
      *refused = true;
      return false;
    }
    return true;
  }

  bool dequeue(Waiter& waiter) noexcept {
    SpinGuard guard{lock_};
    if (!waiter.node.is_linked()) return false;
    waiter.node.unlink();
    look_at_server();
    return true;
  }

  // Doubles the ring. Its size is a power of two; a bounded channel gets all it may need at once.
  bool grow() noexcept {
    if (capacity_ != unbounded && capacity_ > unbounded / 2) return false;
    const std::size_t slots =
        capacity_ == unbounded ? std::max<std::size_t>(slots_ * 2, 16) : std::bit_ceil(capacity_);
    if (slots > std::numeric_limits<std::size_t>::max() / sizeof(T)) return false;
    auto* ring = static_cast<T*>(hooks::allocate_frame(slots * sizeof(T)));
    if (!ring) return false;
    for (std::size_t i = 0; i < size_; ++i) {
      T* message = ring_ + ((first_ + i) & (slots_ - 1));
      std::construct_at(ring + i, std::move(*message));
      std::destroy_at(message);
    }
    if (ring_) hooks::free_frame(ring_, slots_ * sizeof(T));
    ring_ = ring;
    slots_ = slots;
    first_ = 0;
    return true;
  }
  void pop_into_nothing() noexcept {
    std::destroy_at(ring_ + (first_++ & (slots_ - 1)));
    --size_;
  }

  SpinLock lock_;
  Error closed_{};
  const std::size_t capacity_;
  std::size_t slots_ = 0;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
  T* ring_ = nullptr;
  WaitQueue senders_;
  WaitQueue receivers_;
  Server* server_ = nullptr;

 public:
  class SendOperation {
   public:
    using Value = void;
    SendOperation(Channel& channel, T message) noexcept
        : channel_{channel}, message_{std::move(message)} {}
    bool try_now() noexcept { return channel_.send_one(message_) || channel_.offer(out_, nullptr); }
    Enqueued enqueue(Waiter& waiter) noexcept {
      bool refused = false;
      if (channel_.offer(out_, &waiter, &refused)) return Enqueued::complete;
      return refused ? Enqueued::refused : Enqueued::waiting;
    }
    bool dequeue(Waiter& waiter) noexcept { return channel_.dequeue(waiter); }
    Result<void> result() noexcept {
      if (out_.error != Error{}) return out_.error;
      return {};
    }

   private:
    Channel& channel_;
    T message_;
    Outbox out_{&message_, 1};
  };

  class SendAllOperation {
   public:
    using Value = std::size_t;
    SendAllOperation(Channel& channel, std::span<T> messages) noexcept
        : channel_{channel}, total_{messages.size()}, out_{messages.data(), messages.size()} {}
    bool try_now() noexcept { return channel_.offer(out_, nullptr); }
    Enqueued enqueue(Waiter& waiter) noexcept {
      bool refused = false;
      if (channel_.offer(out_, &waiter, &refused)) return Enqueued::complete;
      return refused ? Enqueued::refused : Enqueued::waiting;
    }
    bool dequeue(Waiter& waiter) noexcept { return channel_.dequeue(waiter); }
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
    explicit ReceiveOperation(Channel& channel) noexcept : channel_{channel} {}
    ReceiveOperation(const ReceiveOperation&) = delete;
    ~ReceiveOperation() {
      if (in_.taken) std::destroy_at(reinterpret_cast<T*>(storage_));
    }
    bool try_now() noexcept {
      switch (channel_.receive_one(in_)) {
        case Quick::done: return true;
        case Quick::nothing: return false;
        case Quick::undecided: break;
      }
      return channel_.collect(in_, nullptr);
    }
    Enqueued enqueue(Waiter& waiter) noexcept {
      if (channel_.wait_for_one(in_, waiter)) [[likely]]
        return Enqueued::waiting;
      return look_again(waiter);
    }
    bool dequeue(Waiter& waiter) noexcept { return channel_.dequeue(waiter); }
    Result<T> result() noexcept {
      if (!in_.taken) return in_.error;
      in_.taken = 0;
      return take_from(reinterpret_cast<T*>(storage_));
    }

   private:
    [[gnu::noinline]] Enqueued look_again(Waiter& waiter) noexcept {
      bool refused = false;
      if (channel_.collect(in_, &waiter, &refused)) return Enqueued::complete;
      return refused ? Enqueued::refused : Enqueued::waiting;
    }

    Channel& channel_;
    alignas(T) std::byte storage_[sizeof(T)];
    Inbox in_{reinterpret_cast<T*>(storage_), 1};
  };

  class ReceiveSomeOperation {
   public:
    using Value = std::size_t;
    ReceiveSomeOperation(Channel& channel, std::span<T> into) noexcept
        : channel_{channel}, in_{into.data(), into.size()} {}
    bool try_now() noexcept { return channel_.collect(in_, nullptr); }
    Enqueued enqueue(Waiter& waiter) noexcept {
      bool refused = false;
      if (channel_.collect(in_, &waiter, &refused)) return Enqueued::complete;
      return refused ? Enqueued::refused : Enqueued::waiting;
    }
    bool dequeue(Waiter& waiter) noexcept { return channel_.dequeue(waiter); }
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
