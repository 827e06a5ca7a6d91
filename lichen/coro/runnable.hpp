// Runnable: the one thing a core's ready queue holds (design law 2, "one ready queue").
#pragma once

#include <coroutine>
#include <cstddef>

namespace lichen::coro {

struct Strand;

// Whatever can be resumed. A Runnable MUST lie two pointers behind the start of a frame whose first
// word is the function that resumes it; that is how the compiler lays out a coroutine with its
// promise, and what a preempted context or a foreign thread imitates with a ResumeFrame.
// A Runnable is in at most one queue at a time.
struct Runnable {
  Runnable* next;  // set by the queue it is in
  Strand* strand;  // whose work it is; null for the runtime's own. Set before it is resumed

  static constexpr std::size_t frame_header = 2 * sizeof(void*);

  [[nodiscard]] std::coroutine_handle<> handle() noexcept {
    void* frame = reinterpret_cast<std::byte*>(this) - frame_header;
    // The compiler must not see whose frame it is: it calls coroutines by a convention of its own,
    // which on the processors we know agrees with the ordinary one for a single pointer, and it
    // takes a call of an ordinary function in that way, where it can see one, for undefined
    // behaviour.
    asm("" : "+r"(frame));
    return std::coroutine_handle<>::from_address(frame);
  }
  void resume() noexcept { handle().resume(); }
};

// A Runnable that is not a coroutine: `resume` is called with the address of this record.
struct ResumeFrame {
  void (*resume_function)(void* frame) noexcept;
  void* reserved = nullptr;
  Runnable runnable{nullptr, nullptr};
};
static_assert(offsetof(ResumeFrame, runnable) == Runnable::frame_header);

// Singly linked FIFO of Runnables; owner is one core (or a lock).
class RunQueue {
 public:
  [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  void push_back(Runnable& runnable) noexcept {
    runnable.next = nullptr;
    if (tail_)
      tail_->next = &runnable;
    else
      head_ = &runnable;
    tail_ = &runnable;
    ++size_;
  }
  void push_front(Runnable& runnable) noexcept {
    runnable.next = head_;
    head_ = &runnable;
    if (!tail_) tail_ = &runnable;
    ++size_;
  }
  // MUST NOT be empty.
  Runnable& pop_front() noexcept {
    Runnable& first = *head_;
    head_ = first.next;
    if (!head_) tail_ = nullptr;
    --size_;
    return first;
  }
  void append(RunQueue& other) noexcept {
    if (other.empty()) return;
    if (tail_)
      tail_->next = other.head_;
    else
      head_ = other.head_;
    tail_ = other.tail_;
    size_ += other.size_;
    other = {};
  }
  // Takes the first n (at most size()) off into a queue of their own; walks n links.
  RunQueue split_front(std::size_t n) noexcept {
    RunQueue front;
    while (n-- > 0) front.push_back(pop_front());
    return front;
  }
  // Takes out the Runnable of a strand; null when it is not here. Walks the queue.
  Runnable* remove(const Strand& strand) noexcept {
    Runnable* before = nullptr;
    for (Runnable* runnable = head_; runnable; before = runnable, runnable = runnable->next) {
      if (runnable->strand != &strand) continue;
      (before ? before->next : head_) = runnable->next;
      if (tail_ == runnable) tail_ = before;
      --size_;
      return runnable;
    }
    return nullptr;
  }
  [[nodiscard]] Runnable* front() const noexcept { return head_; }

 private:
  Runnable* head_ = nullptr;
  Runnable* tail_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace lichen::coro
