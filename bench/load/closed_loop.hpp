// Connections that each send, wait for all of the answer, and send again.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/load/latency.hpp"
#include "bench/load/options.hpp"
#include "bench/load/responses.hpp"
#include "bench/raw/ring.hpp"

namespace bench::load {

struct Measured {
  uint64_t requests = 0;
  uint64_t errors = 0;  // mismatches and connections that failed
  double seconds = 0;
  double server_seconds = 0;  // CPU time of the server
  double own_seconds = 0;     // CPU time of this process: near `seconds`, it is the bottleneck
  Latency latency;
};

class ClosedLoop {
 public:
  // `request` is sent as it is and answered by `answers` responses.
  ClosedLoop(const Options& options, Expectation& expectation, std::string request,
             uint32_t answers);
  ~ClosedLoop();
  ClosedLoop(const ClosedLoop&) = delete;
  ClosedLoop& operator=(const ClosedLoop&) = delete;

  // Warms up, measures, and lets what is under way come to its end. May be called again.
  Measured run();

 private:
  struct Connection {
    explicit Connection(int socket, Expectation& expectation)
        : socket{socket}, responses{expectation} {}
    int socket;
    uint32_t waiting = 0;  // responses still to come
    bool receiving = false;
    bool broken = false;  // counted as an error, to be replaced when its receive has ended
    uint64_t sent_at = 0;
    Responses responses;
  };
  enum Kind : uint64_t { receive, send, tick };

  void start(uint32_t index, uint64_t time);
  void receive_on(uint32_t index);
  void completed(const io_uring_cqe& completion, uint64_t time);
  void received(uint32_t index, const io_uring_cqe& completion, uint64_t time);
  void fail(uint32_t index);
  void replace(uint32_t index);
  void arm_tick();

  const Options& options_;
  Expectation& expectation_;
  std::string request_;
  uint32_t answers_;
  raw::Ring ring_{4096};
  raw::Buffers buffers_{ring_, 4096, 8192};
  std::vector<Connection> connections_;
  __kernel_timespec tick_period_{0, 50'000'000};
  bool ticking_ = false;
  bool sending_ = false;  // answered connections send again
  bool measuring_ = false;
  uint64_t waiting_ = 0;  // connections with responses still to come
  Measured measured_;
};

}  // namespace bench::load
