#include "bench/load/closed_loop.hpp"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include "bench/load/clock.hpp"
#include "bench/load/connect.hpp"
#include "bench/load/server.hpp"

namespace bench::load {
namespace {

constexpr uint64_t too_many_errors = 10'000;
constexpr uint64_t patience = 2'000'000'000;  // ns for what is under way at the end

uint64_t nanoseconds(double seconds) { return static_cast<uint64_t>(seconds * 1e9); }

}  // namespace

ClosedLoop::ClosedLoop(const Options& options, Expectation& expectation, std::string request,
                       uint32_t answers)
    : options_{options},
      expectation_{expectation},
      request_{std::move(request)},
      answers_{answers} {
  connections_.reserve(options.connections);
  for (uint32_t i = 0; i < options.connections; ++i) {
    int socket = connect_to(options.address, options.port);
    if (socket < 0) raw::die("connect");
    connections_.emplace_back(socket, expectation);
  }
}

ClosedLoop::~ClosedLoop() {
  for (Connection& connection : connections_)
    if (connection.socket >= 0) close(connection.socket);
}

Measured ClosedLoop::run() {
  measured_ = Measured{};
  uint64_t begin = now();
  uint64_t end_of_warmup = begin + nanoseconds(options_.warmup);
  uint64_t end = end_of_warmup + nanoseconds(options_.seconds);
  uint64_t measured_from = 0;
  uint64_t server_before = 0;
  uint64_t own_before = 0;
  sending_ = true;
  measuring_ = false;
  for (uint32_t i = 0; i < connections_.size(); ++i)
    if (connections_[i].socket >= 0) start(i, begin);

  uint64_t time = begin;
  while (true) {
    if (!ticking_) arm_tick();
    ring_.submit_and_wait(options_.spin ? 0 : 1);
    time = now();
    ring_.reap([&](const io_uring_cqe& completion) { completed(completion, time); });
    if (sending_ && !measuring_ && time >= end_of_warmup) {
      measuring_ = true;
      measured_from = time;
      server_before = options_.server_pid != 0 ? cpu_time(options_.server_pid) : 0;
      own_before = own_cpu_time();
    }
    bool enough = options_.requests != 0 && measured_.requests >= options_.requests;
    if (sending_ && (time >= end || enough || measured_.errors > too_many_errors)) {
      measured_.seconds = static_cast<double>(time - measured_from) * 1e-9;
      measured_.own_seconds = static_cast<double>(own_cpu_time() - own_before) * 1e-9;
      if (options_.server_pid != 0)
        measured_.server_seconds =
            static_cast<double>(cpu_time(options_.server_pid) - server_before) * 1e-9;
      sending_ = measuring_ = false;
      end = time;
    }
    if (!sending_ && waiting_ == 0) break;
    if (!sending_ && time > end + patience) {
      measured_.errors += waiting_;
      break;
    }
  }
  return measured_;
}

void ClosedLoop::start(uint32_t index, uint64_t time) {
  Connection& connection = connections_[index];
  if (!connection.receiving) receive_on(index);
  connection.sent_at = time;
  connection.waiting = answers_;
  ++waiting_;
  raw::prepare_send(ring_.entry(), connection.socket, request_.data(), request_.size(),
                    uint64_t{index} << 2 | Kind::send);
}

void ClosedLoop::receive_on(uint32_t index) {
  connections_[index].receiving = true;
  raw::prepare_receive(ring_.entry(), connections_[index].socket,
                       uint64_t{index} << 2 | Kind::receive);
}

void ClosedLoop::arm_tick() {
  ticking_ = true;
  io_uring_sqe& entry = ring_.entry();
  entry.opcode = IORING_OP_TIMEOUT;
  entry.addr = reinterpret_cast<uint64_t>(&tick_period_);
  entry.len = 1;
  entry.user_data = Kind::tick;
}

void ClosedLoop::completed(const io_uring_cqe& completion, uint64_t time) {
  auto index = static_cast<uint32_t>(completion.user_data >> 2);
  switch (static_cast<Kind>(completion.user_data & 3)) {
    case Kind::tick: ticking_ = false; return;
    case Kind::send:
      // A failed send shows on the receiving side too, which deals with it.
      return;
    case Kind::receive: received(index, completion, time); return;
  }
}

void ClosedLoop::received(uint32_t index, const io_uring_cqe& completion, uint64_t time) {
  Connection& connection = connections_[index];
  if ((completion.flags & IORING_CQE_F_MORE) == 0) connection.receiving = false;
  if (connection.broken) {
    if ((completion.flags & IORING_CQE_F_BUFFER) != 0)
      buffers_.give_back(raw::Buffers::number(completion));
    if (!connection.receiving) replace(index);
    return;
  }
  if (completion.res > 0) {
    std::span<std::byte> bytes = buffers_.of(completion);
    Responses::Fed fed =
        connection.responses.feed({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    buffers_.give_back(raw::Buffers::number(completion));
    if (!fed.valid || fed.completed > connection.waiting) return fail(index);
    if (fed.completed != 0) {
      if (measuring_) {
        measured_.requests += fed.completed;
        measured_.latency.record(time - connection.sent_at, fed.completed);
      }
      connection.waiting -= fed.completed;
      if (connection.waiting == 0) {
        --waiting_;
        if (sending_) start(index, time);
      }
    }
  } else if (completion.res != -ENOBUFS) {
    return fail(index);
  }
  if (!connection.receiving) receive_on(index);
}

void ClosedLoop::fail(uint32_t index) {
  Connection& connection = connections_[index];
  ++measured_.errors;
  if (connection.waiting != 0) --waiting_;
  connection.waiting = 0;
  connection.broken = true;
  // A receive under way ends with an end of stream; the connection is replaced then.
  if (connection.receiving)
    shutdown(connection.socket, SHUT_RDWR);
  else
    replace(index);
}

void ClosedLoop::replace(uint32_t index) {
  Connection& connection = connections_[index];
  close(connection.socket);
  int socket = connect_to(options_.address, options_.port);
  if (socket < 0) raw::die("connect again");
  connection = Connection{socket, expectation_};
  if (sending_) start(index, now());
}

}  // namespace bench::load
