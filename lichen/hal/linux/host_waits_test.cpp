// Waits of an app's on a core's thread that is interrupted all the time.
#include <gtest/gtest.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "lichen/hal/hal.hpp"

namespace lichen::hal {
namespace {

constexpr timespec some_time{.tv_sec = 0, .tv_nsec = 20'000'000};
constexpr int some_ms = 20;

timespec after(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  now.tv_nsec += some_time.tv_nsec;
  if (now.tv_nsec >= 1'000'000'000) ++now.tv_sec, now.tv_nsec -= 1'000'000'000;
  return now;
}

std::atomic<unsigned> interrupts{0};
std::atomic<unsigned> alarms{0};

// Calls `body` on a core that gets an interrupt each few hundred microseconds.
template <class Body>
void on_busy_core(Body body) {
  interrupts = 0;
  auto count = [](Interrupt, CoreId) noexcept { interrupts.fetch_add(1); };
  ASSERT_TRUE(register_interrupt(Interrupt::preempt, count));
  auto entry = [&](CoreId core) {
    std::atomic<bool> over{false};
    std::thread sender{[&] {
      while (!over) {
        EXPECT_TRUE(send_interrupt(core));
        std::this_thread::sleep_for(std::chrono::microseconds{200});
      }
    }};
    while (interrupts.load() == 0) yield_to_host();  // a body may be over before the sender begins
    body();
    over = true;
    sender.join();
  };
  ASSERT_TRUE(start_cores({.count = 1}, entry));
  EXPECT_GT(interrupts.load(), 0U);
}

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

TEST(HostWaits, AreNotEndedByInterrupts) {
  if (sanitized) GTEST_SKIP() << "the sanitizer has functions of these names of its own";
  on_busy_core([] {
    timespec time = some_time;
    timeval short_time{.tv_sec = 0, .tv_usec = 20'000};
    epoll_event event;
    sem_t never;
    ASSERT_EQ(sem_init(&never, 0, 0), 0);
    const int set = epoll_create1(0);
    ASSERT_GE(set, 0);
    sigset_t none;
    sigemptyset(&none);
    EXPECT_EQ(poll(nullptr, 0, some_ms), 0);
    EXPECT_EQ(ppoll(nullptr, 0, &time, nullptr), 0);
    EXPECT_EQ(ppoll(nullptr, 0, &time, &none), 0);
    EXPECT_EQ(select(0, nullptr, nullptr, nullptr, &short_time), 0);
    EXPECT_EQ(pselect(0, nullptr, nullptr, nullptr, &time, &none), 0);
    EXPECT_EQ(epoll_wait(set, &event, 1, some_ms), 0);
    EXPECT_EQ(epoll_pwait(set, &event, 1, some_ms, &none), 0);
    EXPECT_EQ(nanosleep(&time, nullptr), 0);
    const timespec until = after(CLOCK_MONOTONIC);
    EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr), 0);
    EXPECT_EQ(usleep(20'000), 0);
    EXPECT_EQ(sleep(1), 0U);
    const timespec end = after(CLOCK_REALTIME);
    EXPECT_EQ(sem_timedwait(&never, &end), -1);
    EXPECT_EQ(errno, ETIMEDOUT);
    close(set);
    sem_destroy(&never);
  });
}

// Signals of the app's own end its waits as ever, and the mask is afterwards what it was.
TEST(HostWaits, AreEndedByOtherSignals) {
  if (sanitized) GTEST_SKIP() << "the sanitizer has functions of these names of its own";
  alarms = 0;
  struct sigaction action{};
  action.sa_handler = [](int) { alarms.fetch_add(1); };
  ASSERT_EQ(sigaction(SIGUSR1, &action, nullptr), 0);
  on_busy_core([] {
    sigset_t before, afterwards;
    pthread_sigmask(SIG_SETMASK, nullptr, &before);
    const pthread_t self = pthread_self();
    std::atomic<bool> over{false};
    std::thread other{[&] {
      while (!over) {
        pthread_kill(self, SIGUSR1);
        std::this_thread::sleep_for(std::chrono::milliseconds{1});
      }
    }};
    EXPECT_EQ(poll(nullptr, 0, -1), -1);
    EXPECT_EQ(errno, EINTR);
    over = true;
    other.join();
    pthread_sigmask(SIG_SETMASK, nullptr, &afterwards);
    for (int number = 1; number <= SIGRTMAX; ++number)
      EXPECT_EQ(sigismember(&before, number), sigismember(&afterwards, number)) << number;
  });
  EXPECT_GT(alarms.load(), 0U);
  signal(SIGUSR1, SIG_DFL);
}

}  // namespace
}  // namespace lichen::hal
