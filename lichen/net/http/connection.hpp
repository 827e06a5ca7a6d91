// Connection: one client of a server, from accept to close.
#pragma once

#include <memory>

#include "lichen/base/list.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/io/stream.hpp"
#include "lichen/net/http/body.hpp"
#include "lichen/net/http/output.hpp"
#include "lichen/net/http/watch.hpp"

namespace lichen::net::http {

class Server;

// What is kept while nothing happens is this record and two small frames: the buffers, the parsed
// head and everything else live in the frame of serve_requests(), which ends when nothing is
// pending.
//
//   wait for bytes ──> serve_requests: head ──> handler ──> rest of the body ──> next head
//        ^                                                                          │ nothing
//        pending └──────────────────────────────── send everything <────────────────────────┘
class Connection final : public BodyReader::Owner {
 public:
  Connection(Server& server, io::Stream& stream) noexcept;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  base::ListNode place;  // among the server's

  // From accept to close. Nothing is left to do afterwards but to destroy the stream.
  Task<> run();

  // Ends it now if it waits for a request, else after the one it is serving.
  void drain() noexcept;
  // Ends it now.
  void cut() noexcept;

 private:
  class TimedReader;

  // How the stream is closed.
  enum class End : std::uint8_t {
    close,   // everything was said
    linger,  // the client may still be sending; it shall see our answer, not a reset
    abort,   // the stream is broken, or a response that cannot be completed must not look complete
  };

  Task<Result<void>> session();
  // Serves all requests that are there. False when the connection ends.
  Task<Result<bool>> serve_requests(io::Buffer first);
  Task<Result<void>> say_goodbye();
  Task<Result<void>> linger();
  Task<Result<void>> before_wait() override;
  void send_late() noexcept;
  static void expired(Watch& watch) noexcept;

  Server& server_;
  io::Stream& stream_;
  Scope* scope_ = nullptr;  // of the session
  Watch watch_{&expired};
  Output output_;
  End end_ = End::close;
  Watch::Phase timed_out_ = Watch::Phase::none;
  bool waits_for_request_ = false;
  bool expects_continue_ = false;  // the client holds back its body until it is asked for
  bool late_ = false;              // an Output::flush_late() was spawned and has not ended
  bool mute_ = false;              // a response was cut in the middle: nothing else can be said
};

}  // namespace lichen::net::http
