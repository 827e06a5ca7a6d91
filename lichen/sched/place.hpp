// How tasks come into groups and classes.
#pragma once

#include <coroutine>

#include "lichen/coro/loan.hpp"
#include "lichen/coro/waiting.hpp"
#include "lichen/sched/group.hpp"

namespace lichen::sched {

// A group of the machine that runs the caller, a task. Errors: as Group::create.
Result<Group::Handle> make_group(const GroupOptions& options) noexcept;

// Moves the running task to another lane; what it starts from then on is there, too. Only for
// lanes of groups (Group::lane); it goes behind what is ready there.
class Enter {
 public:
  explicit Enter(LaneId lane) noexcept : lane_{lane} {}
  static bool await_ready() noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> handle) const noexcept {
    coro::change_lane(*handle.promise().strand, lane_);
    coro::yield().await_suspend(handle);
  }
  static void await_resume() noexcept {}

 private:
  LaneId lane_;
};

// co_await enter(group, Qos::utility). The group MUST live as long as the task is in it.
inline Enter enter(const Group& group, Qos qos) noexcept { return Enter{group.lane(qos)}; }
// Moves a group between foreground and background, on all cores at once: those that run something
// less urgent are interrupted. From any thread.
void set_foreground(Group& group, bool foreground) noexcept;

}  // namespace lichen::sched
