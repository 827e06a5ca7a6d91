// Echo: sends back what it receives (RFC 862), on every core of the machine.
#include <cstdint>
#include <memory>

#include "lichen/io/program.hpp"
#include "lichen/io/serve.hpp"

namespace lichen {

namespace {

Task<> echo(std::unique_ptr<io::Stream> stream) {
  for (;;) {
    auto buffer = co_await stream->receive();
    if (!buffer || buffer->empty()) co_return;  // the peer is done, or gone
    if (!co_await stream->write_all(buffer->bytes())) co_return;
  }
}

}  // namespace

const std::string_view program_help =
    "echo: sends back what it receives over TCP on 127.0.0.1.\n"
    "  --port N           the port (default 7007)\n";

Task<Result<void>> program_main(Program program) {
  const std::uint16_t port = CO_TRY(io::port_of(program.arguments, 7007));
  co_return co_await io::serve_on_all_cores(program.system, port, &echo);
}

}  // namespace lichen
