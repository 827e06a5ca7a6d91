// Requests of whoever sits at the console: Ctrl-C asks to stop.
#pragma once

#include <atomic>

#include "lichen/base/result.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/io/system.hpp"

namespace lichen::image {

// Core 0 takes what is typed, from the first next() on; before that nobody reads it.
class ConsoleRequests {
 public:
  ConsoleRequests() noexcept = default;
  ConsoleRequests(const ConsoleRequests&) = delete;
  ConsoleRequests& operator=(const ConsoleRequests&) = delete;
  // On core 0.
  ~ConsoleRequests();

  // On any core. Where the console takes no input nobody asks, ever.
  Task<Result<io::Request>> next();
  // Somebody has typed it elsewhere. On core 0.
  void ask_to_stop() noexcept;
  // On core 0, between two tasks: true if there was anything.
  bool deliver() noexcept;

 private:
  void listen() noexcept;
  static void take(void* requests) noexcept;

  std::atomic<bool> listening_{false};
  bool attached_ = false;
  std::atomic<bool> stop_wanted_{false};
  std::atomic<bool> told_{false};
  coro::Event news_;
};

}  // namespace lichen::image
