// What the host allows the frames benchmark. Two commands, one JSON line a result:
//   calibrate            how fast a processor spins, and what an echo over loopback costs it
//   signals --seconds N  how late a signal arrives at a thread that computes: sent by another
//                        thread (tgkill), and by a timer of its own, all processors busy
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thread>

#include "bench/frames/workload.hpp"

namespace {

using namespace bench::frames;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

// 64 B there and back on one thread, which is asked to wait for nothing: microseconds of its
// processor's time. Whoever must also switch between two tasks needs more.
double echo_us() {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* where = reinterpret_cast<sockaddr*>(&address);
  const int asks = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, where, length) != 0 || listen(listener, 1) != 0 ||
      getsockname(listener, where, &length) != 0 || connect(asks, where, length) != 0)
    fail("loopback");
  const int answers = accept(listener, nullptr, nullptr);
  const int on = 1;
  setsockopt(asks, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(answers, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  constexpr int trips = 4'000;
  char data[64] = {};
  std::uint64_t start = 0;
  for (int i = -trips / 4; i < trips; ++i) {
    if (i == 0) start = now_ns(CLOCK_THREAD_CPUTIME_ID);
    for (const auto [from, to] : {std::pair{asks, answers}, std::pair{answers, asks}})
      if (send(from, data, 64, 0) != 64 || recv(to, data, 64, MSG_WAITALL) != 64) fail("echo");
  }
  const auto spent = static_cast<double>(now_ns(CLOCK_THREAD_CPUTIME_ID) - start);
  for (const int socket : {listener, asks, answers}) close(socket);
  return spent / trips / 1000;
}

// All processors at once: what they reach together is what a run can have.
void run_calibrate() {
  std::vector<double> rates(std::thread::hardware_concurrency());
  std::vector<std::thread> threads;
  for (double& rate : rates) threads.emplace_back([&rate] { rate = calibrate(); });
  for (std::thread& thread : threads) thread.join();
  double sum = 0;
  for (const double rate : rates) sum += rate;
  std::printf("{\"name\":\"calibration\",\"iterations_per_us\":%.2f,\"io_us\":%.2f}\n",
              sum / static_cast<double>(rates.size()), echo_us());
}

void print(const char* variant, std::vector<std::uint64_t>& late) {
  std::ranges::sort(late);
  std::printf(
      "{\"name\":\"signals\",\"variant\":\"%s\",\"count\":%zu,\"wake_p50_us\":%.1f,"
      "\"wake_p99_us\":%.1f,\"wake_p999_us\":%.1f,\"wake_max_us\":%.1f,\"histogram\":%s}\n",
      variant, late.size(), Report::at(late, 0.5), Report::at(late, 0.99), Report::at(late, 0.999),
      Report::at(late, 1), Report::histogram(late).c_str());
}

void pin(unsigned processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor % std::thread::hardware_concurrency(), &set);
  sched_setaffinity(0, sizeof set, &set);
}

void on_signal(int number, void (*handler)(int, siginfo_t*, void*)) {
  struct sigaction action{};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigaction(number, &action, nullptr);
}

std::atomic<bool> stop{false};
void compute_until_stopped() {
  while (!stop.load(std::memory_order_relaxed)) spin(100'000);
}

std::atomic<std::uint64_t> received{0};

std::vector<std::uint64_t> sent_signals(double seconds) {
  on_signal(SIGUSR1, [](int, siginfo_t*, void*) { received.store(now_ns()); });
  std::atomic<pid_t> target{0};
  stop = false;
  std::thread computes{[&] {
    pin(1);
    target = gettid();
    compute_until_stopped();
  }};
  while (target == 0) sched_yield();
  pin(0);
  std::vector<std::uint64_t> late;
  for (const std::uint64_t end = now_ns() + static_cast<std::uint64_t>(seconds * 1e9);
       now_ns() < end;) {
    // An uneven pause, so that no clock of the kernel keeps step.
    for (const std::uint64_t next = now_ns() + 500'000 + late.size() * 7'919 % 500'000;
         now_ns() < next;) {
    }
    received = 0;
    const std::uint64_t sent = now_ns();
    syscall(SYS_tgkill, getpid(), target.load(), SIGUSR1);
    std::uint64_t seen = 0;
    while ((seen = received.load()) == 0) {
    }
    late.push_back(seen - sent);
  }
  stop = true;
  computes.join();
  return late;
}

struct Timer {
  timer_t id;
  std::uint64_t due, step;
  std::vector<std::uint64_t> late;
};
thread_local Timer* timer;  // touched before the first signal: no allocation in the handler

void arm(Timer& which) {
  itimerspec when{};
  when.it_value = {static_cast<time_t>(which.due / 1'000'000'000),
                   static_cast<long>(which.due % 1'000'000'000)};
  timer_settime(which.id, TIMER_ABSTIME, &when, nullptr);
}

std::vector<std::uint64_t> timer_signals(double seconds) {
  on_signal(SIGUSR2, [](int, siginfo_t*, void*) {
    Timer& mine = *timer;
    if (mine.late.size() == mine.late.capacity()) return;
    mine.late.push_back(now_ns() - mine.due);
    mine.due += mine.step;
    arm(mine);
  });
  stop = false;
  const unsigned processors = std::thread::hardware_concurrency();
  const double rate = 240;  // two of four tracks
  std::vector<Timer> timers(processors);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < processors; ++i)
    threads.emplace_back([&, i] {
      pin(i);
      timer = &timers[i];
      timer->late.reserve(static_cast<std::size_t>(seconds * rate));
      timer->step = static_cast<std::uint64_t>(1e9 / rate);
      timer->due = now_ns() + 10'000'000 + i * timer->step / processors;
      sigevent event{};
      event.sigev_notify = SIGEV_THREAD_ID;
      event.sigev_signo = SIGUSR2;
      event._sigev_un._tid = gettid();
      if (timer_create(CLOCK_MONOTONIC, &event, &timer->id) != 0) fail("timer_create");
      arm(*timer);
      compute_until_stopped();
      timer_delete(timer->id);
    });
  std::this_thread::sleep_for(std::chrono::duration<double>{seconds + 0.05});
  stop = true;
  for (std::thread& thread : threads) thread.join();
  std::vector<std::uint64_t> late;
  for (const Timer& each : timers) late.insert(late.end(), each.late.begin(), each.late.end());
  return late;
}

}  // namespace

int main(int count, char** words) {
  const Args args{count, words};
  if (args.name() == "calibrate") {
    run_calibrate();
  } else if (args.name() == "signals") {
    const double seconds = args.number("seconds", 5);
    std::vector<std::uint64_t> sent;
    if (std::thread::hardware_concurrency() > 1)
      std::thread{[&] { sent = sent_signals(seconds / 2); }}.join();
    if (!sent.empty()) print("tgkill", sent);
    std::vector<std::uint64_t> timed = timer_signals(seconds);
    print("timer", timed);
  } else {
    std::fprintf(stderr, "usage: bench_frames_floor calibrate | signals [--seconds N]\n");
    return 2;
  }
}
