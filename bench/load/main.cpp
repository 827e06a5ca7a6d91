// Load on a server on this machine. One thread, raw io_uring, little work per request: on two
// cores, with the server on the other one, the server is to be the slower part. Whether it was is
// printed (load_busy, server_busy).
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cinttypes>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "bench/load/clock.hpp"
#include "bench/load/closed_loop.hpp"
#include "bench/load/connect.hpp"
#include "bench/load/first.hpp"
#include "bench/load/options.hpp"
#include "bench/load/server.hpp"

namespace bench::load {
namespace {

double microseconds(uint64_t ns) { return static_cast<double>(ns) * 1e-3; }

std::string get_request(const Options& options, uint32_t times) {
  std::string all;
  for (uint32_t i = 0; i < times; ++i)
    all += "GET " + options.path + " HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n";
  return all;
}

// Nothing that shows in a server's stride: no byte repeats at the distance of a cache line.
std::string echo_message(uint32_t bytes) {
  std::string message(bytes, '\0');
  uint32_t state = 1;
  for (char& byte : message) {
    state = state * 1'664'525 + 1'013'904'223;
    byte = static_cast<char>(state >> 24);
  }
  return message;
}

void print(const char* mode, const Options& options, const Measured& measured) {
  double requests = static_cast<double>(measured.requests);
  std::printf("{\"mode\":\"%s\",\"connections\":%u,\"pipeline\":%u,\"requests\":%" PRIu64
              ",\"errors\":%" PRIu64
              ",\"seconds\":%.3f,\"requests_per_second\":%.0f,"
              "\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,"
              "\"server_ns_per_request\":%.0f,\"server_busy\":%.3f,\"load_busy\":%.3f}\n",
              mode, options.connections, options.pipeline, measured.requests, measured.errors,
              measured.seconds, requests / measured.seconds,
              microseconds(measured.latency.quantile(0.5)),
              microseconds(measured.latency.quantile(0.99)), microseconds(measured.latency.max()),
              requests > 0 ? measured.server_seconds * 1e9 / requests : 0,
              measured.server_seconds / measured.seconds, measured.own_seconds / measured.seconds);
}

// The first response of all sets what the others must look like.
void learn(const Options& options, Expectation& expectation) {
  int socket = connect_to(options.address, options.port);
  if (socket < 0) raw::die("connect");
  Responses responses{expectation};
  if (!ask(socket, get_request(options, 1), responses)) {
    std::fprintf(stderr, "bench_load: %s: not the response it should be\n", options.path.c_str());
    std::exit(1);
  }
  close(socket);
}

int exit_status(const Measured& measured) { return measured.requests == 0 ? 1 : 0; }

int run_echo(const Options& options) {
  std::string message = echo_message(options.bytes);
  Expectation expectation{std::string_view{message}};
  auto loop = std::make_unique<ClosedLoop>(options, expectation, message, 1);
  Measured measured = loop->run();
  print("echo", options, measured);
  return exit_status(measured);
}

int run_http(const Options& options) {
  Expectation expectation{options.body_bytes};
  learn(options, expectation);
  auto loop = std::make_unique<ClosedLoop>(
      options, expectation, get_request(options, options.pipeline), options.pipeline);
  Measured measured = loop->run();
  print("http", options, measured);
  return exit_status(measured);
}

// Twice the same load, without and with the idle connections. Each of those has had one response,
// and at the end must still be open and silent.
int run_idle(const Options& options) {
  Expectation expectation{options.body_bytes};
  learn(options, expectation);
  auto loop = std::make_unique<ClosedLoop>(
      options, expectation, get_request(options, options.pipeline), options.pipeline);
  Measured alone = loop->run();
  uint64_t memory_before = memory(options.server_pid);
  std::vector<int> sockets;
  uint64_t errors = 0;
  std::string request = get_request(options, 1);
  for (uint32_t i = 0; i < options.idle; ++i) {
    int socket = connect_to(options.address, options.port);
    Responses responses{expectation};
    if (socket < 0 || !ask(socket, request, responses))
      ++errors;
    else
      sockets.push_back(socket);
    if (socket < 0) break;
  }
  uint64_t memory_after = memory(options.server_pid);
  Measured crowded = loop->run();
  for (int socket : sockets) {
    char byte;
    if (recv(socket, &byte, 1, MSG_DONTWAIT) >= 0 || errno != EAGAIN) ++errors;
    close(socket);
  }
  errors += alone.errors + crowded.errors;
  double grown = static_cast<double>(memory_after) - static_cast<double>(memory_before);
  std::printf(
      "{\"mode\":\"idle\",\"idle\":%zu,\"connections\":%u,\"errors\":%" PRIu64
      ",\"bytes_per_idle\":%.0f,\"requests_per_second_alone\":%.0f,\"requests_per_second\":%.0f,"
      "\"p50_us_alone\":%.1f,\"p50_us\":%.1f,\"p99_us_alone\":%.1f,\"p99_us\":%.1f}\n",
      sockets.size(), options.connections, errors,
      sockets.empty() ? 0 : grown / static_cast<double>(sockets.size()),
      static_cast<double>(alone.requests) / alone.seconds,
      static_cast<double>(crowded.requests) / crowded.seconds,
      microseconds(alone.latency.quantile(0.5)), microseconds(crowded.latency.quantile(0.5)),
      microseconds(alone.latency.quantile(0.99)), microseconds(crowded.latency.quantile(0.99)));
  return exit_status(crowded);
}

void raise_file_limit() {
  rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int run(int count, char** words) {
  Options options = parse(count, words);
  signal(SIGPIPE, SIG_IGN);
  raise_file_limit();
  switch (options.mode) {
    case Options::Mode::echo: return run_echo(options);
    case Options::Mode::http: return run_http(options);
    case Options::Mode::idle: return run_idle(options);
    case Options::Mode::first: return measure_first(options);
  }
  return 2;
}

}  // namespace
}  // namespace bench::load

int main(int count, char** words) { return bench::load::run(count, words); }
