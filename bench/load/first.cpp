#include "bench/load/first.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "bench/load/clock.hpp"
#include "bench/load/connect.hpp"
#include "bench/raw/ring.hpp"

namespace bench::load {
namespace {

constexpr uint64_t patience = 5'000'000'000;  // ns

uint16_t free_port() {
  int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(socket, reinterpret_cast<sockaddr*>(&address), size) < 0 ||
      getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) < 0)
    raw::die("a free port");
  close(socket);
  return ntohs(address.sin_port);
}

pid_t start(const std::vector<std::string>& command, uint16_t port) {
  std::vector<std::string> words = command;
  for (std::string& word : words)
    if (size_t at = word.find("{port}"); at != word.npos) word.replace(at, 6, std::to_string(port));
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    int nothing = open("/dev/null", O_RDWR);
    dup2(nothing, STDOUT_FILENO);
    execvp(pointers[0], pointers.data());
    raw::die(pointers[0]);
  }
  if (pid < 0) raw::die("fork");
  return pid;
}

void stop(pid_t pid) {
  kill(pid, SIGTERM);
  for (uint64_t end = now() + patience; now() < end; usleep(1'000))
    if (waitpid(pid, nullptr, WNOHANG) == pid) return;
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
}

// ns until the first response, or 0.
uint64_t first_response(const Options& options, const std::string& request) {
  uint16_t port = free_port();
  uint64_t begin = now();
  pid_t pid = start(options.command, port);
  uint64_t time = 0;
  while (now() < begin + patience) {
    int socket = connect_to(options.address, port);
    if (socket < 0) {
      if (waitpid(pid, nullptr, WNOHANG) == pid) {
        std::fprintf(stderr, "bench_load: the command ended by itself\n");
        return 0;
      }
      usleep(20);
      continue;
    }
    Expectation expectation{options.body_bytes};
    Responses responses{expectation};
    bool good = ask(socket, request, responses);
    time = good ? now() - begin : 0;
    close(socket);
    break;
  }
  stop(pid);
  return time;
}

}  // namespace

int measure_first(const Options& options) {
  std::string request = "GET " + options.path + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
  std::vector<uint64_t> times;
  for (uint32_t i = 0; i < options.runs; ++i)
    if (uint64_t time = first_response(options, request)) times.push_back(time);
  if (times.empty()) {
    std::fprintf(stderr, "bench_load: no response came\n");
    return 1;
  }
  std::ranges::sort(times);
  auto ms = [](uint64_t ns) { return static_cast<double>(ns) * 1e-6; };
  std::printf(
      "{\"mode\":\"first\",\"median_ms\":%.3f,\"min_ms\":%.3f,\"max_ms\":%.3f,\"errors\":%zu}\n",
      ms(times[times.size() / 2]), ms(times.front()), ms(times.back()),
      options.runs - times.size());
  return 0;
}

}  // namespace bench::load
