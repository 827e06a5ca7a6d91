// bench_echo_floor echo --port N: an echo server straight on io_uring, with nothing of a runtime:
// no tasks, no cancellation, no timeouts, no errors beyond closing. What any server of ours is held
// to.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "bench/raw/ring.hpp"

namespace {

using bench::raw::Buffers;
using bench::raw::Ring;

enum Kind : uint64_t { accepted, received, sent };

// What a completion belongs to: the kind, the buffer that is being sent, the socket.
constexpr uint64_t tag(Kind kind, int socket, uint16_t buffer = 0) {
  return kind | uint64_t{buffer} << 8 | static_cast<uint64_t>(socket) << 32;
}

int listen_on(uint16_t port) {
  int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int on = 1;
  setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // what it accepts inherits this
  if (bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0 ||
      listen(socket, 4096) < 0)
    bench::raw::die("listen");
  return socket;
}

void accept_on(Ring& ring, int listener) {
  io_uring_sqe& entry = ring.entry();
  entry.opcode = IORING_OP_ACCEPT;
  entry.fd = listener;
  entry.ioprio = IORING_ACCEPT_MULTISHOT;
  entry.user_data = tag(accepted, listener);
}

void receive_on(Ring& ring, int socket) {
  bench::raw::prepare_receive(ring.entry(), socket, tag(received, socket));
}

void serve(int listener) {
  Ring ring{4096};
  Buffers buffers{ring, 4096, 4096};
  accept_on(ring, listener);
  while (true) {
    ring.submit_and_wait(1);
    ring.reap([&](const io_uring_cqe& completion) {
      auto socket = static_cast<int>(completion.user_data >> 32);
      bool more = (completion.flags & IORING_CQE_F_MORE) != 0;
      switch (static_cast<Kind>(completion.user_data & 0xff)) {
        case accepted:
          if (completion.res >= 0) receive_on(ring, completion.res);
          if (!more) accept_on(ring, listener);
          return;
        case received:
          if (completion.res > 0) {
            uint16_t buffer = Buffers::number(completion);
            bench::raw::prepare_send(ring.entry(), socket, buffers.at(buffer),
                                     static_cast<size_t>(completion.res),
                                     tag(sent, socket, buffer));
          } else if (completion.res != -ENOBUFS) {
            close(socket);
            return;
          }
          if (!more) receive_on(ring, socket);
          return;
        case sent: buffers.give_back(static_cast<uint16_t>(completion.user_data >> 8)); return;
      }
    });
  }
}

}  // namespace

int main(int count, char** words) {
  if (count != 4 || std::string_view{words[1]} != "echo" || std::string_view{words[2]} != "--port")
    return std::fprintf(stderr, "usage: bench_echo_floor echo --port N\n"), 2;
  rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  auto port = static_cast<uint16_t>(std::atoi(words[3]));
  int listener = listen_on(port);
  std::printf("ready %u\n", port);
  std::fflush(stdout);
  serve(listener);
}
