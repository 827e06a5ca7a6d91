// A main() of our own: a server and its client over TCP on this host, then an error as a value.
#include <cstddef>
#include <cstdio>
#include <span>
#include <string>

#include "lichen/coro/scope.hpp"
#include "lichen/image/run.hpp"

using namespace lichen;

static Task<Result<>> greet_once(io::Listener& listener) {
  auto stream = CO_TRY(co_await listener.accept());
  const std::string greeting = "hello over TCP";
  CO_TRY(co_await stream->write_all(std::as_bytes(std::span{greeting})));
  co_return co_await stream->shutdown(io::Direction::both);
}

static Task<Result<std::string>> greeting_from(io::Network& network, io::Address server) {
  auto stream = CO_TRY(co_await network.connect(server));
  std::string text;
  for (;;) {
    auto buffer = CO_TRY(co_await stream->receive());
    if (buffer.empty()) co_return text;
    text.append(reinterpret_cast<const char*>(buffer.bytes().data()), buffer.bytes().size());
  }
}

static Task<Result<std::string>> talk(io::System& system) {
  auto listener = CO_TRY(co_await system.network().listen(io::Address::loopback(0)));
  Scope servers;
  servers.spawn(greet_once(*listener));
  auto greeting = co_await greeting_from(system.network(), listener->local());
  CO_TRY(co_await servers.join());
  co_return greeting;
}

static Task<Result<int>> fail() { co_return Error::not_found; }

int main() {
  const auto greeting =
      run([](io::System& system) -> Task<Result<std::string>> { co_return co_await talk(system); });
  if (!greeting) return 1;
  std::printf("%s\n", greeting.value().c_str());
  return run(fail()).failed_with(Error::not_found) ? 0 : 1;
}
