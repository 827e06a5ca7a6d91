#include "lichen/net/tcp/engine.hpp"

#include <algorithm>
#include <utility>

namespace lichen::net::tcp {

namespace flag = wire::tcp_flag;

namespace {

// Those of Linux (ip_local_port_range).
constexpr std::uint16_t first_port = 32'768;
constexpr std::uint32_t port_count = 28'232;
// How long acknowledgments of cookies are looked for after the last one was sent.
constexpr std::uint64_t cookies_live = 128 * second;

bool hears(const Listener& listener, const wire::IpAddress& address) noexcept {
  return listener.families == Families::both ||
         (listener.families == Families::ipv4) == address.is_ipv4();
}

bool meet(Families one, Families other) noexcept {
  return one == other || one == Families::both || other == Families::both;
}

}  // namespace

Engine::Engine(const EngineConfig& config, Memory& memory, Output& output, Observer& observer,
               base::HashKey secret) noexcept
    : config_{config},
      observer_{observer},
      secrets_{secret},
      chunks_{memory, config.chunks, &output},
      flights_{memory, config.flights},
      pieces_{memory, config.pieces, config.buffered_bytes},
      blocks_{memory, config.blocks},
      connections_{memory, config.connections},
      resources_{chunks_, flights_, pieces_, blocks_, output},
      table_{memory, config.connections} {}

Engine::~Engine() {
  if (table_.created()) table_.for_each([&](Connection& connection) { destroy(connection); });
  while (listeners_.pop_front() != nullptr) {
  }
  chunks_.clear();
}

// ---- connections come and go --------------------------------------------------------------------

Config Engine::fitted(const Path& path, const Config& config) const noexcept {
  Config fitted = config;
  if (const std::uint32_t mtu = resources_.output.mtu(path); mtu != 0 && mtu < fitted.mtu)
    fitted.mtu = static_cast<std::uint16_t>(mtu);
  return fitted;
}

Connection* Engine::make(const Path& path, const Config& chosen) noexcept {
  const Config config = fitted(path, chosen);
  Connection* connection =
      connections_.make(config, resources_, path, secrets_.timestamp_offset(path));
  if (connection == nullptr) {
    // The oldest that only waits makes room.
    Connection* oldest = time_waits_.front();
    if (oldest == nullptr) {
      ++statistics_.no_memory;
      observer_.has_no_memory();
      return nullptr;
    }
    ++statistics_.time_waits_cut;
    destroy(*oldest);
    connection = connections_.make(config, resources_, path, secrets_.timestamp_offset(path));
    if (connection == nullptr) return nullptr;
  }
  table_.insert(*connection, secrets_.hash(path));
  return connection;
}

void Engine::destroy(Connection& connection) noexcept {
  leave_listener(connection);
  if (recent_ == &connection) recent_ = nullptr;
  table_.erase(connection);
  if (connection.timer.is_linked()) timers_.erase(connection);
  if (connection.kept.is_linked()) connection.kept.unlink();
  if (connection.owned.is_linked()) connection.owned.unlink();
  connections_.give_back(connection);
}

void Engine::leave_listener(Connection& connection) noexcept {
  Listener* listener = std::exchange(connection.listener, nullptr);
  if (listener == nullptr) return;
  if (connection.owned.is_linked()) {
    connection.owned.unlink();
    --listener->waiting;
  } else {
    --listener->opening;
  }
}

// After anything has happened to a connection: the timer, the list of those to be flushed, the
// listener, the app, and its end.
void Engine::settle(Connection& connection) noexcept {
  const std::uint8_t changes = connection.take_changes();
  if (Listener* listener = connection.listener) {
    if ((changes & change::connected) != 0 && !connection.owned.is_linked()) {
      --listener->opening;
      ++listener->waiting;
      ++statistics_.accepted;
      listener->ready.push_back(connection);
      observer_.acceptable(*listener);
    }
  } else if (changes != 0 && connection.owner != nullptr) {
    observer_.changed(connection, changes);
  }

  const bool closed = connection.state() == State::closed;
  // One that waits to be taken stays, with what has arrived, for the app to see.
  const bool waits = connection.listener != nullptr && connection.owned.is_linked();
  if (closed && connection.owner == nullptr && !waits) {
    destroy(connection);
    return;
  }
  if (connection.state() == State::time_wait && connection.owner == nullptr && !waits &&
      !connection.owned.is_linked())
    time_waits_.push_back(connection);
  if ((connection.wants_flush() || connection.blocked()) && !connection.kept.is_linked())
    dirty_.push_back(connection);
  // Moved forwards only: one that has become later is found when the earlier time has come.
  const std::uint64_t deadline = connection.deadline();
  if (connection.timer.is_linked()) {
    if (connection.timer_at <= deadline) return;
    timers_.erase(connection);
  }
  if (deadline == never) return;
  connection.timer_at = deadline;
  timers_.push(connection);
}

// ---- packets ------------------------------------------------------------------------------------

void Engine::input(std::uint64_t now, const Path& path, const wire::TcpSegment& segment,
                   io::Buffer payload, wire::Ecn ecn) noexcept {
  ++statistics_.segments;
  Connection* connection = recent_;
  if (connection == nullptr || !(connection->path() == path))
    connection = recent_ = table_.find(path, secrets_.hash(path));
  if (connection != nullptr && segment.has(flag::syn) && connection->may_reopen(segment) &&
      connection->owner == nullptr) {
    // RFC 6191: the same path again, before the wait is over.
    if (listener_for(path.local) != nullptr) {
      destroy(*connection);
      connection = nullptr;
    }
  }
  if (connection != nullptr) {
    connection->input(now, segment, std::move(payload), ecn);
    settle(*connection);
    return;
  }
  if (Listener* listener = listener_for(path.local))
    input_listener(now, *listener, path, segment, std::move(payload), ecn);
  else
    refuse(now, path, segment);
}

bool Engine::has(const Path& path) noexcept {
  if (recent_ != nullptr && recent_->path() == path) return true;
  Connection* connection = table_.find(path, secrets_.hash(path));
  if (connection != nullptr) recent_ = connection;
  return connection != nullptr;
}

bool Engine::would_take(std::uint64_t now, const Path& path,
                        const wire::TcpSegment& segment) noexcept {
  if (listener_for(path.local) == nullptr || segment.has(flag::rst)) return false;
  if (segment.has(flag::syn)) return !segment.has(flag::ack);
  return segment.has(flag::ack) && now < cookies_until_ &&
         secrets_
             .check_cookie(path, Seq{segment.acknowledgment} - 1, Seq{segment.sequence} - 1, now)
             .has_value();
}

void Engine::flush(std::uint64_t now) noexcept {
  chunks_.sweep();
  if (dirty_.empty()) return;
  // What has no room comes back to the list, and is not looked at again now.
  base::List<Connection, &Connection::kept> batch;
  batch.append(dirty_);
  while (!batch.empty() && resources_.output.has_room()) {
    Connection* connection = batch.pop_front();
    connection->flush(now);
    settle(*connection);
  }
  // Those who have waited longer are in front.
  dirty_.append(batch);
}

void Engine::advance(std::uint64_t now) noexcept {
  while (Connection* connection = timers_.top()) {
    if (connection->timer_at > now) return;
    timers_.erase(*connection);
    if (connection->deadline() <= now) connection->advance(now);
    settle(*connection);
  }
}

bool Engine::try_again(std::uint64_t now) noexcept {
  bool all = true;
  table_.for_each([&](Connection& connection) {
    if (!connection.has_retried()) return;
    if (!resources_.output.has_way(connection.path())) {
      all = false;
      return;
    }
    connection.try_again(now);
    settle(connection);
  });
  return all;
}

// RFC 9293 section 3.10.7.2.
void Engine::input_listener(std::uint64_t now, Listener& listener, const Path& path,
                            const wire::TcpSegment& segment, io::Buffer payload,
                            wire::Ecn ecn) noexcept {
  if (segment.has(flag::rst)) return;
  if (segment.has(flag::ack)) {
    if (!segment.has(flag::syn) && input_cookie(now, listener, path, segment, payload, ecn)) return;
    refuse(now, path, segment);
    return;
  }
  if (!segment.has(flag::syn)) return;
  if (listener.waiting >= listener.backlog) {
    ++statistics_.listen_drops;  // the peer tries again
    return;
  }
  if (listener.opening >= listener.backlog) {
    if (config_.syn_cookies)
      send_cookie(now, config_of(listener), path, segment);
    else
      ++statistics_.listen_drops;
    return;
  }
  Connection* connection = make(path, config_of(listener));
  if (connection == nullptr) {
    if (config_.syn_cookies) send_cookie(now, config_of(listener), path, segment);
    return;
  }
  connection->listener = &listener;
  ++listener.opening;
  connection->accept(now, segment, secrets_.initial_sequence(path, now));
  settle(*connection);
}

// RFC 4987 section 3.6: everything that must be known later is in the answer.
void Engine::send_cookie(std::uint64_t now, const Config& chosen, const Path& path,
                         const wire::TcpSegment& syn) noexcept {
  const Config config = fitted(path, chosen);
  cookies_until_ = now + cookies_live;
  ++statistics_.cookies_sent;
  const std::uint32_t headers = path.remote.address.is_ipv4() ? 40 : 60;
  Agreed agreed;
  agreed.scaling = config.window_scaling && syn.options.window_scale != wire::TcpOptions::no_scale;
  agreed.send_scale = agreed.scaling ? syn.options.window_scale : 0;
  agreed.sack = config.sack && syn.options.sack_permitted;
  constexpr std::uint8_t both = flag::ece | flag::cwr;
  agreed.ecn = config.ecn != EcnMode::off && (syn.flags & both) == both;

  wire::TcpHeader header;
  header.from_port = path.local.port;
  header.to_port = path.remote.port;
  header.sequence =
      secrets_
          .make_cookie(path, Seq{syn.sequence}, syn.options.mss == 0 ? 536 : syn.options.mss, now)
          .value;
  header.acknowledgment = syn.sequence + 1;
  header.flags = flag::syn | flag::ack;
  header.options.mss = static_cast<std::uint16_t>(config.mtu - headers);
  if (config.largest_mss != 0)
    header.options.mss = std::min(header.options.mss, config.largest_mss);
  header.window = opening_window(config, header.options.mss);
  // Without timestamps there is no room to remember the rest.
  if (config.timestamps && syn.options.has_timestamps) {
    const auto clock = static_cast<std::uint32_t>(now / millisecond);
    header.options.has_timestamps = true;
    header.options.timestamp =
        Secrets::stamp(clock, agreed) + (secrets_.timestamp_offset(path) & ~0x3fu);
    header.options.timestamp_echo = syn.options.timestamp;
    header.options.sack_permitted = agreed.sack;
    if (agreed.scaling) header.options.window_scale = scale_for(config);
    if (agreed.ecn) header.flags |= flag::ece;
  }
  resources_.output.transmit({path, header, {}, 0, 0, wire::Ecn::not_capable});
}

bool Engine::input_cookie(std::uint64_t now, Listener& listener, const Path& path,
                          const wire::TcpSegment& segment, io::Buffer& payload,
                          wire::Ecn ecn) noexcept {
  if (now >= cookies_until_) return false;
  const Seq iss = Seq{segment.acknowledgment} - 1;
  const Seq irs = Seq{segment.sequence} - 1;
  const auto mss = secrets_.check_cookie(path, iss, irs, now);
  if (!mss) {
    ++statistics_.cookies_wrong;
    return false;
  }
  if (listener.waiting >= listener.backlog) {
    ++statistics_.listen_drops;
    return true;
  }
  const Config& config = config_of(listener);
  Revived revived{iss, irs, {}, segment.options.timestamp};
  if (config.timestamps && segment.options.has_timestamps) {
    const std::uint32_t offset = secrets_.timestamp_offset(path) & ~0x3fu;
    revived.agreed = Secrets::read_stamp(segment.options.timestamp_echo - offset);
    revived.agreed.scaling &= config.window_scaling;
    revived.agreed.sack &= config.sack;
  }
  revived.agreed.mss = *mss;
  Connection* connection = make(path, config);
  if (connection == nullptr) return true;
  ++statistics_.cookies_taken;
  connection->listener = &listener;
  ++listener.opening;
  connection->revive(now, revived);
  connection->input(now, segment, std::move(payload), ecn);
  settle(*connection);
  return true;
}

// RFC 9293 section 3.10.7.1.
void Engine::refuse(std::uint64_t now, const Path& path, const wire::TcpSegment& segment) noexcept {
  ++statistics_.refused;
  if (segment.has(flag::rst)) return;
  if (now - reset_window_ >= second) {
    reset_window_ = now;
    resets_ = 0;
  }
  if (resets_ >= config_.resets) return;
  ++resets_;
  ++statistics_.resets;
  wire::TcpHeader header;
  header.from_port = path.local.port;
  header.to_port = path.remote.port;
  header.flags = flag::rst;
  if (segment.has(flag::ack)) {
    header.sequence = segment.acknowledgment;
  } else {
    header.flags |= flag::ack;
    header.acknowledgment = segment.sequence + segment.length();
  }
  resources_.output.transmit({path, header, {}, 0, 0, wire::Ecn::not_capable});
}

Connection* Engine::quoted(const wire::Quote& quote) noexcept {
  if (quote.protocol != wire::protocol::tcp) return nullptr;
  const Path path{{quote.from, quote.from_port}, {quote.to, quote.to_port}};
  return table_.find(path, secrets_.hash(path));
}

bool Engine::too_big(std::uint64_t now, const wire::Quote& quote, std::uint32_t mtu) noexcept {
  Connection* connection = quoted(quote);
  if (connection == nullptr || !connection->path_mtu(now, mtu, Seq{quote.sequence})) return false;
  settle(*connection);
  return true;
}

bool Engine::unreachable(std::uint64_t now, const wire::Quote& quote) noexcept {
  Connection* connection = quoted(quote);
  return connection != nullptr && connection->unreachable(now, Seq{quote.sequence});
}

// ---- the app ------------------------------------------------------------------------------------

Result<Connection*> Engine::connect(std::uint64_t now, Path path, void* owner, const Config* config,
                                    May may) noexcept {
  if (path.local.port == 0) {
    // RFC 6056, algorithm 3.
    const std::uint32_t offset = secrets_.port_offset(path);
    std::uint32_t tries = 0;
    for (; tries < port_count; ++tries) {
      path.local.port =
          static_cast<std::uint16_t>(first_port + (offset + next_port_++) % port_count);
      if (may(path) && table_.find(path, secrets_.hash(path)) == nullptr) break;
    }
    if (tries == port_count) return Error::limit_reached;
  } else if (table_.find(path, secrets_.hash(path)) != nullptr) {
    return Error::address_in_use;
  }
  Connection* connection = make(path, config == nullptr ? config_.connection : *config);
  if (connection == nullptr) return Error::no_memory;
  ++statistics_.opened;
  connection->owner = owner;
  connection->connect(now, secrets_.initial_sequence(path, now));
  settle(*connection);
  return connection;
}

Listener* Engine::listener_for(const Endpoint& local) noexcept {
  Listener* any = nullptr;
  for (Listener& listener : listeners_) {
    if (listener.local.port != local.port) continue;
    if (listener.local.address == local.address) return &listener;
    if (listener.local.address.is_unspecified() && hears(listener, local.address)) any = &listener;
  }
  return any;
}

Result<void> Engine::listen(Listener& listener) noexcept {
  if (listener.local.port == 0) return Error::invalid_argument;
  for (const Listener& other : listeners_)
    if (other.local == listener.local && meet(other.families, listener.families))
      return Error::address_in_use;
  listeners_.push_back(listener);
  return {};
}

void Engine::close(std::uint64_t now, Listener& listener) noexcept {
  listener.node.unlink();
  table_.for_each([&](Connection& connection) {
    if (connection.listener != &listener) return;
    leave_listener(connection);
    connection.release(now);
    connection.abort();
    settle(connection);
  });
}

bool Engine::has_connections(const Endpoint& local) noexcept {
  bool found = false;
  table_.for_each([&](const Connection& connection) {
    const Endpoint& used = connection.path().local;
    found |= used.port == local.port &&
             (local.address.is_unspecified() || local.address == used.address);
  });
  return found;
}

Connection* Engine::take(Listener& listener, void* owner) noexcept {
  Connection* connection = listener.ready.pop_front();
  if (connection == nullptr) return nullptr;
  --listener.waiting;
  connection->listener = nullptr;
  connection->owner = owner;
  return connection;
}

void Engine::touched(std::uint64_t now, Connection& connection) noexcept {
  if (connection.wants_flush()) connection.flush(now);
  settle(connection);
}

void Engine::release(std::uint64_t now, Connection& connection) noexcept {
  connection.owner = nullptr;
  connection.release(now);
  if (connection.wants_flush()) connection.flush(now);
  settle(connection);
}

const char* Engine::broken() noexcept {
  const char* broken = nullptr;
  std::size_t count = 0;
  table_.for_each([&](Connection& connection) {
    ++count;
    if (const char* wrong = connection.broken()) broken = wrong;
    if (connection.deadline() != never &&
        (!connection.timer.is_linked() || connection.timer_at > connection.deadline()))
      broken = "a deadline that nobody watches";
  });
  if (count != table_.size() || count != connections_.used()) broken = "connections are lost";
  return broken;
}

}  // namespace lichen::net::tcp
