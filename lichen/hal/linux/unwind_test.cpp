#include "lichen/hal/linux/unwind.hpp"

#include <gnu/libc-version.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <unistd.h>
#include <unwind.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

#include "lichen/base/function_ref.hpp"
#include "lichen/base/random.hpp"
#include "lichen/hal/linux/local.hpp"

namespace lichen::hal::detail {
namespace {

#if __has_feature(thread_sanitizer)
constexpr bool keeps_signals_back = true;
#else
constexpr bool keeps_signals_back = false;
#endif

// One stack as two readers see it, the innermost frame first.
struct Sight {
  static constexpr std::size_t most = 24;
  std::array<std::uintptr_t, most> ours{};
  std::array<std::uintptr_t, most> theirs{};
  std::size_t our_count = 0;
  std::size_t their_count = 0;
  bool stopped = false;  // ours ended before there were so many
};

struct Watched {
  std::array<Module, 16> modules{};
  std::size_t module_count = 0;
  Range stack;
  Range library;
  std::vector<Sight> sights;
  std::atomic<std::size_t> taken{0};
  std::atomic<std::size_t> in_library{0};
  std::atomic<bool> over{false};
};
Watched* watched = nullptr;

const Module* known_module(std::uintptr_t address) {
  for (const Module& module : std::span{watched->modules}.first(watched->module_count))
    if (module.code.holds(address)) return &module;
  return nullptr;
}

void know(std::uintptr_t address) {
  if (known_module(address)) return;
  if (const auto module = module_of(address)) watched->modules[watched->module_count++] = *module;
}

_Unwind_Reason_Code note_theirs(_Unwind_Context* context, void* argument) {
  auto& sight = *static_cast<Sight*>(argument);
  if (sight.their_count < sight.theirs.size())
    sight.theirs[sight.their_count++] = _Unwind_GetIP(context);
  return _URC_NO_REASON;
}

void on_sample(int, siginfo_t*, void* record) {
  const int error = errno;
  const std::size_t index = watched->taken.load();
  if (index < watched->sights.size()) {
    Sight& sight = watched->sights[index];
    Frames frames{registers_of(record), watched->stack};
    if (watched->library.holds(frames.instruction())) watched->in_library.fetch_add(1);
    while (sight.our_count < 12) {
      sight.ours[sight.our_count++] = frames.instruction();
      const Module* module = known_module(frames.instruction());
      if (!module || !frames.step(*module)) {
        sight.stopped = true;
        break;
      }
    }
    _Unwind_Backtrace(&note_theirs, &sight);
    watched->taken.store(index + 1);
  }
  errno = error;
}

// Calls `work` again and again on a thread of its own that is interrupted at random moments, and
// compares what we say of its stack each time with what the compiler's library says.
void compare(base::FunctionRef<void()> work, bool mostly_in_library = true) {
  if (keeps_signals_back) GTEST_SKIP() << "ThreadSanitizer runs handlers later";
  Watched here;
  here.sights.resize(400);
  watched = &here;
  know(reinterpret_cast<std::uintptr_t>(&gnu_get_libc_version));
  here.library = here.modules[0].code;
  know(reinterpret_cast<std::uintptr_t>(&on_sample));
  struct sigaction action{};
  struct sigaction before{};
  action.sa_sigaction = on_sample;
  action.sa_flags = SA_RESTART | SA_SIGINFO;
  ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
  Sight warm_up;
  _Unwind_Backtrace(&note_theirs, &warm_up);

  struct Job {
    base::FunctionRef<void()> work;
    std::atomic<bool> ready{false};
  } job{work};
  pthread_t thread{};
  ASSERT_EQ(pthread_create(
                &thread, nullptr,
                [](void* argument) -> void* {
                  auto& mine = *static_cast<Job*>(argument);
                  pthread_attr_t attributes;
                  void* stack = nullptr;
                  std::size_t size = 0;
                  pthread_getattr_np(pthread_self(), &attributes);
                  pthread_attr_getstack(&attributes, &stack, &size);
                  pthread_attr_destroy(&attributes);
                  const auto begin = reinterpret_cast<std::uintptr_t>(stack);
                  watched->stack = {begin, begin + size};
                  mine.ready = true;
                  while (!watched->over) mine.work();
                  return nullptr;
                },
                &job),
            0);
  while (!job.ready) usleep(100);
  Random random{7};
  while (here.taken < here.sights.size()) {
    const std::size_t count = here.taken;
    pthread_kill(thread, SIGUSR1);
    while (here.taken == count) usleep(10);
    usleep(static_cast<useconds_t>(random.below(60)));
  }
  here.over = true;
  pthread_join(thread, nullptr);
  sigaction(SIGUSR1, &before, nullptr);

  std::size_t deep = 0;
  for (const Sight& sight : here.sights) {
    const auto ours = std::span{sight.ours}.first(sight.our_count);
    const auto theirs = std::span{sight.theirs}.first(sight.their_count);
    const auto from = std::ranges::find(theirs, ours.front());
    ASSERT_NE(from, theirs.end());
    const auto rest = static_cast<std::size_t>(theirs.end() - from);
    for (std::size_t i = 0; i < std::min(ours.size(), rest); ++i) ASSERT_EQ(from[i], ours[i]) << i;
    deep += ours.size() > 1;
  }
  // Ours may give up, but seldom.
  EXPECT_GT(deep, here.sights.size() * 9 / 10);
  if (mostly_in_library) EXPECT_GT(here.in_library, here.sights.size() / 4);
  watched = nullptr;
}

TEST(Frames, OfARead) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  std::atomic<bool> over{false};
  struct Feed {
    int end;
    std::atomic<bool>& over;
  } feed{ends[1], over};
  pthread_t feeder{};
  ASSERT_EQ(pthread_create(
                &feeder, nullptr,
                [](void* argument) -> void* {
                  auto& mine = *static_cast<Feed*>(argument);
                  const char byte = 'x';
                  while (!mine.over && write(mine.end, &byte, 1) == 1) usleep(500);
                  return nullptr;
                },
                &feed),
            0);
  compare([&] {
    char byte = 0;
    [[maybe_unused]] const ssize_t size = read(ends[0], &byte, 1);
  });
  over = true;
  pthread_join(feeder, nullptr);
  close(ends[0]);
  close(ends[1]);
}

TEST(Frames, OfSleeping) {
  compare([] {
    const timespec time{.tv_sec = 0, .tv_nsec = 200'000};
    nanosleep(&time, nullptr);
  });
  compare([] { poll(nullptr, 0, 1); });
}

TEST(Frames, OfLocks) {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
  sem_t semaphore;
  ASSERT_EQ(sem_init(&semaphore, 0, 0), 0);
  std::atomic<bool> over{false};
  struct Other {
    pthread_mutex_t& mutex;
    pthread_cond_t& condition;
    sem_t& semaphore;
    std::atomic<bool>& over;
  } other{mutex, condition, semaphore, over};
  pthread_t holder{};
  ASSERT_EQ(pthread_create(
                &holder, nullptr,
                [](void* argument) -> void* {
                  auto& mine = *static_cast<Other*>(argument);
                  while (!mine.over) {
                    pthread_mutex_lock(&mine.mutex);
                    usleep(200);
                    pthread_cond_signal(&mine.condition);
                    pthread_mutex_unlock(&mine.mutex);
                    sem_post(&mine.semaphore);
                    usleep(200);
                  }
                  return nullptr;
                },
                &other),
            0);
  compare([&] {
    pthread_mutex_lock(&mutex);
    pthread_mutex_unlock(&mutex);
  });
  compare([&] {
    pthread_mutex_lock(&mutex);
    pthread_cond_wait(&condition, &mutex);
    pthread_mutex_unlock(&mutex);
  });
  compare([&] { sem_wait(&semaphore); });
  over = true;
  pthread_join(holder, nullptr);
  sem_destroy(&semaphore);
}

TEST(Frames, OfWhatComputesInTheLibrary) {
  std::vector<int> numbers(3'000);
  compare(
      [&] {
        Random random{1};
        for (int& number : numbers) number = static_cast<int>(random.below(1'000'000));
        std::qsort(numbers.data(), numbers.size(), sizeof(int), [](const void* a, const void* b) {
          return *static_cast<const int*>(a) - *static_cast<const int*>(b);
        });
      },
      false);
  compare([] {
    std::array<char, 200> text{};
    std::snprintf(text.data(), text.size(), "%d %s %f %p", 17, "text", 3.25, nullptr);
    std::free(std::malloc(static_cast<std::size_t>(std::strlen(text.data()) * 100)));
  });
}

TEST(Frames, OfALookUpOfAName) {
  compare([] {
    addrinfo* found = nullptr;
    if (getaddrinfo("localhost", "80", nullptr, &found) == 0) freeaddrinfo(found);
  });
}

// Nothing in a table may lead to a read outside of it, whatever it says.
TEST(Tables, DamagedOnesAreRefusedOrReadWithinBounds) {
  const auto module = module_of(reinterpret_cast<std::uintptr_t>(&gnu_get_libc_version));
  ASSERT_TRUE(module);
  const std::size_t size = std::min<std::size_t>(module->tables.end - module->table, 64 << 10);
  // From the header on: what it points to before itself is then outside.
  const auto* header = reinterpret_cast<const std::byte*>(module->table);
  const auto* first = reinterpret_cast<const std::byte*>(module->tables.begin);
  const std::size_t whole_size = module->tables.end - module->tables.begin;
  Random random{3};
  for (std::size_t cut = 0; cut < 400; ++cut) {
    const std::vector<std::byte> part(header, header + cut);  // so that ASan sees its end
    (void)find_rules(part, module->table, module->table,
                     module->code.begin + random.below(1 << 16));
  }
  std::vector<std::byte> whole(first, first + whole_size);
  unsigned found = 0;
  for (int round = 0; round < 30'000; ++round) {
    const auto address = module->code.begin + random.below(module->code.end - module->code.begin);
    std::array<std::size_t, 4> places{};
    for (std::size_t& place : places) {
      place = random.below(2) != 0 ? random.below(whole_size)
                                   : module->table - module->tables.begin + random.below(size);
      whole[place] ^= static_cast<std::byte>(1U << random.below(8));
    }
    found += find_rules(whole, module->tables.begin, module->table, address).has_value();
    for (const std::size_t place : places) whole[place] = first[place];
  }
  EXPECT_GT(found, 0U);
}

TEST(Tables, UnknownAddressesAreRefused) {
  const auto module = module_of(reinterpret_cast<std::uintptr_t>(&on_sample));
  ASSERT_TRUE(module);
  const std::span tables{reinterpret_cast<const std::byte*>(module->tables.begin),
                         module->tables.end - module->tables.begin};
  const auto rules = [&](std::uintptr_t address) {
    return find_rules(tables, module->tables.begin, module->table, address);
  };
  EXPECT_TRUE(rules(reinterpret_cast<std::uintptr_t>(&on_sample)));
  EXPECT_FALSE(rules(0));
  EXPECT_FALSE(rules(~std::uintptr_t{0}));
  EXPECT_FALSE(rules(module->tables.begin));
  EXPECT_FALSE(module_of(16));
}

// A frame whose registers point anywhere but into its stack is not followed.
TEST(Frames, LieInTheirStack) {
  const auto module = module_of(reinterpret_cast<std::uintptr_t>(&on_sample));
  ASSERT_TRUE(module);
  Random random{5};
  std::array<std::uintptr_t, 64> stack{};
  const auto begin = reinterpret_cast<std::uintptr_t>(stack.data());
  for (int round = 0; round < 20'000; ++round) {
    Registers registers{};
    for (auto& value : registers)
      value = random.below(2) != 0 ? random() : begin + 8 * random.below(80);
    for (auto& word : stack)
      word = random.below(2) != 0 ? random() : module->code.begin + random.below(1 << 20);
    registers[instruction_register] =
        module->code.begin + random.below(module->code.end - module->code.begin);
    Frames frames{registers, {begin, begin + sizeof stack}};
    for (int i = 0; i < 100 && module->code.holds(frames.instruction()); ++i)
      if (!frames.step(*module)) break;
  }
}

}  // namespace
}  // namespace lichen::hal::detail
