// UringLoop: one core with a ring, for the tests of the driver. It defines coro's hooks, counts the frames
// that are alive, and sees to it that nothing is left when a test ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "lichen/coro/scope.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/driver/linux/uring_core.hpp"

namespace lichen::driver::test {

inline std::size_t frames_alive = 0;
inline std::size_t frames_until_failure = SIZE_MAX;  // so many more allocations succeed

// Descriptors that the process has open.
std::size_t open_descriptors();

class UringLoop final : public coro::Core {
 public:
  explicit UringLoop(const UringOptions& options = {});
  ~UringLoop();

  [[nodiscard]] UringCore& uring() noexcept { return *uring_; }

  // Runs a task to its end and yields its result.
  template <class T>
  Result<typename Task<T>::Value> run(Task<T> task) {
    coro::Scope scope{coro::Scope::Shielded{}};
    if (!task.has_frame()) return Error::no_memory;
    scope.start(task);
    while (scope.active() > 0) step();
    return task.take_result();
  }
  // Runs until the kernel refers to none of our sockets any more.
  void settle();
  void step();

 private:
  coro::Runnable* pick() noexcept {
    if (next_) return std::exchange(next_, nullptr);
    return ready_.empty() ? nullptr : &ready_.pop_front();
  }

  std::unique_ptr<UringCore> uring_;
};

}  // namespace lichen::driver::test
