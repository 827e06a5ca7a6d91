// Client: HTTP/1.1 requests over streams that somebody else connects.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "lichen/base/list.hpp"
#include "lichen/base/result.hpp"
#include "lichen/coro/lock.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/io/stream.hpp"
#include "lichen/net/http/body.hpp"
#include "lichen/net/http/fields.hpp"
#include "lichen/net/http/parser.hpp"

namespace lichen::net::http {

class ClientConnection;

// How a client reaches a server: by name and port over TCP, through a local socket, in memory.
class Connector {
 public:
  // `authority` is what stands in a URL between "//" and the path: "example.org" or
  // "example.org:8080".
  virtual Task<Result<std::unique_ptr<io::Stream>>> connect(std::string_view authority) = 0;

 protected:
  ~Connector() = default;
};

struct ClientOptions {
  HeadLimits head{};
  std::uint64_t max_body = std::uint64_t{1} << 40;  // bytes of a response's content
  Duration connect_timeout = std::chrono::seconds{10};
  Duration send_timeout =
      std::chrono::seconds{30};  // for the head with the content, or for a chunk
  Duration response_timeout = std::chrono::seconds{60};  // until the next bytes of the head
  Duration body_timeout = std::chrono::seconds{30};      // without a byte of the content
  Duration idle_timeout =
      std::chrono::seconds{30};  // a connection that idled longer is not used again
  std::size_t max_idle = 8;      // connections kept for reuse
  unsigned max_redirects = 0;    // followed; 0: a redirect is a response
};

struct ClientRequest {
  std::string_view method = "GET";
  std::string_view authority;       // also the Host field
  std::string_view target = "/";    // path and query, encoded
  std::span<const Field> fields{};  // not Host, Connection, Content-Length or Transfer-Encoding
  std::string_view content{};       // borrowed until the response's head is there
  io::Reader* body = nullptr;       // instead of `content`: sent in chunks as it is read
};

// A response whose head is there. Views are good as long as it lives. Its connection goes back to
// the client when the body was read to its end, and is closed otherwise.
class ClientResponse {
 public:
  ClientResponse(ClientResponse&&) noexcept;
  ClientResponse& operator=(ClientResponse&&) noexcept;
  ~ClientResponse();

  [[nodiscard]] Status status() const noexcept { return head().status; }
  [[nodiscard]] const ResponseHead& head() const noexcept;
  [[nodiscard]] std::optional<std::string_view> field(std::string_view name) const noexcept {
    return head().fields.find(name);
  }
  [[nodiscard]] BodyReader& body() noexcept;

 private:
  friend class Client;
  explicit ClientResponse(std::unique_ptr<ClientConnection> connection) noexcept;

  std::unique_ptr<ClientConnection> connection_;
};

// MUST outlive its responses. May be used by tasks on any cores.
class Client {
 public:
  explicit Client(Connector& connector, ClientOptions options = {}) noexcept
      : connector_{connector}, options_{options} {}
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

  // Sends a request and waits for the head of the response. A request that can be repeated without
  // harm is sent again on a new connection when one that idled turns out to be closed.
  //
  // Error::protocol_error: that is no HTTP/1. Error::end_of_stream: the server closed before the
  // head was complete. Error::timed_out. Error::invalid_argument: a field, the method or the target
  // would break the format. Error::limit_reached: too many redirects.
  Task<Result<ClientResponse>> send(ClientRequest request);

  // Connections that wait for reuse.
  [[nodiscard]] std::size_t idle() const noexcept { return idle_count_; }

 private:
  friend class ClientResponse;

  Task<Result<ClientResponse>> send_once(const ClientRequest& request);
  Task<Result<void>> exchange(ClientConnection& connection, const ClientRequest& request);
  Task<Result<std::unique_ptr<ClientConnection>>> open(std::string_view authority);
  // An idle connection to this authority, or null.
  std::unique_ptr<ClientConnection> take(std::string_view authority) noexcept;
  void give_back(std::unique_ptr<ClientConnection> connection) noexcept;

  Connector& connector_;
  const ClientOptions options_;
  coro::SpinLock lock_;
  ClientConnection* idle_ = nullptr;  // the one used last first
  std::size_t idle_count_ = 0;
};

}  // namespace lichen::net::http
