// echo --port N: Boost.Asio with completion handlers, one thread.
#include <array>
#include <boost/asio.hpp>
#include <memory>

#include "bench/peers/measure.hpp"

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  explicit Connection(tcp::socket socket) : socket_{std::move(socket)} {}

  void read() {
    socket_.async_read_some(asio::buffer(buffer_),
                            [self = shared_from_this()](error_code error, size_t length) {
                              if (!error) self->write(length);
                            });
  }

 private:
  void write(size_t length) {
    asio::async_write(socket_, asio::buffer(buffer_, length),
                      [self = shared_from_this()](error_code error, size_t) {
                        if (!error) self->read();
                      });
  }

  tcp::socket socket_;
  std::array<char, 4096> buffer_;
};

void accept(tcp::acceptor& acceptor) {
  acceptor.async_accept([&acceptor](error_code error, tcp::socket socket) {
    if (error == asio::error::operation_aborted) return;
    if (!error) {
      error_code ignored;
      socket.set_option(tcp::no_delay{true}, ignored);
      std::make_shared<Connection>(std::move(socket))->read();
    }
    accept(acceptor);
  });
}

}  // namespace

int main(int count, char** words) {
  bench::peers::Args args{count, words};
  if (args.name() != "echo") return std::fprintf(stderr, "usage: echo --port N\n"), 2;
  asio::io_context context{1};
  asio::signal_set signals{context, SIGTERM};
  signals.async_wait([&](error_code, int) { context.stop(); });
  auto port = static_cast<unsigned short>(args.number("--port", 0));
  tcp::acceptor acceptor{context, {asio::ip::address_v4::loopback(), port}};
  accept(acceptor);
  std::printf("ready %d\n", acceptor.local_endpoint().port());
  std::fflush(stdout);
  context.run();
}
