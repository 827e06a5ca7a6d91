// Site: serves a folder and shows the runtime's own state, on every core of the machine.
//
//   /              files of the folder
//   /api/state     cores, queues, disks, memory, connections, bands, groups (JSON)
//   /api/bands     bands, lanes, groups, tasks watched and preempted, stalls: histograms (JSON)
//   /api/tasks     suspended tasks with their async stacks (JSON; ?limit=N, default 100)
//   /api/memory    frames and objects by size (JSON)
//   /events        the state as server-sent events (?every=MS, default 500)
//   /trace         what all cores do from now on, for Perfetto (?seconds=N, default 2); 503 while
//                  another one is recorded
//
// With --demo frames it draws frames beside code that never gives way.
#include <atomic>
#include <charconv>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/site/record.hpp"
#include "apps/site/state.hpp"
#include "lichen/base/log.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/coro/select.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/io/program.hpp"
#include "lichen/io/serve.hpp"
#include "lichen/net/http/file_service.hpp"
#include "lichen/net/http/server.hpp"
#include "lichen/sched/machine.hpp"

namespace lichen {

namespace site {

namespace {

using net::http::Request;
using net::http::Response;
using net::http::Status;
using namespace std::chrono_literals;

struct Arguments {
  std::uint16_t port = 8080;
  std::string_view root = "apps/site/www";
  bool list_folders = false;
  bool demo = false;
};

// What all cores share; alive as long as any of them serves.
struct Site {
  io::System& system;
  Arguments arguments;
  io::Address address;
  coro::Event stopping;
  std::atomic<bool> recording{false};       // a trace
  std::vector<net::http::Server*> servers;  // one a core, null before it serves
  std::unique_ptr<FrameDemo> demo;          // null: none
};

constexpr Duration drain_grace = 5s;

Task<> count_core(const net::http::Server* server, HttpTotals& totals) {
  if (!server) co_return;
  const auto& counters = server->counters();
  totals.accepted += counters.accepted;
  totals.requests += counters.requests;
  totals.refused += counters.refused;
  totals.timed_out += counters.timed_out;
  totals.open += counters.open;
}

// A server's counters are read on its own core, one core after the other.
Task<Result<HttpTotals>> count_all(Site& site) {
  HttpTotals totals;
  auto& machine = sched::Machine::current();
  for (unsigned i = 0; i < machine.cores(); ++i) {
    Scope reader;
    reader.spawn(count_core(site.servers[i], totals), &machine.core(i));
    CO_TRY(co_await reader.join());
  }
  co_return totals;
}

// The number after `name=` in a query; `fallback` where there is none that makes sense.
std::uint64_t query_number(std::string_view query, std::string_view name, std::uint64_t fallback) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (!pair.starts_with(name) || pair.size() <= name.size() || pair[name.size()] != '=') continue;
    const std::string_view digits = pair.substr(name.size() + 1);
    std::uint64_t number = 0;
    if (std::from_chars(digits.data(), digits.data() + digits.size(), number).ec == std::errc{})
      return number;
  }
  return fallback;
}

class SiteHandler final : public net::http::Handler {
 public:
  SiteHandler(Site& site, io::Folder& folder)
      : site_{site}, files_{folder, {.list_folders = site.arguments.list_folders}} {}

  Task<Result<void>> handle(Request& request, Response& response) override {
    const std::string_view path = request.path();
    if (path == "/events") co_return co_await events(request, response);
    if (path == "/trace") co_return co_await trace(request, response);
    if (path.starts_with("/api/")) co_return co_await api(request, response);
    co_return co_await files_.handle(request, response);
  }

 private:
  [[clang::minsize]] static Task<Result<void>> send_json(Response& response,
                                                         const std::string& json) {
    response.status(Status::ok)
        .field("Content-Type", "application/json")
        .field("Cache-Control", "no-store");
    co_return co_await response.send(json);
  }

