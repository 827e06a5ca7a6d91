// PromiseBase: what every coroutine frame of a Task begins with.
#pragma once

#include <coroutine>
#include <cstddef>
#include <new>
#include <source_location>
#include <utility>

#include "lichen/base/result.hpp"
#include "lichen/coro/runnable.hpp"
#include "lichen/coro/strand.hpp"

namespace lichen::coro {

// Frames come from the frame pool; a frame that cannot be had makes a null Task, which yields
// Error::no_memory when it is awaited.
class PooledFrame {
 public:
  static void* operator new(std::size_t size) noexcept { return hooks::allocate_frame(size); }
  static void operator delete(void* frame, std::size_t size) noexcept {
    hooks::free_frame(frame, size);
  }
  // For frames that hold over-aligned objects. With -fcoro-aligned-allocation the compiler prefers
  // these for all frames, and the alignment is a constant there.
  static void* operator new(std::size_t size, std::align_val_t alignment) noexcept {
    if (static_cast<std::size_t>(alignment) <= pool_alignment) return hooks::allocate_frame(size);
    return allocate_aligned(size, static_cast<std::size_t>(alignment));
  }
  static void operator delete(void* frame, std::size_t size, std::align_val_t alignment) noexcept {
    if (static_cast<std::size_t>(alignment) <= pool_alignment)
      hooks::free_frame(frame, size);
    else
      free_aligned(frame, size, static_cast<std::size_t>(alignment));
  }

 private:
  static constexpr std::size_t pool_alignment = 16;
  static void* allocate_aligned(std::size_t size, std::size_t alignment) noexcept;
  static void free_aligned(void* frame, std::size_t size, std::size_t alignment) noexcept;
};

template <class T>
class Task;

class PromiseBase : public Runnable, public PooledFrame {
 public:
  // Nothing is initialized: whoever starts the coroutine sets what it needs, and a frame is made
  // for every call.
  PromiseBase() noexcept {}
  PromiseBase(const PromiseBase&) = delete;
  PromiseBase& operator=(const PromiseBase&) = delete;
  ~PromiseBase() {}

  // Remembers where the coroutine suspends, for stack traces, and refuses to compile in a critical
  // section (-Wthread-safety).
  template <class Awaitable>
  Awaitable&& await_transform(Awaitable&& awaitable,
                              std::source_location where = std::source_location::current()) noexcept
      __attribute__((locks_excluded(no_suspend))) {
    where_ = where;
    return static_cast<Awaitable&&>(awaitable);
  }
  // A task is awaited once: co_await f(), or co_await std::move(task).
  template <class T>
  void await_transform(Task<T>& task, std::source_location = {}) = delete;
  [[noreturn]] void unhandled_exception() noexcept {
    hooks::fatal("an exception left a coroutine");
  }

  // The frame that awaits this one; null for the root of a strand.
  PromiseBase* parent = nullptr;
  [[nodiscard]] const std::source_location& where() const noexcept { return where_; }

  // Becomes the root of a strand of its own. MUST NOT have started.
  Strand& become_root(Scope& scope, std::source_location spawned_at, LaneId lane,
                      Core* pinned) noexcept {
    parent = nullptr;
    strand = std::construct_at(&root_, scope, spawned_at, lane, pinned);
    return root_;
  }
  // The promise that became the root of this strand.
  static PromiseBase& of_root(Strand& strand) noexcept {
    return *base::holder_of<PromiseBase, &PromiseBase::root_>(&strand);
  }

 private:
  union {
    std::source_location where_;  // of the latest co_await
  };
  union {
    Strand root_;  // alive in the root of a strand
  };
};

// Ends a strand: reports the error (Error{} for none) to its scope, destroys the frame. Defined
// with Scope.
void finish_strand(PromiseBase& root, Error error) noexcept;

template <class Promise>
std::coroutine_handle<Promise> handle_of(Promise& promise) noexcept {
  static_assert(alignof(Promise) <= Runnable::frame_header);
  return std::coroutine_handle<Promise>::from_promise(promise);
}

}  // namespace lichen::coro
