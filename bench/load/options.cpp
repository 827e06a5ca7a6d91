#include "bench/load/options.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace bench::load {
namespace {

constexpr const char* usage =
    "bench_load MODE --port N [--param value]... : load on a server, one JSON line\n"
    "  echo   closed loop of --bytes N (512) on each of --connections N (100)\n"
    "  http   closed loop of GET --path P (/plaintext), --pipeline N (1) at once, on each of\n"
    "         --connections N; --body-bytes N checks the length of every body\n"
    "  idle   http without and with --idle N (10000) more keep-alive connections held open\n"
    "  first  time from starting a command to its first complete response: first --path P\n"
    "         --runs N (10) -- COMMAND ... with {port} where the port belongs\n"
    "  all: --address A (127.0.0.1) is where the server is\n"
    "  all: --seconds S (2) and --requests N bound what is measured, after --warmup S (0.3);\n"
    "       --server-pid PID reports the server's CPU time; --spin 1 polls instead of sleeping\n";

[[noreturn]] void fail(std::string_view what, std::string_view word) {
  std::fprintf(stderr, "bench_load: %.*s %.*s\n\n%s", static_cast<int>(what.size()), what.data(),
               static_cast<int>(word.size()), word.data(), usage);
  std::exit(2);
}

template <class Number>
Number number(std::string_view key, std::string_view text, Number least, Number most) {
  Number value{};
  auto [end, error] = std::from_chars(text.begin(), text.end(), value);
  if (error != std::errc{} || end != text.end() || value < least || value > most)
    fail("out of range or not a number:", key);
  return value;
}

uint32_t ipv4(std::string_view text) {
  in_addr address{};
  if (inet_pton(AF_INET, std::string{text}.c_str(), &address) != 1)
    fail("not an IPv4 address:", text);
  return ntohl(address.s_addr);
}

}  // namespace

Options parse(int count, char** words) {
  if (count < 2 || std::string_view{words[1]} == "--help") fail("MODE is missing", "");
  Options options;
  std::string_view mode = words[1];
  if (mode == "echo")
    options.mode = Options::Mode::echo;
  else if (mode == "http")
    options.mode = Options::Mode::http;
  else if (mode == "idle")
    options.mode = Options::Mode::idle;
  else if (mode == "first")
    options.mode = Options::Mode::first;
  else
    fail("no such mode:", mode);

  for (int at = 2; at < count; at += 2) {
    std::string_view key = words[at];
    if (key == "--") {
      options.command.assign(words + at + 1, words + count);
      break;
    }
    if (at + 1 == count) fail("a value is missing after", key);
    std::string_view text = words[at + 1];
    if (key == "--address")
      options.address = ipv4(text);
    else if (key == "--port")
      options.port = number<uint16_t>(key, text, 1, 65535);
    else if (key == "--connections")
      options.connections = number<uint32_t>(key, text, 1, 20'000);
    else if (key == "--idle")
      options.idle = number<uint32_t>(key, text, 1, 20'000);
    else if (key == "--pipeline")
      options.pipeline = number<uint32_t>(key, text, 1, 128);
    else if (key == "--bytes")
      options.bytes = number<uint32_t>(key, text, 1, 1 << 20);
    else if (key == "--path")
      options.path = text;
    else if (key == "--body-bytes")
      options.body_bytes = number<int64_t>(key, text, 0, 1 << 30);
    else if (key == "--seconds")
      options.seconds = number<double>(key, text, 0.01, 600);
    else if (key == "--warmup")
      options.warmup = number<double>(key, text, 0, 60);
    else if (key == "--requests")
      options.requests = number<uint64_t>(key, text, 1, UINT64_MAX);
    else if (key == "--server-pid")
      options.server_pid = number<int>(key, text, 1, INT32_MAX);
    else if (key == "--spin")
      options.spin = number<int>(key, text, 0, 1) != 0;
    else if (key == "--runs")
      options.runs = number<uint32_t>(key, text, 1, 1'000);
    else
      fail("no such parameter:", key);
  }
  if (options.mode == Options::Mode::first) {
    if (options.command.empty()) fail("first wants", "-- COMMAND");
  } else if (options.port == 0) {
    fail("which server?", "--port is missing");
  }
  return options;
}

}  // namespace bench::load
