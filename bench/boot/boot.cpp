// The site's server without the rest of the site: says on the console how long its core has worked
// until the app began, until it served, and until the first response was ready.
#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include "lichen/base/format.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/io/program.hpp"
#include "lichen/net/http/file_service.hpp"
#include "lichen/net/http/server.hpp"

namespace lichen {

namespace {

void say(std::string_view what) {
  std::array<char, 96> room;
  hal::write_console(base::format_to(room, "{}: worked {} ns, at {} ns\n", what,
                                     hal::core_time_ns(), hal::now_ns())
                         .text);
}

class Timed final : public net::http::Handler {
 public:
  explicit Timed(io::Folder& folder) : files_{folder, {}} {}

  Task<Result<void>> handle(net::http::Request& request, net::http::Response& response) override {
    const Result<void> outcome = co_await files_.handle(request, response);
    if (!std::exchange(served_, true)) say("response");
    co_return outcome;
  }

 private:
  net::http::FileService files_;
  bool served_ = false;
};

}  // namespace

const std::string_view program_help = "boot: for bench/run --only boot.\n";

Task<Result<void>> program_main(Program program) {
  say("app");
  const auto folder = CO_TRY(co_await program.system.open_folder("www"));
  io::Network& network = program.system.network();
  const auto listener = CO_TRY(co_await network.listen(network.service_address(8080)));
  Timed handler{*folder};
  net::http::Server server{*listener, handler, program.system, {.name = "Lichen"}};
  say("serving");
  co_return co_await server.run();
}

}  // namespace lichen
