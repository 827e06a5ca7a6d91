#include "lichen/driver/linux/helpers.hpp"

#include <pthread.h>
#include <signal.h>

#include <condition_variable>
#include <mutex>

#include "lichen/base/member.hpp"
#include "lichen/base/queue.hpp"

namespace lichen::driver {

HelperJob::HelperJob(UringCore& core) noexcept : core_{core}, return_{.function = &returned} {
  core_.foreign_work_began();
}

void HelperJob::run_and_tell() noexcept {
  if (state_.load(std::memory_order_acquire) == State::wanted) work();
  State wanted = State::wanted;
  // As long as somebody wants the outcome, the core waits for it and so exists.
  if (state_.compare_exchange_strong(wanted, State::done, std::memory_order_acq_rel))
    core_.call_as_foreigner(return_);
  else
    delete this;
}

void HelperJob::returned(RemoteCall& call) noexcept {
  HelperJob& self = *base::holder_of<HelperJob, &HelperJob::return_>(&call);
  self.core_.foreign_work_ended();
  self.finished_ = true;
  if (self.deserted_)
    delete &self;
  else
    self.signal_.notify();
}

void HelperJob::abandon() noexcept {
  UringCore& core = core_;
  State wanted = State::wanted;
  if (state_.compare_exchange_strong(wanted, State::abandoned, std::memory_order_acq_rel)) {
    // Whether it runs or is still queued: the helper thread deletes it, perhaps by now.
    core.foreign_work_ended();
    return;
  }
  if (finished_)
    delete this;
  else
    deserted_ = true;
}

struct HelperThreads::Shared {
  std::mutex mutex;
  std::condition_variable work_there;
  std::condition_variable idle_gone;
  base::Queue<HelperJob, &HelperJob::next> jobs;
  unsigned threads = 0;
  unsigned idle = 0;
  bool stopping = false;

  static void* main(void* argument) noexcept {
    std::unique_ptr<std::shared_ptr<Shared>> handed{
        static_cast<std::shared_ptr<Shared>*>(argument)};
    const std::shared_ptr<Shared> self = std::move(*handed);
    self->serve();
    return nullptr;
  }
  void serve() noexcept {
    std::unique_lock lock{mutex};
    for (;;) {
      if (HelperJob* job = jobs.pop_front()) {
        lock.unlock();
        job->run_and_tell();
        lock.lock();
        continue;
      }
      if (stopping) break;
      ++idle;
      work_there.wait(lock);
      --idle;
    }
    --threads;
    idle_gone.notify_all();
  }
};

HelperThreads::HelperThreads(unsigned limit) : limit_{limit}, shared_{std::make_shared<Shared>()} {}

HelperThreads::~HelperThreads() {
  std::unique_lock lock{shared_->mutex};
  shared_->stopping = true;
  shared_->work_there.notify_all();
  while (shared_->idle > 0) shared_->idle_gone.wait(lock);
}

void HelperThreads::drop(HelperJob& job) noexcept {
  job.abandon();
  delete &job;
}

Result<void> HelperThreads::enqueue(HelperJob& job) noexcept {
  Shared& shared = *shared_;
  std::unique_lock lock{shared.mutex};
  if (shared.idle == 0 && shared.threads < limit_) {
    // Signals are for the cores.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    auto* handed = new (std::nothrow) std::shared_ptr<Shared>{shared_};
    pthread_t thread;
    if (handed && pthread_create(&thread, nullptr, &Shared::main, handed) == 0) {
      pthread_detach(thread);
      ++shared.threads;
    } else {
      delete handed;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (shared.threads == 0) return Error::limit_reached;
  }
  shared.jobs.push_back(job);
  shared.work_there.notify_one();
  return {};
}

}  // namespace lichen::driver
