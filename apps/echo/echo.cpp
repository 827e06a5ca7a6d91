// Echo: sends back what it receives (RFC 862), on every core of the machine.
#include <charconv>
#include <cstdint>
#include <memory>

#include "lichen/base/log.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/io/program.hpp"
#include "lichen/io/serve.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen {

namespace {

Task<> echo(std::unique_ptr<io::Stream> stream) {
  for (;;) {
    auto buffer = co_await stream->receive();
    if (!buffer || buffer->empty()) co_return;  // the peer is done, or gone
    if (!co_await stream->write_all(buffer->bytes())) co_return;
  }
}

// Accepts and serves on one core; connections stay on the core that accepted them.
Task<Result<void>> serve(io::Network& network, io::Address at, io::ListenOptions options) {
  auto listener = CO_TRY(co_await network.listen(at, options));
  log::info("echo on {}", listener->local().text());
  co_return co_await io::serve_connections(*listener, &echo);
}

Task<Result<void>> serve_until_asked_to_stop(io::System& system, std::uint16_t port) {
  auto& machine = sched::Machine::current();
  Scope servers;
  for (unsigned i = 0; i < machine.cores(); ++i)
    servers.spawn(serve(system.network(), system.network().service_address(port),
                        {.backlog = 4096, .share_port = machine.cores() > 1}),
                  &machine.core(i));
  auto watch = [](io::System& outside, Scope& running) -> Task<Result<void>> {
    CO_TRY(co_await io::wait_for_stop(outside));
    running.request_stop();
    co_return Result<void>{};
  };
  servers.spawn(watch(system, servers));
  co_return co_await servers.join();
}

}  // namespace

const std::string_view program_help =
    "echo: sends back what it receives over TCP on 127.0.0.1.\n"
    "  --port N           the port (default 7007)\n";

Task<Result<void>> program_main(Program program) {
  std::uint16_t port = 7007;
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
  co_return co_await serve_until_asked_to_stop(program.system, port);
}

}  // namespace lichen
