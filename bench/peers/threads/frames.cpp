// The kernel's own scheduler. frames: every track, hog and end of the echo pair is a thread; only
// the tracks have the policy that --policy names: nice (with --nice), fifo or deadline.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "bench/frames/turns.hpp"
#include "bench/frames/workload.hpp"

namespace {

using namespace bench::frames;

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "peer_threads: %s: %s\n", what, std::strerror(errno));
  std::exit(errno == EPERM || errno == EACCES ? 77 : 1);
}

// The kernel's struct sched_attr, whose header does not go with glibc's <sched.h>.
struct Attributes {
  std::uint32_t size = sizeof(Attributes), policy = SCHED_DEADLINE;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0, deadline = 0, period = 0;
};

void take_policy(const std::string& policy, int nice_value, const Plan& plan) {
  prctl(PR_SET_TIMERSLACK, 1);
  if (policy == "nice") {
    if (nice_value != 0 && setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), nice_value) != 0)
      fail("setpriority");
  } else if (policy == "fifo") {
    const sched_param urgent{.sched_priority = 50};
    if (sched_setscheduler(0, SCHED_FIFO, &urgent) != 0) fail("SCHED_FIFO");
  } else if (policy == "deadline") {
    Attributes wanted;
    wanted.runtime = static_cast<std::uint64_t>(plan.work_us * 1500);
    wanted.deadline = wanted.period = plan.period_ns();
    if (syscall(SYS_sched_setattr, 0, &wanted, 0) != 0) fail("SCHED_DEADLINE");
  } else {
    errno = EINVAL;
    fail("--policy nice|fifo|deadline");
  }
}

void sleep_until(std::uint64_t when) {
  const timespec time{static_cast<time_t>(when / 1'000'000'000),
                      static_cast<long>(when % 1'000'000'000)};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr);
}

void run_track(Track& track, std::uint64_t work) {
  for (std::uint64_t frame = 0; frame < track.frames(); ++frame) {
    const std::uint64_t due = track.due(frame);
    std::uint64_t now = now_ns();
    if (now < due) {
      sleep_until(due);
      now = now_ns();
    }
    if (track.dropped(due, now)) continue;
    spin(work);
    track.ran(due, now, now_ns());
  }
}

bool transfer(int socket, char* data, ssize_t (*move)(int, char*)) {
  return move(socket, data) == 64;
}
bool receive(int socket, char* data) {
  return transfer(socket, data, [](int from, char* to) { return recv(from, to, 64, MSG_WAITALL); });
}
bool send_all(int socket, char* data) {
  return transfer(socket, data,
                  [](int to, char* from) { return send(to, from, 64, MSG_NOSIGNAL); });
}

// Both ends of a connection over loopback.
void connect_pair(int (&ends)[2]) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* where = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener, where, length) != 0 || listen(listener, 1) != 0 ||
      getsockname(listener, where, &length) != 0)
    fail("listen");
  ends[0] = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(ends[0], where, length) != 0) fail("connect");
  ends[1] = accept(listener, nullptr, nullptr);
  if (ends[1] < 0) fail("accept");
  close(listener);
  const int on = 1;
  for (const int end : ends) setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int frames(const Args& args) {
  const Plan plan{args, std::thread::hardware_concurrency()};
  const std::string policy = args.text("policy", "nice");
  const int nice_value = static_cast<int>(args.number("nice", 0));
  Background background{plan};
  const std::uint64_t start = now_ns();
  std::vector<Track> tracks;
  for (unsigned i = 0; i < plan.tracks; ++i) tracks.emplace_back(plan, i, start);

  std::vector<std::thread> threads;
  for (Track& track : tracks)
    threads.emplace_back([&] {
      take_policy(policy, nice_value, plan);
      run_track(track, plan.work());
    });
  for (auto& hog : background.hogs)
    threads.emplace_back([&] {
      for (; !background.stopped(); hog.add()) spin(plan.slice());
    });
  int ends[2] = {-1, -1};
  if (plan.io_hz > 0) {
    connect_pair(ends);
    threads.emplace_back([&, echo = ends[1]] {
      char data[64];
      while (receive(echo, data) && send_all(echo, data)) {
      }
    });
    threads.emplace_back([&, asks = ends[0]] {
      char data[64] = {};
      std::uint64_t next = now_ns();
      while (!background.stopped() && send_all(asks, data) && receive(asks, data)) {
        background.round_trips.add();
        next = std::max(next + plan.io_period_ns(), now_ns());
        sleep_until(next);
      }
      shutdown(asks, SHUT_RDWR);
    });
  }
  const Observed seen = observe(plan, start, background);
  for (std::thread& thread : threads) thread.join();
  for (const int end : ends)
    if (end >= 0) close(end);
  std::string variant = policy == "fifo"       ? "SCHED_FIFO"
                        : policy == "deadline" ? "SCHED_DEADLINE"
                                               : "";
  if (variant.empty()) variant = "nice " + std::to_string(nice_value);
  Report::print(variant.c_str(), plan, tracks, seen);
  return 0;
}

// preempt: two threads on one processor.
int preempt(const Args& args) {
  const double seconds = args.number("seconds", 5);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(0, &one);
  sched_setaffinity(0, sizeof one, &one);
  Turns turns;
  turns.start(seconds);
  std::thread other{[&] { turns.take_part(1); }};
  turns.take_part(0);
  other.join();
  turns.print("threads", seconds);
  return 0;
}

}  // namespace

int main(int count, char** words) {
  const Args args{count, words};
  if (args.name() == "frames") return frames(args);
  if (args.name() == "preempt") return preempt(args);
  std::fprintf(stderr,
               "usage: threads frames [--policy nice|fifo|deadline] [--nice N] ... | preempt\n");
  return 2;
}
