// bench_tap: the server of `bench/run --only tap`, on every core of the machine. The first byte of
// a connection says what is wanted:
//
//   'S'  takes everything until the end and answers with the number of bytes, 8, little-endian
//   'R'  sends until the peer has gone
//   'E'  sends back what comes
#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "lichen/io/program.hpp"
#include "lichen/io/serve.hpp"

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

}  // namespace

const std::string_view program_help =
    "bench_tap: a sink, a source and an echo of TCP, for bench/run.\n"
    "  --port N           the port (default 7100)\n";

Task<Result<void>> program_main(Program program) {
  const std::uint16_t port = CO_TRY(io::port_of(program.arguments, 7'100));
  co_return co_await io::serve_on_all_cores(program.system, port, &serve);
}

}  // namespace lichen