  [[clang::minsize]] Task<Result<void>> api(Request& request, Response& response) {
    if (request.method() != net::http::Method::get && request.method() != net::http::Method::head) {
      response.status(Status::method_not_allowed).field("Allow", "GET, HEAD");
      co_return co_await response.send();
    }
    const std::string_view path = request.path();
    if (path == "/api/state") {
      const HttpTotals totals = CO_TRY(co_await count_all(site_));
      co_return co_await send_json(
          response, CO_TRY(co_await state_json(site_.system, totals, site_.demo.get(), nullptr)));
    }
    if (path == "/api/bands") co_return co_await send_json(response, CO_TRY(co_await bands_json()));
    if (path == "/api/tasks") {
      constexpr std::uint64_t most = 10'000;
      const std::uint64_t limit = std::min(query_number(request.query(), "limit", 100), most);
      co_return co_await send_json(response, tasks_json(limit));
    }
    if (path == "/api/memory")
      co_return co_await send_json(response, CO_TRY(co_await memory_json()));
    co_return co_await response.send_error(Status::not_found);
  }

  // One event at once and then one every so often, until the client goes or the site stops.
  [[clang::minsize]] Task<Result<void>> events(Request& request, Response& response) {
    const auto every = std::chrono::milliseconds{
        std::clamp<std::uint64_t>(query_number(request.query(), "every", 500), 20, 60'000)};
    response.status(Status::ok)
        .field("Content-Type", "text/event-stream")
        .field("Cache-Control", "no-store");
    std::string event;
    Seen seen;
    while (!site_.stopping.is_set()) {
      const HttpTotals totals = CO_TRY(co_await count_all(site_));
      event = "data: ";
      event += CO_TRY(co_await state_json(site_.system, totals, site_.demo.get(), &seen));
      event += "\n\n";
      CO_TRY(co_await response.write(event));
      if (response.drops_content()) break;
      CO_TRY(co_await select(site_.stopping.wait(), sleep_for(every)));
    }
    co_return Result<void>{};
  }

  [[clang::minsize]] Task<Result<void>> trace(Request& request, Response& response) {
    if (request.method() != net::http::Method::get) {
      response.status(Status::method_not_allowed).field("Allow", "GET");
      co_return co_await response.send();
    }
    const auto seconds = std::chrono::seconds{
        std::clamp<std::uint64_t>(query_number(request.query(), "seconds", 2), 1, 60)};
    // One takes megabytes for as long as it lasts, also when its client has gone.
    if (site_.recording.exchange(true))
      co_return co_await response.send_error(Status::service_unavailable);
    const auto recorded = co_await record_trace(seconds, site_.stopping);
    site_.recording = false;
    if (!recorded) co_return recorded.error();
    response.status(Status::ok)
        .field("Content-Type", "application/octet-stream")
        .field("Content-Disposition", "attachment; filename=\"lichen.pftrace\"")
        .field("Cache-Control", "no-store");
    co_return co_await response.send(*recorded);
  }

  Site& site_;
  net::http::FileService files_;
};

// From here on: what runs seldom; it is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

// Says what is wrong where there is no listener.
Task<Result<std::unique_ptr<io::Listener>>> listen(io::System& system, io::Address at,
                                                   bool shared) {
  auto listener = co_await system.network().listen(at, {.backlog = 4096, .share_port = shared});
  if (!listener)
    log::error("cannot listen on {}: {}{}", at.text(), base::describe(listener.error()),
               listener.failed_with(Error::address_in_use)
                   ? "; end the program that has the port, or choose another with --port"
                   : "");
  co_return listener;
}

// The machine may get another address.
Task<> tell_moves(io::Network& network, io::Address at, io::Address seen) {
  while (auto now = co_await network.reachable_elsewhere(at, seen)) {
    log::info("now on http://{}/", now->text());
    seen = *now;
  }
}

Task<Result<void>> serve(Site& site, unsigned core) {
  const bool shared = sched::Machine::current().cores() > 1;
  auto folder = co_await site.system.open_folder(site.arguments.root);
  if (!folder) {
    log::error("cannot open the folder {}: {}", site.arguments.root,
               base::describe(folder.error()));
    co_return folder.error();
  }
  const auto listener = CO_TRY(co_await listen(site.system, site.address, shared));
  io::Network& network = site.system.network();
  const io::Address at = network.reachable_at(listener->local());
  if (core == 0)
    log::info("serving {} on http://{}/ with {} core{}", site.arguments.root, at.text(),
              sched::Machine::current().cores(), shared ? "s" : "");

  SiteHandler handler{site, **folder};
  net::http::Server server{*listener, handler, site.system, {.name = "Lichen"}};
  site.servers[core] = &server;
  Scope scope;
  auto drain = [](Site& whole, net::http::Server& own) -> Task<Result<void>> {
    CO_TRY(co_await whole.stopping.wait());
    own.drain(drain_grace);
    co_return Result<void>{};
  };
  scope.spawn(drain(site, server), coro::this_core());
  if (core == 0) scope.spawn(tell_moves(network, listener->local(), at));
  const Result<void> outcome = co_await server.run();
  scope.request_stop();
  const Result<void> drained = co_await scope.join();
  site.servers[core] = nullptr;
  co_return outcome ? (drained.failed_with(Error::stopped) ? Result<void>{} : drained) : outcome;
}

// The site goes on without it.
Task<> show_demo(FrameDemo& demo) {
  const Result<void> outcome = co_await demo.run();
  if (!outcome && !outcome.failed_with(Error::stopped))
    log::error("the demonstration ended: {}", base::describe(outcome.error()));
}

Task<Result<void>> run(io::System& system, Arguments arguments) {
  auto& machine = sched::Machine::current();
  Site site{.system = system,
            .arguments = arguments,
            .address = system.network().service_address(arguments.port),
            .stopping = coro::Event{},
            .servers = {},
            .demo = arguments.demo ? std::make_unique<FrameDemo>(machine.cores()) : nullptr};
  site.servers.resize(machine.cores());
  if (machine.cores() > 1) {
    // Cores share their port, and so might other programs: whether one has it, or which port is
    // free, tells a listener that does not share.
    const auto alone = CO_TRY(co_await listen(system, site.address, false));
    site.address = alone->local();
  }
  CO_TRY(system.expect_requests());  // who is served may ask it to stop
  Scope scope;
  auto watch = [](Site& whole) -> Task<Result<void>> {
    CO_TRY(co_await io::wait_for_stop(whole.system));
    log::info("stopping: requests in flight have {} s to end", 5);
    whole.stopping.set();
    co_return Result<void>{};
  };
  scope.spawn(watch(site));
  if (site.demo) scope.spawn(show_demo(*site.demo));
  Scope servers;
  // Somebody watches the page move.
  const sched::LaneId lane = machine.registry().default_group().lane(sched::Qos::user_interactive);
  for (unsigned i = 0; i < machine.cores(); ++i)
    servers.spawn(serve(site, i), {.core = &machine.core(i), .lane = lane});
  const Result<void> outcome = co_await servers.join();
  scope.request_stop();
  (co_await scope.join()).ignore();
  co_return outcome;
}

std::optional<Arguments> parse(std::span<const std::string_view> words) {
  Arguments arguments;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (word == "--list-folders") {
      arguments.list_folders = true;
      continue;
    }
    const bool has_value = i + 1 < words.size();
    if (word == "--demo" && has_value) {
      if (words[++i] == "frames") {
        arguments.demo = true;
        continue;
      }
      log::error("--demo {}: there is only one demonstration, \"frames\"", words[i]);
      return std::nullopt;
    }
    if (word == "--root" && has_value) {
      arguments.root = words[++i];
      continue;
    }
    if (word == "--port" && has_value) {
      const std::string_view digits = words[++i];
      const auto [end, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), arguments.port);
      if (error == std::errc{} && end == digits.data() + digits.size()) continue;
      log::error("--port {}: a number from 0 to 65535 is wanted", digits);
      return std::nullopt;
    }
    log::error("{}: not understood, or a value is missing (--help shows the options)", word);
    return std::nullopt;
  }
  return arguments;
}

}  // namespace

}  // namespace site

const std::string_view program_help =
    "site: serves a folder over HTTP on 127.0.0.1, and the runtime's own state under /api and "
    "/events.\n"
    "  --port N           the port (default 8080; 0: any free one)\n"
    "  --root DIR         the folder (default apps/site/www)\n"
    "  --list-folders     show what is in a folder without an index.html\n"
    "  --demo frames      draw four times 120 frames a second beside code that never gives way\n";

Task<Result<void>> program_main(Program program) {
  const auto arguments = site::parse(program.arguments);
  if (!arguments) co_return Error::invalid_argument;
  co_return co_await site::run(program.system, *arguments);
}

}  // namespace lichen

#pragma clang attribute pop
