// HelperThreads: a few threads for calls into the host that block and that no ring offers.
//
//   auto found = co_await helpers.run(core, [name] { return look_up(name); });
//
// The work owns what it needs: a task that is stopped goes on at once, and the call then ends
// alone.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/driver/linux/uring_core.hpp"
#include "lichen/io/home_signal.hpp"

namespace lichen::driver {

class HelperJob {
 public:
  virtual ~HelperJob() = default;
  HelperJob(const HelperJob&) = delete;
  HelperJob& operator=(const HelperJob&) = delete;

  // On a helper thread, which owns the job from here to the end of the call.
  void run_and_tell() noexcept;
  // On the core: nobody waits any more; the job deletes itself.
  void abandon() noexcept;
  [[nodiscard]] bool finished() const noexcept { return finished_; }
  auto wait() noexcept { return signal_.wait(core_.core()); }

  HelperJob* next = nullptr;

 protected:
  explicit HelperJob(UringCore& core) noexcept;

 private:
  enum class State : std::uint8_t { wanted, done, abandoned };

  virtual void work() noexcept = 0;
  static void returned(RemoteCall& call) noexcept;

  UringCore& core_;
  RemoteCall return_;
  io::HomeSignal signal_;
  std::atomic<State> state_{State::wanted};
  bool finished_ = false;
  bool deserted_ = false;  // abandoned when it was done already
};

class HelperThreads {
 public:
  explicit HelperThreads(unsigned limit = 4);
  HelperThreads(const HelperThreads&) = delete;
  HelperThreads& operator=(const HelperThreads&) = delete;
  // No task may wait for a helper. A thread that is stuck in an abandoned call ends after it.
  ~HelperThreads();

  // Calls `work`, which yields a Result, on a helper thread. MUST be awaited on `core`.
  template <class Work, class Outcome = std::invoke_result_t<Work&>>
  Task<Outcome> run(UringCore& core, Work work) {
    struct Job final : HelperJob {
      Job(UringCore& core, Work work) noexcept : HelperJob{core}, call{std::move(work)} {}
      void work() noexcept override { outcome = call(); }
      Work call;
      Outcome outcome = Error::internal;
    };
    auto* job = new (std::nothrow) Job{core, std::move(work)};
    if (!job) co_return Error::no_memory;
    if (Result<void> queued = enqueue(*job); !queued) {
      drop(*job);
      co_return queued.error();
    }
    if (Result<void> waited = co_await job->wait(); !waited) {
      // Stopped; the task may go on elsewhere than on the job's core.
      const io::Stay stay = co_await io::StayOn{core.core()};
      job->abandon();
      co_return waited.error();
    }
    Outcome outcome = std::move(job->outcome);
    delete job;
    co_return outcome;
  }

 private:
  struct Shared;

  // Error::limit_reached when the host gives us no thread at all.
  Result<void> enqueue(HelperJob& job) noexcept;

  // A job that was not queued.
  static void drop(HelperJob& job) noexcept;

  const unsigned limit_;
  std::shared_ptr<Shared> shared_;
};

}  // namespace lichen::driver
