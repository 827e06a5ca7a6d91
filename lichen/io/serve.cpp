#include "lichen/io/serve.hpp"

#include <charconv>
#include <utility>

#include "lichen/base/log.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen::io {

namespace {

Task<Result<void>> serve_here(Network& network, Address at, ListenOptions options,
                              ServeConnection serve) {
  const auto listener = CO_TRY(co_await network.listen(at, options));
  log::info("serving on {}", network.reachable_at(listener->local()).text());
  co_return co_await serve_connections(*listener, serve);
}

Task<Result<void>> end_when_asked(System& system, Scope& servers) {
  CO_TRY(co_await wait_for_stop(system));
  servers.request_stop();
  co_return Result<void>{};
}

}  // namespace

Task<Result<void>> serve_connections(Listener& listener, ServeConnection serve) {
  Scope connections{OnError::keep_going};
  Result<void> outcome;
  while (outcome) {
    if (auto stream = co_await listener.accept())
      connections.spawn(serve(std::move(*stream)), coro::this_core());
    else
      outcome = stream.error();
  }
  connections.request_stop();
  CO_TRY(co_await connections.join());
  co_return outcome;
}

Task<Result<void>> serve_on_all_cores(System& system, std::uint16_t port, ServeConnection serve) {
  CO_TRY(system.expect_requests());  // who is served may ask for one
  auto& machine = sched::Machine::current();
  const ListenOptions options{.backlog = 4096, .share_port = machine.cores() > 1};
  Network& network = system.network();
  Scope servers;
  for (unsigned i = 0; i < machine.cores(); ++i)
    servers.spawn(serve_here(network, network.service_address(port), options, serve),
                  &machine.core(i));
  servers.spawn(end_when_asked(system, servers));
  co_return co_await servers.join();
}

Task<Result<void>> wait_for_stop(System& system) {
  while (CO_TRY(co_await system.next_request()) != Request::stop) {
  }
  co_return Result<void>{};
}

Result<std::uint16_t> port_of(std::span<const std::string_view> arguments, std::uint16_t usual) {
  std::uint16_t port = usual;
  for (std::size_t i = 0; i < arguments.size(); i += 2) {
    const std::string_view digits = i + 1 < arguments.size() ? arguments[i + 1] : "";
    const char* const last = digits.data() + digits.size();
    const auto [end, error] = std::from_chars(digits.data(), last, port);
    if (arguments[i] == "--port" && error == std::errc{} && end == last) continue;
    log::error("{} {}: not understood (--help shows the options)", arguments[i], digits);
    return Error::invalid_argument;
  }
  return port;
}

}  // namespace lichen::io
