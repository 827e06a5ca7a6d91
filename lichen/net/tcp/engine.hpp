// Engine: all TCP of one core. It finds the connection of a segment, opens and accepts connections,
// keeps their timers in one order and frees them when both the app and the protocol are done. Like
// Connection it has no I/O, no clock and no lock: a core has its own, and receive-side steering
// keeps a connection's segments on its core.
//
//   packet ─input()─> table ─> Connection ─┐           Observer <─ changed(), acceptable()
//   time ──advance()─> timers ─> Connection ├─ flush() ─> Output
//   app ───touched()─────────> Connection ──┘
//
// A batch goes: input() for each segment, then flush() once. The app's calls of a Connection are
// followed by touched(), which takes care of what they changed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "lichen/base/function_ref.hpp"
#include "lichen/base/heap.hpp"
#include "lichen/base/list.hpp"
#include "lichen/base/result.hpp"
#include "lichen/net/tcp/config.hpp"
#include "lichen/net/tcp/connection.hpp"
#include "lichen/net/tcp/memory.hpp"
#include "lichen/net/tcp/secrets.hpp"
#include "lichen/net/tcp/table.hpp"
#include "lichen/net/wire/icmp.hpp"

namespace lichen::net::tcp {

struct EngineConfig {
  Config connection;
  std::size_t connections = 65'536;  // at most, those in TIME-WAIT included
  std::size_t flights = 1'048'576;   // ranges in flight, of all connections
  std::size_t pieces = 1'048'576;    // buffers received and not taken, of all
  // The memory that received buffers and copies of what is sent should keep. At half of it the
  // buffers of connections grow no more; when all of it is kept by received ones, each connection
  // has only what it began with.
  std::size_t buffered_bytes = 64 * 1024 * 1024;
  std::size_t chunks = 1'048'576;  // buffers to be sent, of all
  std::size_t blocks = 262'144;    // of them with copies, each BlockPool::block_size
  bool syn_cookies = true;
  std::uint32_t resets = 1'000;  // a second, to segments of no connection
};

// What a listener without an address listens to.
enum class Families : std::uint8_t { both, ipv4, ipv6 };

struct Listener {
  base::ListNode node;
  Endpoint local;  // an unspecified address stands for all of its families
  // Connections half open, and as many that wait to be taken before new ones are turned away.
  std::uint32_t backlog = 0;
  std::uint32_t opening = 0;
  std::uint32_t waiting = 0;
  base::List<Connection, &Connection::owned> ready;
  void* owner = nullptr;
  const Config* config = nullptr;  // of the connections it makes; null: the engine's
  Families families = Families::both;
};

class Observer {
 public:
  // `changes`: of namespace change. Of connections that the app has, that is, from connect() or
  // take(). It may call the connection, but not the engine.
  virtual void changed(Connection& connection, std::uint8_t changes) noexcept = 0;
  virtual void acceptable(Listener& listener) noexcept = 0;
  // There was no memory for a connection that somebody wanted.
  virtual void has_no_memory() noexcept {}

 protected:
  ~Observer() = default;
};

struct EngineStatistics {
  std::uint64_t segments = 0;
  std::uint64_t opened = 0;    // by connect()
  std::uint64_t accepted = 0;  // handed to listeners
  std::uint64_t refused = 0;   // segments that nobody wanted
  std::uint64_t resets = 0;    // sent to them
  std::uint64_t cookies_sent = 0;
  std::uint64_t cookies_taken = 0;
  std::uint64_t cookies_wrong = 0;
  std::uint64_t listen_drops = 0;    // SYNs and handshakes for which a listener had no room
  std::uint64_t no_memory = 0;       // connections that could not be made
  std::uint64_t time_waits_cut = 0;  // ended early, to make room for others
};

class Engine {
 public:
  Engine(const EngineConfig& config, Memory& memory, Output& output, Observer& observer,
         base::HashKey secret) noexcept;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  // Every connection is cut without a word.
  ~Engine();

  // False: no memory for the table.
  [[nodiscard]] bool created() const noexcept { return table_.created(); }

