// Explorer: runs tasks on several cores of which one moves at a time, and a seed decides at every
// step which. So each interleaving of those steps can be had, and had again. The steps are where
// coro calls hooks::interleave(): around taking and releasing a lock, and before the
// atomic hand-overs of select and timers. What lies between two steps is not interleaved, and
// memory orders weaker than sequential consistency are not explored: that is for ThreadSanitizer.
//
// Freed frames are filled with a pattern and kept until the end of the run: who writes to one is
// found. A run in which nobody can go on is a lost wake: the seed is printed and the machine ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <semaphore>
#include <vector>

#include "lichen/base/random.hpp"
#include "lichen/coro/loan.hpp"
#include "lichen/coro/scope.hpp"

namespace lichen::coro::explore {

class Explorer;

class ExplorerCore final : public Core {
 public:
  ExplorerCore(Explorer& explorer, std::uint32_t index) noexcept
      : Core{index}, explorer_{explorer} {}

 private:
  friend class Explorer;
  void loop() noexcept;
  Runnable* pick() noexcept;
  bool take_posted() noexcept;
  Runnable* give_away() noexcept {
    return here_.ready.empty() ? nullptr : &here_.ready.pop_front();
  }

  Explorer& explorer_;
  std::binary_semaphore turn_{0};
  std::vector<Runnable*> posted_;
  std::vector<Strand*> stops_;
  bool left_ = false;
};

class Explorer {
 public:
  Explorer(unsigned cores, std::uint64_t seed) noexcept;
  ~Explorer();
  Explorer(const Explorer&) = delete;
  Explorer& operator=(const Explorer&) = delete;

  // Runs a task to its end.
  Result<void> run(Task<Result<void>> main);
  Core& core(unsigned index) noexcept { return *cores_[index]; }
  [[nodiscard]] unsigned cores() const noexcept { return static_cast<unsigned>(cores_.size()); }
  Random& random() noexcept { return random_; }
  static Explorer& current() noexcept { return *instance_; }

  // The hooks.
  void step(bool always) noexcept;
  static void make_ready(Core& core, Runnable& runnable) noexcept;
  void post(Core* core, Runnable& runnable) noexcept;
  void post_stop(Core& core, Strand& strand) noexcept;
  static void* allocate(std::size_t size) noexcept;
  static void free(void* block, std::size_t size) noexcept;
  [[nodiscard]] std::uint64_t now_ns() const noexcept { return now_ns_; }
  [[noreturn]] void fail(const char* reason) noexcept;

 private:
  friend class ExplorerCore;
  struct Freed {
    unsigned char* block;
    std::size_t size;
  };

  void switch_to_another() noexcept;
  void leave(ExplorerCore& core) noexcept;
  void nothing_to_do(ExplorerCore& core) noexcept;

  static inline constinit Explorer* instance_ = nullptr;

  const std::uint64_t seed_;
  Random random_;
  std::uint64_t now_ns_ = 1'000'000;
  std::uint64_t steps_ = 0;
  std::uint64_t idle_rounds_ = 0;
  unsigned one_in_ = 2;  // how often a step switches
  Scope* root_ = nullptr;
  std::vector<std::unique_ptr<ExplorerCore>> cores_;
  std::binary_semaphore finished_{0};
  std::vector<Freed> freed_;
  std::size_t alive_ = 0;
};

// An object in memory that is watched after it was freed, as frames are.
template <class T>
class Watched {
 public:
  template <class... Args>
  explicit Watched(Args&&... args) noexcept
      : object_{std::construct_at(static_cast<T*>(Explorer::allocate(sizeof(T))), args...)} {}
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;
  ~Watched() {
    std::destroy_at(object_);
    Explorer::free(object_, sizeof(T));
  }
  T& operator*() noexcept { return *object_; }
  T* operator->() noexcept { return object_; }

 private:
  T* object_;
};

}  // namespace lichen::coro::explore
