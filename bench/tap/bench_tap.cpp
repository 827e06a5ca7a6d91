// bench_tap: the server of `bench/run --only tap`, on every core of the machine. The first byte of
// a connection says what is wanted:
//
//   'S'  takes everything until the end and answers with the number of bytes, 8, little-endian
//   'R'  sends until the peer has gone
//   'E'  sends back what comes
#include <array>
#include <bit>
#include <charconv>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "lichen/base/log.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/io/program.hpp"
#include "lichen/io/serve.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen {

namespace {

constexpr std::size_t write_size = 256 * 1024;

Task<Result<void>> take_all(io::Stream& stream, std::uint64_t count) {
  for (;;) {
    const io::Buffer buffer = CO_TRY(co_await stream.receive());
    if (buffer.empty()) break;
    count += buffer.size();
  }
  const auto answer = std::bit_cast<std::array<std::byte, 8>>(count);
  co_return co_await stream.write_all(answer);
}

Task<Result<void>> send_for_ever(io::Stream& stream) {
  const std::vector<std::byte> bytes(write_size, std::byte{0x5a});
  for (;;) CO_TRY(co_await stream.write_all(bytes));
}

Task<Result<void>> send_back(io::Stream& stream, io::Buffer buffer) {
  for (;;) {
    if (!buffer.empty()) CO_TRY(co_await stream.write_all(buffer.bytes()));
    buffer = CO_TRY(co_await stream.receive());
    if (buffer.empty()) co_return Result<void>{};
  }
}

Task<> serve(std::unique_ptr<io::Stream> stream) {
  io::Buffer first;
  if (auto buffer = co_await stream->receive()) first = std::move(*buffer);
  if (first.empty()) co_return;
  const char wish = static_cast<char>(first.bytes()[0]);
  first.consume(1);
  Result<void> outcome;
  if (wish == 'S')
    outcome = co_await take_all(*stream, first.size());
  else if (wish == 'R')
    outcome = co_await send_for_ever(*stream);
  else if (wish == 'E')
    outcome = co_await send_back(*stream, std::move(first));
  outcome.ignore();  // the client knows how it ended
}

// Connections stay on the core that accepted them.
Task<Result<void>> serve_core(io::Network& network, io::Address at, bool shared) {
  auto listener = CO_TRY(co_await network.listen(at, {.backlog = 4096, .share_port = shared}));
  co_return co_await io::serve_connections(*listener, &serve);
}

}  // namespace

const std::string_view program_help =
    "bench_tap: a sink, a source and an echo of TCP, for bench/run.\n"
    "  --port N           the port (default 7100)\n";

Task<Result<void>> program_main(Program program) {
  std::uint16_t port = 7'100;
  const auto words = program.arguments;
  for (std::size_t i = 0; i < words.size(); i += 2) {
    const bool valid =
        words[i] == "--port" && i + 1 < words.size() &&
        std::from_chars(words[i + 1].data(), words[i + 1].data() + words[i + 1].size(), port).ec ==
            std::errc{};
    if (!valid) {
      log::error("{}: not understood (--help shows the options)", words[i]);
      co_return Error::invalid_argument;
    }
  }
  auto& machine = sched::Machine::current();
  io::Network& network = program.system.network();
  Scope servers;
  for (unsigned i = 0; i < machine.cores(); ++i)
    servers.spawn(serve_core(network, network.service_address(port), machine.cores() > 1),
                  &machine.core(i));
  auto watch = [](io::System& outside, Scope& running) -> Task<Result<void>> {
    CO_TRY(co_await io::wait_for_stop(outside));
    running.request_stop();
    co_return Result<void>{};
  };
  servers.spawn(watch(program.system, servers));
  co_return co_await servers.join();
}

}  // namespace lichen
