// Async stack traces: where a suspended task waits, leaf to root, across the scopes that spawned
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "lichen/base/function_ref.hpp"
#include "lichen/coro/scope.hpp"

namespace lichen::coro {

struct TraceLine {
  enum class Kind : std::uint8_t {
    awaits,   // this function waits here for the line before it
    spawned,  // the task of the lines before it was spawned here
  };
  Kind kind = Kind::awaits;
  const char* function = "";
  const char* file = "";
  std::uint32_t line = 0;
};

// Fills `into` with the trace of a strand that waits, leaf first; returns the number of lines, at
// most into.size(). 0 when the strand does not wait at the moment. May be called on any core.
std::size_t trace(Strand& strand, std::span<TraceLine> into) noexcept;
// Only the strand's own frames and where it was spawned: what a visitor of for_each_strand() may
// ask for.
std::size_t trace_strand(Strand& strand, std::span<TraceLine> into) noexcept;
// Of a strand that runs, or is set aside, somewhere in the middle of its own code: where it was
// spawned, and what its parents wait for. By whoever keeps it from going on meanwhile.
std::size_t trace_ancestors(const Strand& strand, std::span<TraceLine> into) noexcept;
// The trace of the running task, from the caller of `co_await current_trace(...)` on.
class CurrentTrace {
 public:
  explicit CurrentTrace(std::span<TraceLine> into) noexcept : into_{into} {}
  static bool await_ready() noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> handle) noexcept {
    count_ = walk(handle.promise(), into_);
    return false;
  }
  [[nodiscard]] std::size_t await_resume() const noexcept { return count_; }

 private:
  static std::size_t walk(const PromiseBase& leaf, std::span<TraceLine> into) noexcept;
  std::span<TraceLine> into_;
  std::size_t count_ = 0;
};
inline CurrentTrace current_trace(std::span<TraceLine> into) noexcept { return CurrentTrace{into}; }

// Calls `visit` for every strand below a scope, parents before children, with its depth (0:
// children of the scope). The visitor MUST NOT suspend, spawn or stop; locks are held.
void for_each_strand(Scope& scope, base::FunctionRef<void(Strand&, unsigned depth)> visit) noexcept;

// "  file.cpp:12  in function" without the path's folders; for logs. Returns the part of `into`
// used.
std::string_view format_line(const TraceLine& line, std::span<char> into) noexcept;

}  // namespace lichen::coro

namespace lichen {
using coro::current_trace;
using coro::TraceLine;
}  // namespace lichen
