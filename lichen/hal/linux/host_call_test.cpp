#include "lichen/hal/linux/host_call.hpp"

#include <gtest/gtest.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <thread>

#include "lichen/base/function_ref.hpp"
#include "lichen/hal/hal.hpp"

namespace lichen::hal {
namespace {

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool finds_nothing = true;
#else
constexpr bool finds_nothing = false;
#endif

// What is seen of one call.
struct Scene {
  unsigned patience = 1;  // so many times the flow makes its call again before it is ended
  bool counts = true;
  std::array<const char*, 8> found{};
  unsigned looks = 0;
  unsigned befores = 0;
  unsigned afters = 0;
  std::atomic<bool> end{false};  // the call is to end
};
Scene* scene = nullptr;

bool code_counts(std::uintptr_t) { return scene->counts; }
void before() noexcept {
  errno = EDOM;
  if (++scene->befores == scene->patience) scene->end = true;
}
void after() noexcept {
  errno = EDOM;
  ++scene->afters;
}
void on_deadline(Interrupt, CoreId core) noexcept {
  if (interrupted_at() == 0 || scene->looks == scene->found.size()) {
    scene->end = true;
    return;
  }
  if (const auto call = host_call({}, &code_counts)) {
    scene->found[scene->looks] = call->name;
    call_around_host_call(&before, &after);
  }
  if (++scene->looks == 4) scene->end = true;
  if (!scene->end) arm_deadline(core, now_ns() + 2'000'000).ignore();
}

// Makes a call on a core, which waits until `end` is called on another thread, and looks at it a
// few times meanwhile. The name under which it was found; empty: it was not.
std::string look_at(base::FunctionRef<void()> call, base::FunctionRef<void()> end,
                    unsigned patience = 1, bool counts = true) {
  Scene mine{.patience = patience, .counts = counts};
  scene = &mine;
  EXPECT_TRUE(register_interrupt(Interrupt::deadline, on_deadline));
  std::thread other{[&] {
    while (!mine.end) usleep(500);
    usleep(3'000);
    end();
  }};
  auto entry = [&](CoreId core) {
    errno = ERANGE;
    ASSERT_TRUE(arm_deadline(core, now_ns() + 5'000'000));
    call();
    ASSERT_TRUE(arm_deadline(core, no_deadline));
    EXPECT_EQ(mine.afters, mine.befores > 0);
  };
  EXPECT_TRUE(start_cores({.count = 1}, entry));
  mine.end = true;
  other.join();
  EXPECT_TRUE(register_interrupt(Interrupt::deadline, nullptr));
  std::string name;
  for (const char* found : mine.found)
    if (found) name = found;
  EXPECT_EQ(mine.befores > 0, !name.empty());
  scene = nullptr;
  return name;
}

struct HostCalls : testing::Test {
  std::array<int, 2> ends{};
  char byte = 0;

  void SetUp() override {
    if (finds_nothing) GTEST_SKIP() << "sanitizers must know on which thread a flow runs";
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
  }
  void TearDown() override {
    close(ends[0]);
    close(ends[1]);
  }
  void feed() const { EXPECT_EQ(write(ends[1], "\n", 1), 1); }
};

TEST_F(HostCalls, AreFoundAndGoOn) {
  auto read_one = [&] {
    EXPECT_EQ(read(ends[0], &byte, 1), 1);
    EXPECT_EQ(errno, ERANGE);
  };
  EXPECT_EQ(look_at(read_one, [&] { feed(); }), "read");
  EXPECT_EQ(byte, '\n');
  byte = 0;
  // Not the first look, but the third finds somebody to go on instead.
  EXPECT_EQ(look_at([&] { EXPECT_EQ(recv(ends[0], &byte, 1, 0), 1); }, [&] { feed(); }, 3), "recv");
  EXPECT_EQ(byte, '\n');
}

TEST_F(HostCalls, OfManyKindsAreFound) {
  iovec part{.iov_base = &byte, .iov_len = 1};
  EXPECT_EQ(look_at([&] { EXPECT_EQ(readv(ends[0], &part, 1), 1); }, [&] { feed(); }), "readv");

  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&mutex);
  EXPECT_EQ(look_at([&] { pthread_mutex_lock(&mutex); }, [&] { pthread_mutex_unlock(&mutex); }),
            "pthread_mutex_lock");

  pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
  bool set = false;
  EXPECT_EQ(look_at(
                [&] {
                  while (!set) pthread_cond_wait(&condition, &mutex);
                },
                [&] {
                  pthread_mutex_lock(&mutex);
                  set = true;
                  pthread_mutex_unlock(&mutex);
                  pthread_cond_signal(&condition);
                }),
            "pthread_cond_wait");
  pthread_mutex_unlock(&mutex);

  sem_t semaphore;
  ASSERT_EQ(sem_init(&semaphore, 0, 0), 0);
  EXPECT_EQ(look_at([&] { EXPECT_EQ(sem_wait(&semaphore), 0); }, [&] { sem_post(&semaphore); }),
            "sem_wait");

  std::atomic<bool> let_go{false};
  pthread_t thread{};
  ASSERT_EQ(pthread_create(
                &thread, nullptr,
                [](void* flag) -> void* {
                  while (!*static_cast<std::atomic<bool>*>(flag)) usleep(500);
                  return nullptr;
                },
                &let_go),
            0);
  EXPECT_EQ(look_at([&] { EXPECT_EQ(pthread_join(thread, nullptr), 0); }, [&] { let_go = true; }),
            "pthread_join");

  std::array<int, 2> leash{};
  ASSERT_EQ(pipe(leash.data()), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(leash[1]);
    char end = 0;
    _exit(read(leash[0], &end, 1) == 0 ? 0 : 1);
  }
  close(leash[0]);
  EXPECT_EQ(
      look_at([&] { EXPECT_EQ(waitpid(child, nullptr, 0), child); }, [&] { close(leash[1]); }),
      "waitpid");

  std::atomic<std::uint32_t> word{0};
  EXPECT_EQ(look_at(
                [&] {
                  while (word.load() == 0)
                    syscall(SYS_futex, &word, FUTEX_WAIT, 0, nullptr, nullptr, 0);
                },
                [&] {
                  word = 1;
                  syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
                }),
            "syscall");
}

TEST_F(HostCalls, OfOthersAreNotFound) {
  // Made by code that does not count.
  EXPECT_EQ(look_at([&] { EXPECT_EQ(read(ends[0], &byte, 1), 1); }, [&] { feed(); }, 1, false), "");
  // By way of functions that hold locks.
  std::FILE* file = fdopen(dup(ends[0]), "r");
  ASSERT_NE(file, nullptr);
  std::array<char, 8> line{};
  EXPECT_EQ(look_at([&] { EXPECT_NE(std::fgets(line.data(), line.size(), file), nullptr); },
                    [&] { feed(); }),
            "");
  EXPECT_STREQ(line.data(), "\n");
  std::fclose(file);
  // By nobody can tell whom: sem_wait() waits in a function of another name.
  sem_t semaphore;
  ASSERT_EQ(sem_init(&semaphore, 0, 0), 0);
  int (*volatile pointer)(sem_t*) = &sem_wait;
  EXPECT_EQ(look_at([&] { EXPECT_EQ(pointer(&semaphore), 0); }, [&] { sem_post(&semaphore); }), "");
  // Interrupts are held back from it, see host_waits.cpp.
  EXPECT_EQ(look_at([] { EXPECT_EQ(poll(nullptr, 0, 20), 0); }, [] {}), "");
}

}  // namespace
}  // namespace lichen::hal