  // ---- packets
  // `path` as seen from here. `payload`: the buffer of segment.payload, cut to it.
  void input(std::uint64_t now, const Path& path, const wire::TcpSegment& segment,
             io::Buffer payload, wire::Ecn ecn = wire::Ecn::not_capable) noexcept;
  // Sends what waits. Also when Output has room again.
  void flush(std::uint64_t now) noexcept;
  // Of several engines, which of them a segment is for: whether this one has the connection, and
  // whether it would make one of it, or was asked to.
  [[nodiscard]] bool has(const Path& path) noexcept;
  [[nodiscard]] bool would_take(std::uint64_t now, const Path& path,
                                const wire::TcpSegment& segment) noexcept;
  // ICMP: a router cannot forward packets of more than `mtu`; something cannot be reached. False:
  // what it quotes is not on its way from here, so it is not believed (RFC 5927 section 4.1).
  bool too_big(std::uint64_t now, const wire::Quote& quote, std::uint32_t mtu) noexcept;
  bool unreachable(std::uint64_t now, const wire::Quote& quote) noexcept;

  // ---- time
  // No later than when advance() has something to do; `never`.
  [[nodiscard]] std::uint64_t deadline() const noexcept {
    const Connection* first = timers_.top();
    return first == nullptr ? never : first->timer_at;
  }
  void advance(std::uint64_t now) noexcept;
  // There may be a way again where there was none: what has been sent in vain is due at once. Looks
  // at all connections. False: some still have none.
  bool try_again(std::uint64_t now) noexcept;

  // ---- the app
  // Port zero: any that `may` suit. `config`: null for the engine's. Errors: address_in_use,
  // limit_reached (ports), no_memory.
  using May = base::FunctionRef<bool(const Path&)>;
  Result<Connection*> connect(std::uint64_t now, Path path, void* owner,
                              const Config* config = nullptr, May may = &any_path) noexcept;
  // Errors: address_in_use, invalid_argument (port zero).
  Result<void> listen(Listener& listener) noexcept;
  // Cuts what nobody has taken.
  void close(std::uint64_t now, Listener& listener) noexcept;
  // Whether any connection has the port: at the address, or at any if that is unspecified.
  [[nodiscard]] bool has_connections(const Endpoint& local) noexcept;
  // The next connection, null when there is none.
  Connection* take(Listener& listener, void* owner) noexcept;
  // The app has called something of it.
  void touched(std::uint64_t now, Connection& connection) noexcept;
  // The app will not use it again.
  void release(std::uint64_t now, Connection& connection) noexcept;

  [[nodiscard]] const EngineStatistics& statistics() const noexcept { return statistics_; }
  [[nodiscard]] std::size_t connections() const noexcept { return table_.size(); }
  // What is wrong, null when nothing is. For tests.
  [[nodiscard]] const char* broken() noexcept;

 private:
  using Listeners = base::List<Listener, &Listener::node>;

  static bool any_path(const Path&) noexcept { return true; }
  Listener* listener_for(const Endpoint& local) noexcept;
  [[nodiscard]] Config fitted(const Path& path, const Config& config) const noexcept;
  Connection* make(const Path& path, const Config& config) noexcept;
  [[nodiscard]] const Config& config_of(const Listener& listener) const noexcept {
    return listener.config == nullptr ? config_.connection : *listener.config;
  }
  void destroy(Connection& connection) noexcept;
  void settle(Connection& connection) noexcept;
  void leave_listener(Connection& connection) noexcept;
  void input_listener(std::uint64_t now, Listener& listener, const Path& path,
                      const wire::TcpSegment& segment, io::Buffer payload, wire::Ecn ecn) noexcept;
  void send_cookie(std::uint64_t now, const Config& config, const Path& path,
                   const wire::TcpSegment& syn) noexcept;
  bool input_cookie(std::uint64_t now, Listener& listener, const Path& path,
                    const wire::TcpSegment& segment, io::Buffer& payload, wire::Ecn ecn) noexcept;
  void refuse(std::uint64_t now, const Path& path, const wire::TcpSegment& segment) noexcept;
  Connection* quoted(const wire::Quote& quote) noexcept;

  const EngineConfig config_;
  Observer& observer_;
  Secrets secrets_;
  ChunkPool chunks_;
  Pool<Flight> flights_;
  PiecePool pieces_;
  BlockPool blocks_;
  Pool<Connection> connections_;
  Resources resources_;
  Table table_;
  Listeners listeners_;
  base::Heap<Connection, &Connection::timer, &Connection::timer_at> timers_;
  base::List<Connection, &Connection::kept> dirty_;
  base::List<Connection, &Connection::owned> time_waits_;  // of no app, the oldest first
  Connection* recent_ = nullptr;  // of the last segment: the next is often of the same
  std::uint64_t cookies_until_ = 0;
  std::uint64_t reset_window_ = 0;
  std::uint32_t resets_ = 0;
  std::uint32_t next_port_ = 0;
  EngineStatistics statistics_;
};

}  // namespace lichen::net::tcp
