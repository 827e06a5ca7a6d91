// bench_http: the smallest HTTP server that can be measured beside hyper: /plaintext from memory,
// and files of a folder for everything else.
#include <charconv>
#include <cstdint>
#include <string_view>

#include "lichen/base/log.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/io/program.hpp"
#include "lichen/io/serve.hpp"
#include "lichen/net/http/file_service.hpp"
#include "lichen/net/http/server.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen {

namespace {

class Handler final : public net::http::Handler {
 public:
  explicit Handler(io::Folder& folder) : files_{folder} {}

  [[clang::coro_wrapper]] Task<Result<void>> handle(net::http::Request& request,
                                                    net::http::Response& response) override {
    if (request.path() == "/plaintext") return hello(response);
    return files_.handle(request, response);
  }

 private:
  static Task<Result<void>> hello(net::http::Response& response) {
    response.status(net::http::Status::ok).field("Content-Type", "text/plain");
    co_return co_await response.send("Hello, World!");
  }

  net::http::FileService files_;
};

// On one core, with the connections that it accepts, until all are to end.
Task<Result<void>> serve(io::System& system, std::uint16_t port, io::Folder& folder,
                         Event& ending) {
  auto& network = system.network();
  const bool shared = sched::Machine::current().cores() > 1;
  auto listener = CO_TRY(co_await network.listen(network.service_address(port),
                                                 {.backlog = 4096, .share_port = shared}));
  log::info("bench_http on {}", listener->local().text());
  Handler handler{folder};
  net::http::Server server{*listener, handler, system};
  Scope scope{OnError::keep_going};
  auto watch = [](net::http::Server& running, Event& asked) -> Task<Result<void>> {
    CO_TRY(co_await asked.wait());
    running.drain(std::chrono::seconds{1});
    co_return Result<void>{};
  };
  scope.spawn(watch(server, ending), coro::this_core());
  const Result<void> outcome = co_await server.run();
  scope.request_stop();
  (co_await scope.join()).ignore();
  co_return outcome;
}

Task<Result<void>> serve_on_each_core(io::System& system, std::uint16_t port,
                                      std::string_view root) {
  auto folder = CO_TRY(co_await system.open_folder(root));
  auto& machine = sched::Machine::current();
  CO_TRY(system.expect_requests());
  Event ending;
  auto watch = [](io::System& outside, Event& ending) -> Task<Result<void>> {
    CO_TRY(co_await io::wait_for_stop(outside));
    ending.set();
    co_return Result<void>{};
  };
  Scope watching{OnError::keep_going};
  watching.spawn(watch(system, ending));
  Scope servers;
  for (unsigned i = 0; i < machine.cores(); ++i)
    servers.spawn(serve(system, port, *folder, ending), &machine.core(i));
  const Result<void> outcome = co_await servers.join();
  watching.request_stop();
  (co_await watching.join()).ignore();
  co_return outcome;
}

}  // namespace

const std::string_view program_help =
    "bench_http: answers /plaintext from memory and serves a folder.\n"
    "  --port N           the port\n"
    "  --root DIR         the folder (default .)\n";

Task<Result<void>> program_main(Program program) {
  std::uint16_t port = 0;
  std::string_view root = ".";
  const auto words = program.arguments;
  for (std::size_t i = 0; i + 1 < words.size(); i += 2) {
    if (words[i] == "--port") {
      std::from_chars(words[i + 1].data(), words[i + 1].data() + words[i + 1].size(), port);
    } else if (words[i] == "--root") {
      root = words[i + 1];
    } else {
      log::error("{}: not understood (--help shows the options)", words[i]);
      co_return Error::invalid_argument;
    }
  }
  co_return co_await serve_on_each_core(program.system, port, root);
}

}  // namespace lichen
