#include "lichen/driver/linux/test_loop.hpp"

#include <dirent.h>
#include <sched.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "lichen/base/log.hpp"
#include "lichen/coro/hooks.hpp"

namespace lichen::driver::test {

std::size_t open_descriptors() {
  DIR* folder = opendir("/proc/self/fd");
  if (!folder) std::abort();
  std::size_t count = 0;
  while (readdir(folder)) ++count;
  closedir(folder);
  return count - 3;  // ".", ".." and the folder itself
}

UringLoop::UringLoop(const UringOptions& options) : Core{0} {
  coro::set_this_core(this);
  log::set_sink([](log::Level, std::string_view line) noexcept {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
  });
  Result<std::unique_ptr<UringCore>> uring = UringCore::create(*this, options);
  if (!uring) std::abort();
  uring_ = *std::move(uring);
}

UringLoop::~UringLoop() {
  uring_.reset();
  coro::set_this_core(nullptr);
}

void UringLoop::step() {
  batch_now_ns_ = coro::hooks::now_ns();
  timers_.advance(batch_now_ns_);
  uring_->poll();
  bool ran = false;
  for (int i = 0; i < 64; ++i) {
    coro::Runnable* runnable = pick();
    if (!runnable) break;
    ran = true;
    Core::run(*runnable);
    current_ = nullptr;
  }
  if (!ran) uring_->wait(timers_.next_deadline());
}

void UringLoop::settle() {
  while (uring_->poll(), uring_->statistics().in_flight > 0) uring_->wait(coro::no_deadline);
}

}  // namespace lichen::driver::test

namespace lichen::coro::hooks {

using namespace driver::test;

void* allocate_frame(std::size_t size) noexcept {
  if (frames_until_failure == 0) return nullptr;
  --frames_until_failure;
  ++frames_alive;
  return std::malloc(size);
}
void free_frame(void* frame, std::size_t) noexcept {
  --frames_alive;
  std::free(frame);
}
void share(Core&) noexcept {}
void post(Core* core, Runnable& runnable) noexcept {
  if (this_core() != core && core) std::abort();
  this_core()->push(runnable);
}
void post_stop(Core&, Strand&) noexcept { std::abort(); }
std::uint64_t now_ns() noexcept {
  return static_cast<std::uint64_t>(
      std::chrono::steady_clock::now().time_since_epoch().count());
}
void relax(unsigned) noexcept { sched_yield(); }
void fatal(const char* message) noexcept {
  std::fprintf(stderr, "%s\n", message);
  std::abort();
}

}  // namespace lichen::coro::hooks
