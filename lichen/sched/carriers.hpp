// Carriers: the stacks that a core's executor runs on.
#pragma once

#include <cstddef>
#include <span>

#include "lichen/hal/hal.hpp"

namespace lichen::sched {

// A stack with a flow of control that is, or was, in the executor's loop. When a task is preempted
// the carrier it runs on is set aside with it, and the loop goes on on another one; when the task
// is resumed, the carrier that resumes it is free again.
struct Carrier {
  hal::Context context;
  std::span<std::byte> stack{};  // empty: the thread's own
  Carrier* next_free = nullptr;
};

// The carriers of one of a core's threads. Used on the core only.
class Carriers {
 public:
  // `loop` runs on each new stack and MUST NOT return.
  Carriers(hal::StackPool* pool, hal::ContextEntry loop, void* executor) noexcept
      : pool_{pool}, loop_{loop}, executor_{executor} {}
  Carriers(const Carriers&) = delete;
  Carriers& operator=(const Carriers&) = delete;
  // All but the first MUST be free.
  ~Carriers();

  [[nodiscard]] Carrier& running() noexcept { return *running_; }
  [[nodiscard]] bool on_first() const noexcept { return running_ == &first_; }

  // How many prepare() may have yet if `cores` share evenly what the pool has left.
  [[nodiscard]] std::size_t left(unsigned cores) const noexcept;
  // A carrier to go on with; null when no stack is left.
  [[nodiscard]] Carrier* prepare() noexcept;
  // Sets the running carrier aside and goes on with one from prepare(); returns when the one set
  // aside is resumed.
  void set_aside(Carrier& next) noexcept;
  // Goes on with a carrier that was set aside; the running one is free. Returns when it is needed
  // again.
  void resume(Carrier& carrier) noexcept;
  // One from prepare() is not needed after all.
  void give_back(Carrier& carrier) noexcept;
  // Leaves the running carrier for good and goes on with the first one, which is free...
  [[noreturn]] void leave_to_first() noexcept;
  // ... or was set aside.
  [[noreturn]] void finish() noexcept;

 private:
  void add_free(Carrier& carrier) noexcept;

  hal::StackPool* const pool_;  // null: none to be had
  const hal::ContextEntry loop_;
  void* const executor_;
  Carrier first_;
  Carrier* running_ = &first_;
  Carrier* free_ = nullptr;
  std::size_t free_count_ = 0;
};

}  // namespace lichen::sched
