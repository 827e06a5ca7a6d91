// bench_tap_host: the host's own sockets, blocking, a thread for each connection. Both ends of the
// baseline, and the client of ours.
//
//   serve ADDRESS PORT                             what bench_tap does (see there)
//   client ADDRESS PORT MODE SECONDS CONNECTIONS   one JSON line
//
// MODE: to (the stream goes to the server), from, echo (64 B there and back, one at a time).
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t size_of_call = 256 * 1024;
constexpr std::size_t size_of_message = 64;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

std::uint64_t clock_ns() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

std::uint64_t processor_ns() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto ns = [](const timeval& time) {
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(time.tv_usec) * 1'000;
  };
  return ns(usage.ru_utime) + ns(usage.ru_stime);
}

sockaddr_in address_of(const char* text, const char* port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(port)));
  if (inet_pton(AF_INET, text, &address.sin_addr) != 1) fail(text);
  return address;
}

void without_delay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

bool send_all(int fd, const void* bytes, std::size_t size) {
  const char* at = static_cast<const char*>(bytes);
  while (size > 0) {
    const ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    at += sent;
    size -= static_cast<std::size_t>(sent);
  }
  return true;
}

bool receive_all(int fd, void* into, std::size_t size) {
  char* at = static_cast<char*>(into);
  while (size > 0) {
    const ssize_t got = recv(fd, at, size, 0);
    if (got <= 0) return false;
    at += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

void serve(int fd) {
  std::vector<char> bytes(size_of_call, 0x5a);
  without_delay(fd);
  char wish = 0;
  if (receive_all(fd, &wish, 1)) {
    if (wish == 'S') {
      std::uint64_t count = 0;
      ssize_t got = 0;
      while ((got = recv(fd, bytes.data(), bytes.size(), 0)) > 0)
        count += static_cast<std::uint64_t>(got);
      send_all(fd, &count, sizeof count);
    } else if (wish == 'R') {
      while (send_all(fd, bytes.data(), bytes.size())) {
      }
    } else if (wish == 'E') {
      ssize_t got = 0;
      while ((got = recv(fd, bytes.data(), bytes.size(), 0)) > 0 &&
             send_all(fd, bytes.data(), static_cast<std::size_t>(got))) {
      }
    }
  }
  close(fd);
}

int serve_all(const sockaddr_in& at) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) fail("bind");
  if (listen(listener, 1'024) != 0) fail("listen");
  for (;;) {
    const int fd = accept(listener, nullptr, nullptr);
    if (fd < 0) fail("accept");
    std::thread{[fd] { serve(fd); }}.detach();
  }
}

struct Outcome {
  std::uint64_t bytes = 0;
  std::uint64_t began = 0;
  std::uint64_t ended = 0;
  std::vector<std::uint32_t> round_trips;
  bool whole = false;  // and it went as it should
};

// As long as `until` is to come; each connection has a thread.
void run_client(const sockaddr_in& to, char mode, std::uint64_t duration, Outcome& outcome) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval limit{.tv_sec = 10, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  without_delay(fd);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) fail("connect");
  std::vector<char> bytes(size_of_call, 0x5a);
  if (!send_all(fd, &mode, 1)) fail("send");
  outcome.began = clock_ns();
  const std::uint64_t until = outcome.began + duration;
  bool good = true;
  if (mode == 'S') {
    std::uint64_t sent = 0;
    while (good && clock_ns() < until) {
      good = send_all(fd, bytes.data(), bytes.size());
      sent += bytes.size();
    }
    shutdown(fd, SHUT_WR);
    std::uint64_t taken = 0;
    good = good && receive_all(fd, &taken, sizeof taken) && taken == sent;
    outcome.bytes = taken;
  } else if (mode == 'R') {
    while (good && clock_ns() < until) {
      const ssize_t got = recv(fd, bytes.data(), bytes.size(), 0);
      good = got > 0;
      if (good) outcome.bytes += static_cast<std::uint64_t>(got);
    }
  } else {
    outcome.round_trips.reserve(1'000'000);
    while (good) {
      const std::uint64_t start = clock_ns();
      if (start >= until) break;
      good = send_all(fd, bytes.data(), size_of_message) &&
             receive_all(fd, bytes.data(), size_of_message);
      outcome.bytes += size_of_message;
      outcome.round_trips.push_back(static_cast<std::uint32_t>(clock_ns() - start));
    }
  }
  outcome.ended = clock_ns();
  outcome.whole = good;
  close(fd);
}

int measure(const sockaddr_in& to, const char* mode, double seconds, int connections) {
  const char wish = std::strcmp(mode, "to") == 0 ? 'S' : std::strcmp(mode, "from") == 0 ? 'R' : 'E';
  const auto duration = static_cast<std::uint64_t>(seconds * 1e9);
  std::vector<Outcome> outcomes(static_cast<std::size_t>(connections));
  std::vector<std::thread> threads;
  const std::uint64_t processor = processor_ns();
  for (Outcome& outcome : outcomes)
    threads.emplace_back([&] { run_client(to, wish, duration, outcome); });
  for (std::thread& thread : threads) thread.join();
  const std::uint64_t used = processor_ns() - processor;
  std::uint64_t bytes = 0;
  std::uint64_t began = ~std::uint64_t{0};
  std::uint64_t ended = 0;
  bool whole = true;
  std::vector<std::uint32_t> trips;
  for (const Outcome& outcome : outcomes) {
    bytes += outcome.bytes;
    began = std::min(began, outcome.began);
    ended = std::max(ended, outcome.ended);
    whole = whole && outcome.whole;
    trips.insert(trips.end(), outcome.round_trips.begin(), outcome.round_trips.end());
  }
  if (!whole) {
    std::fprintf(stderr, "a connection broke\n");
    return 1;
  }
  std::ranges::sort(trips);
  const auto quantile = [&](double q) {
    if (trips.empty()) return 0.0;
    return trips[static_cast<std::size_t>(q * static_cast<double>(trips.size() - 1))] / 1e3;
  };
  std::printf(
      "{\"name\":\"tap\",\"mode\":\"%s\",\"bytes\":%llu,\"seconds\":%.4f,\"gbit_per_s\":%.3f,"
      "\"client_ns\":%llu,\"round_trips\":%zu,\"p50_us\":%.2f,\"p99_us\":%.2f}\n",
      mode, static_cast<unsigned long long>(bytes), static_cast<double>(ended - began) / 1e9,
      static_cast<double>(bytes) * 8 / static_cast<double>(ended - began),
      static_cast<unsigned long long>(used), trips.size(), quantile(0.5), quantile(0.99));
  return 0;
}

}  // namespace

int main(int count, char** words) {
  if (count == 4 && std::strcmp(words[1], "serve") == 0)
    return serve_all(address_of(words[2], words[3]));
  if (count == 7 && std::strcmp(words[1], "client") == 0)
    return measure(address_of(words[2], words[3]), words[4], std::atof(words[5]),
                   std::max(std::atoi(words[6]), 1));
  std::fprintf(stderr,
               "bench_tap_host: serve ADDRESS PORT | client ADDRESS PORT MODE SECONDS "
               "CONNECTIONS\n");
  return 2;
}
