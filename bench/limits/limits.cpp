// The floors under our figures, measured without a runtime: what a coroutine, a free list and the
// line between two cores cost by themselves. One JSON line each.
#include <sched.h>

#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <utility>
#include <vector>

namespace {

double now_ns() {
  return static_cast<double>(std::chrono::steady_clock::now().time_since_epoch() /
                             std::chrono::nanoseconds{1});
}

struct Free {
  Free* next;
};
Free* free_list[64];

struct Frame {
  static void* operator new(std::size_t size) noexcept {
    Free*& list = free_list[size / 16];
    if (Free* block = list) {
      list = block->next;
      return block;
    }
    return std::malloc(size + 16);
  }
  static void operator delete(void* frame, std::size_t size) noexcept {
    auto* block = static_cast<Free*>(frame);
    block->next = free_list[size / 16];
    free_list[size / 16] = block;
  }
};

// The least a lazy coroutine can be: a frame from a free list, a continuation, a value.
struct Bare {
  struct promise_type : Frame {
    std::coroutine_handle<> continuation = std::noop_coroutine();
    std::uint64_t value = 0;
    Bare get_return_object() noexcept {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct Final {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> self) noexcept {
        return self.promise().continuation;
      }
      void await_resume() noexcept {}
    };
    Final final_suspend() noexcept { return {}; }
    void return_value(std::uint64_t v) noexcept { value = v; }
    void unhandled_exception() noexcept {}
  };
  bool await_ready() noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> parent) noexcept {
    handle.promise().continuation = parent;
    return handle;
  }
  std::uint64_t await_resume() noexcept {
    const std::uint64_t value = handle.promise().value;
    handle.destroy();
    return value;
  }
  std::coroutine_handle<promise_type> handle;
};

Bare chain(std::uint64_t depth) {
  if (depth == 0) co_return 1;
  co_return co_await chain(depth - 1) + 1;
}
Bare chains(std::uint64_t count, std::uint64_t depth) {
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < count; ++i) sum += co_await chain(depth - 1);
  co_return sum;
}
Bare suspender(std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) co_await std::suspend_always{};
  co_return count;
}

void print(const char* name, double ns) {
  std::printf("{\"name\":\"%s\",\"ns_per_op\":%.2f}\n", name, ns);
}

void run_and_destroy(Bare task) {
  task.handle.resume();
  task.handle.destroy();
}

}  // namespace

int main() {
  constexpr std::uint64_t count = 20'000'000;
  for (int round = 0; round < 2; ++round) {  // the first warms up
    const bool last = round == 1;
    double start = now_ns();
    {
      Bare task = suspender(count);
      asm volatile("" : "+r"(task.handle));  // or the compiler runs the coroutine in place
      while (!task.handle.done()) task.handle.resume();
      task.handle.destroy();
    }
    if (last) print("yield", (now_ns() - start) / count);

    start = now_ns();
    std::vector<Bare> batch;
    batch.reserve(1'000);
    for (std::uint64_t b = 0; b < count / 1'000; ++b) {
      for (std::uint64_t i = 0; i < 1'000; ++i) batch.push_back(chain(0));
      for (Bare task : batch) run_and_destroy(task);
      batch.clear();
    }
    if (last) print("spawn", (now_ns() - start) / count);

    for (const std::uint64_t depth : {1, 100, 1'000}) {
      start = now_ns();
      run_and_destroy(chains(count / depth, depth));
      if (last)
        print(depth == 1     ? "await 1"
              : depth == 100 ? "await 100"
                             : "await 1000",
              (now_ns() - start) / count);
    }

    // A cache line that two cores write in turn: half a round trip is one transfer. With one
    // processor each turn would wait for the end of a time slice.
    cpu_set_t processors;
    if (sched_getaffinity(0, sizeof processors, &processors) != 0 || CPU_COUNT(&processors) < 2)
      continue;
    std::atomic<std::uint64_t> line{0};
    constexpr std::uint64_t turns = 200'000;
    start = now_ns();
    std::thread other{[&line] {
      for (std::uint64_t i = 1; i < turns; i += 2) {
        while (line.load(std::memory_order_acquire) != i) {
        }
        line.store(i + 1, std::memory_order_release);
      }
    }};
    for (std::uint64_t i = 0; i < turns; i += 2) {
      while (line.load(std::memory_order_acquire) != i) {
      }
      line.store(i + 1, std::memory_order_release);
    }
    other.join();
    if (last) print("line transfer", (now_ns() - start) / turns);
  }
}
