#include "lichen/net/inet/inet.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <utility>

#include "lichen/base/log.hpp"
#include "lichen/base/member.hpp"
#include "lichen/coro/hooks.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/io/operation.hpp"
#include "lichen/net/inet/classify.hpp"
#include "lichen/net/inet/datagram.hpp"
#include "lichen/net/wire/fields.hpp"
#include "lichen/net/wire/wire.hpp"

namespace lichen::net::inet {

namespace {

// Of a segment that came from the device, not from another core.
constexpr std::uint8_t not_looked = 0xff;

// Of a burst that a device cuts, with its headers below 64 KiB (RFC 791).
constexpr std::uint32_t largest_burst = 61'440;

// What suits all of the devices, for a connection may take the way over any of them.
tcp::EngineConfig fitted(std::span<io::NetDevice* const> devices,
                         tcp::EngineConfig config) noexcept {
  std::size_t mtu = 65'535;
  config.connection.largest_burst = largest_burst;
  for (const io::NetDevice* device : devices) {
    mtu = std::min(mtu, device->mtu());
    if (!cuts_segments(*device)) config.connection.largest_burst = 0;
  }
  config.connection.mtu = static_cast<std::uint16_t>(mtu);
  return config;
}

}  // namespace

wire::IpAddress address_of(const io::Address& address) noexcept {
  const auto octets = address.octets();
  if (address.family() == io::AddressFamily::ipv4) {
    wire::Ipv4Address ipv4;
    std::ranges::copy(octets, ipv4.octets.begin());
    return ipv4;
  }
  wire::Ipv6Address ipv6;
  if (address.family() == io::AddressFamily::ipv6) std::ranges::copy(octets, ipv6.octets.begin());
  return ipv6;
}

io::Address address_of(const wire::IpAddress& address, std::uint16_t port) noexcept {
  if (address.is_ipv4()) return io::Address::ipv4(address.ipv4().octets, port);
  return io::Address::ipv6(address.octets, port);
}

struct Inet::Parts {
  explicit Parts(Inet& inet) noexcept : segments{inet}, datagrams{inet}, addresses{inet} {}

  // The memory of connections is that of the machine's tasks, and so within its limit.
  class Pools final : public tcp::Memory {
   public:
    void* allocate(std::size_t size) noexcept override { return coro::hooks::allocate_frame(size); }
    void free(void* memory, std::size_t size) noexcept override {
      coro::hooks::free_frame(memory, size);
    }
  };

  // TCP over IP, both ways.
  class Segments final : public ip::Transport, public tcp::Output {
   public:
    explicit Segments(Inet& inet) noexcept : inet_{inet} {}

    ip::Verdict receive(const ip::Arrival& arrival, std::uint64_t now) noexcept override {
      const auto segment = wire::parse_tcp(arrival.payload, arrival.verify());
      if (!segment || arrival.to_group) return ip::Verdict::taken;
      take(*segment, arrival, now, not_looked);
      return ip::Verdict::taken;
    }

    // One that another core has passed on.
    void take(Parcel& parcel, std::uint64_t now) noexcept {
      const auto segment = wire::parse_tcp(parcel.bytes.bytes(), wire::Verify::done_by_device());
      if (!segment) return;
      const ip::Arrival arrival{.interface = inet_.stack_.interfaces()[parcel.interface],
                                .from = parcel.from,
                                .to = parcel.to,
                                .protocol = wire::protocol::tcp,
                                .traffic_class = parcel.traffic_class,
                                .checksum_done = true,
                                .packet = {},
                                .payload = parcel.bytes.bytes(),
                                .buffer = &parcel.bytes};
      take(*segment, arrival, now, parcel.looked);
    }

    bool failed(const wire::Quote& quote, const ip::Failure& failure,
                std::uint64_t now) noexcept override {
      return failure.kind == ip::FailureKind::too_big
                 ? inet_.engine_.too_big(now, quote, failure.mtu)
                 : inet_.engine_.unreachable(now, quote);
    }

    [[nodiscard]] std::uint32_t mtu(const tcp::Path& path) const noexcept override {
      const auto way = way_of(path);
      return way ? way->mtu : 0;
    }

    [[nodiscard]] bool has_way(const tcp::Path& path) const noexcept override {
      return static_cast<bool>(way_of(path));
    }
    [[nodiscard]] tcp::Loans loans() const noexcept override { return inet_.loans_.loans(); }
    [[nodiscard]] bool has_room() noexcept override {
      return std::ranges::any_of(inet_.links_,
                                 [](const auto& link) { return link->transmit.has_room(); });
    }

    bool transmit(const tcp::Outgoing& segment) noexcept override {
      const auto way = way_of(segment.path);
      if (!way) {  // as if it were lost: there may be one later
        inet_.no_way();
        return true;
      }
      std::array<std::byte, wire::TcpHeader::max_size> head;
      const std::size_t head_size = write(head, segment.header);
      const std::span header = std::span{head}.first(head_size);
      ip::Pieces pieces{header};
      for (const auto& piece : segment.payload)
        if (!pieces.add(piece)) return true;
      const wire::Sum pseudo =
          wire::pseudo_header(way->from, way->to, wire::protocol::tcp, pieces.size());
      ip::Offload offload;
      if (way->offloads_checksum) {
        wire::seal_partial<wire::TcpHeader>(header, pseudo);
        offload = {.checksum = true, .checksum_offset = wire::TcpHeader::checksum_at};
        if (segment.payload_size > segment.segment_size) {
          offload.segment_size = static_cast<std::uint16_t>(segment.segment_size);
          offload.header_size = static_cast<std::uint16_t>(head_size);
        }
      } else {
        wire::Sum rest = pseudo;
        for (const auto& piece : segment.payload) rest.add(piece);
        wire::seal<wire::TcpHeader>(header, rest);
      }
      const ip::Packet packet{
          .protocol = wire::protocol::tcp,
          .hop_limit = segment.ip.hop_limit,
          .traffic_class = static_cast<std::uint8_t>(segment.ip.traffic_class |
                                                     static_cast<std::uint8_t>(segment.ecn)),
          .dont_fragment = segment.ip.dont_fragment,
          .payload = pieces,
          .offload = offload};
      return !inet_.stack_.send(*way, packet, inet_.now_).failed_with(Error::would_block);
    }

   private:
    [[nodiscard]] Result<ip::Way> way_of(const tcp::Path& path) const noexcept {
      return inet_.stack_.way(path.remote.address, path.local.address, nullptr, inet_.now_);
    }

    void take(const wire::TcpSegment& segment, const ip::Arrival& arrival, std::uint64_t now,
              std::uint8_t looked) noexcept {
      const tcp::Path path{.local = {arrival.to, segment.to_port},
                           .remote = {arrival.from, segment.from_port}};
      if (const auto to = inet_.elsewhere(path, segment, looked)) {
        inet_.shared_.crossing->put(inet_.shared_.place, *to,
                                    {.bytes = payload_of(arrival, arrival.payload),
                                     .from = arrival.from,
                                     .to = arrival.to,
                                     .traffic_class = arrival.traffic_class,
                                     .kind = ParcelKind::segment,
                                     .interface = arrival.interface.index,
                                     .looked = looked});
        return;
      }
      inet_.engine_.input(now, path, segment, payload_of(arrival, segment.payload),
                          wire::ecn_of(arrival.traffic_class));
    }

    // The payload in the buffer in which it came; in one of its own where there is none, or where
    // the device needs its buffers back: who reads nothing keeps no others from being heard.
    io::Buffer payload_of(const ip::Arrival& arrival, std::span<const std::byte> payload) noexcept {
      if (payload.empty()) return {};
      const Link* const link = inet_.link_of(arrival.interface);
      if (arrival.buffer && link && !link->device.is_short_of_buffers()) {
        io::Buffer buffer = std::move(*arrival.buffer);
        buffer.consume(static_cast<std::size_t>(payload.data() - buffer.bytes().data()));
        buffer.shorten(buffer.size() - payload.size());
        return buffer;
      }
      io::Buffer copy = io::allocate_buffer(payload.size());
      if (copy.room().size() < payload.size()) return {};
      std::ranges::copy(payload, copy.room().begin());
      copy.extend(payload.size());
      return copy;
    }

    Inet& inet_;
  };

  // UDP over IP, and its ports among those of other cores.
  class Datagrams final : public ip::Transport, public ip::UdpPorts {
   public:
    explicit Datagrams(Inet& inet) noexcept : inet_{inet} {}

    // From the device, put together from fragments, to a group, or from ourselves.
    ip::Verdict receive(const ip::Arrival& arrival, std::uint64_t now) noexcept override {
      Crossing& crossing = *inet_.shared_.crossing;
      const auto to = arrival.payload.size() < wire::UdpHeader::size
                          ? std::nullopt
                          : crossing.place_of_datagrams(wire::load16(arrival.payload, 2));
      if (!to || *to == inet_.shared_.place) return below().receive(arrival, now);
      io::Buffer bytes =
          arrival.buffer ? std::move(*arrival.buffer) : io::allocate_buffer(arrival.payload.size());
      if (bytes.empty()) {
        if (bytes.room().size() < arrival.payload.size()) return ip::Verdict::taken;
        std::ranges::copy(arrival.payload, bytes.room().begin());
        bytes.extend(arrival.payload.size());
      }
      crossing.put(inet_.shared_.place, *to,
                   {.bytes = std::move(bytes),
                    .from = arrival.from,
                    .to = arrival.to,
                    .traffic_class = arrival.traffic_class,
                    .kind = ParcelKind::datagram,
                    .interface = arrival.interface.index,
                    .checksum_done = arrival.checksum_done,
                    .to_group = arrival.to_group});
      return ip::Verdict::taken;
    }
    bool failed(const wire::Quote& quote, const ip::Failure& failure,
                std::uint64_t now) noexcept override {
      return below().failed(quote, failure, now);
    }
    // One that another core has passed on. Whose socket has gone since, nobody is told.
    void take(Parcel& parcel, std::uint64_t now) noexcept {
      const ip::Arrival arrival{.interface = inet_.stack_.interfaces()[parcel.interface],
                                .from = parcel.from,
                                .to = parcel.to,
                                .protocol = wire::protocol::udp,
                                .traffic_class = parcel.traffic_class,
                                .to_group = parcel.to_group,
                                .checksum_done = parcel.checksum_done,
                                .packet = {},
                                .payload = parcel.bytes.bytes(),
                                .buffer = &parcel.bytes};
      static_cast<void>(below().receive(arrival, now));
    }

    Result<void> claim(std::uint16_t port) noexcept override {
      return inet_.shared_.crossing->claim_datagrams(port, inet_.shared_.place);
    }
    void release(std::uint16_t port) noexcept override {
      inet_.shared_.crossing->release_datagrams(port);
    }

   private:
    ip::Transport& below() noexcept { return inet_.udp_; }
    Inet& inet_;
  };

  class Addresses final : public ip::Observer {
   public:
    explicit Addresses(Inet& inet) noexcept : inet_{inet} {}
    void address(ip::Interface& interface, const ip::LocalAddress& address,
                 ip::AddressEvent event) noexcept override {
      if (Link* const link = inet_.link_of(interface))
        link->configuration.address(interface, address, event);
    }

   private:
    Inet& inet_;
  };

  class Events final : public tcp::Observer {
   public:
    void changed(tcp::Connection& connection, std::uint8_t changes) noexcept override {
      auto* socket = static_cast<TcpSocket*>(connection.owner);
      if (!socket) return;
      if (changes & (tcp::change::readable | tcp::change::closed)) socket->readable.notify();
      if (changes & (tcp::change::writable | tcp::change::connected | tcp::change::closed))
        socket->writable.notify();
    }
    void acceptable(tcp::Listener& listener) noexcept override {
      static_cast<TcpSocket*>(listener.owner)->readable.notify();
    }
    void has_no_memory() noexcept override {
      if (!std::exchange(told_, true))
        base::log::warning("a connection was refused: there is no memory left for more of them");
    }

   private:
    bool told_ = false;
  };

  Pools memory;
  Segments segments;
  Datagrams datagrams;
  Addresses addresses;
  Events events;
};

Inet::Inet(std::span<io::NetDevice* const> devices, const InetOptions& options, Shared shared)
    : home_{*coro::this_core()},
      shared_{shared},
      parts_{std::make_unique<Parts>(*this)},
      stack_{options.secret},
      udp_{stack_},
      name_servers_{options.name_servers},
      engine_{fitted(devices, options.tcp), parts_->memory, parts_->segments, parts_->events,
              options.secret},
      timer_{&timer_fired} {
  stack_.set_observer(&parts_->addresses);
  stack_.set_transport(wire::protocol::tcp, &parts_->segments);
  if (!shared_.crossing) return;
  stack_.set_transport(wire::protocol::udp, &parts_->datagrams);
  udp_.set_ports(&parts_->datagrams);
}

Result<std::unique_ptr<Inet>> Inet::create(io::NetDevice& device, const InetOptions& options) {
  io::NetDevice* const only = &device;
  return create({&only, 1}, options, {});
}

Result<std::unique_ptr<Inet>> Inet::create(std::span<io::NetDevice* const> devices,
                                           const InetOptions& options) {
  return create(devices, options, {});
}

Result<std::unique_ptr<Inet>> Inet::create(std::span<io::NetDevice* const> devices,
                                           const InetOptions& options, Shared shared) {
  if (devices.empty()) return Error::invalid_argument;
  if (devices.size() > Link::most) return Error::limit_reached;
  std::unique_ptr<Inet> inet{new (std::nothrow) Inet{devices, options, shared}};
  if (!inet || !inet->engine_.created()) return Error::no_memory;
  TRY(inet->set_up(devices, options));
  return inet;
}

Inet::~Inet() {
  for (UdpEnd* end = released_.load(std::memory_order_acquire); end;) {
    end->group_count = 0;  // nobody is told any more
    delete std::exchange(end, end->next);
  }
  stack_.set_transport(wire::protocol::tcp, nullptr);
  stack_.set_observer(nullptr);
}

std::uint64_t Inet::now() noexcept {
  now_ = std::max(now_, coro::hooks::now_ns());
  return now_;
}

void Inet::after(std::uint64_t now) noexcept {
  if (cut_off_ && cut_off_by_ != stack_.revision()) {
    cut_off_by_ = stack_.revision();
    cut_off_ = !engine_.try_again(now);
  }
  engine_.flush(now);
  if (shared_.crossing) {
    if (!follows()) lead();
    shared_.crossing->publish(shared_.place);
  }
  std::uint64_t at =
      std::min({stack_.deadline(), engine_.deadline(), names_ ? names_->deadline() : tcp::never});
  for (const auto& link : links_) at = std::min(at, link->configuration.deadline());
  if (at >= timer_at_) return;
  if (timer_set_ && !timer_.cancel()) return;  // it fires just now
  timer_at_ = at;
  timer_set_ = true;
  home_.timers().set(timer_, at);
}

void Inet::timer_fired(coro::Timer& timer) noexcept {
  Inet& self = *base::holder_of<Inet, &Inet::timer_>(&timer);
  timer.fired();
  self.timer_set_ = false;
  self.timer_at_ = tcp::never;
  self.due_.set();
}

void Inet::touched(tcp::Connection& connection, std::uint64_t at) noexcept {
  engine_.touched(at, connection);
  after(at);
}

Task<Result<void>> Inet::run() {
  const io::Stay stay = co_await io::StayOn{home_};
  Scope scope;
  working_links_ = links_.size();
  for (const auto& link : links_) scope.spawn(serve(*link), &home_);
  scope.spawn(keep_time(), &home_);
  if (shared_.crossing) scope.spawn(take_over(), &home_);
  const Result<void> outcome = co_await scope.join();
  if (std::exchange(timer_set_, false)) timer_.cancel();
  timer_at_ = tcp::never;
  co_return outcome;
}

// ---- with other cores ---------------------------------------------------------------------------

Task<Result<void>> Inet::take_over() {
  for (;;) {
    CO_TRY(co_await shared_.crossing->wait(shared_.place));
    const std::uint64_t at = now();
    shared_.crossing->take_all(shared_.place, [&](Parcel& parcel) noexcept { take(parcel, at); });
    if (follows()) follow();
    after(at);
  }
}

void Inet::take(Parcel& parcel, std::uint64_t now) noexcept {
  ip::Interface& from = stack_.interfaces()[parcel.interface];
  switch (parcel.kind) {
    case ParcelKind::segment: return parts_->segments.take(parcel, now);
    case ParcelKind::datagram: return parts_->datagrams.take(parcel, now);
    case ParcelKind::leave: return stack_.leave(from, parcel.to);
    case ParcelKind::frame: break;
  }
  stack_.receive(from, std::move(parcel.bytes), {.checksum_done = parcel.checksum_done}, now);
}

std::optional<unsigned> Inet::datagrams_elsewhere(std::span<const std::byte> frame) const noexcept {
  const auto port = port_of(frame);
  const unsigned to = port ? shared_.crossing->place_of_datagrams(*port).value_or(0) : 0;
  if (to == shared_.place) return std::nullopt;
  return to;
}

std::optional<unsigned> Inet::elsewhere(const tcp::Path& path, const wire::TcpSegment& segment,
                                        std::uint8_t& looked) noexcept {
  Crossing* crossing = shared_.crossing;
  if (!crossing || engine_.has(path)) return std::nullopt;
  if (looked == not_looked) {
    looked = 0;
    const unsigned home = crossing->home(path);
    if (home != shared_.place) {
      ++crossing->counters(shared_.place).misled;
      return home;
    }
  }
  if (engine_.would_take(now_, path, segment)) return std::nullopt;
  // A connection of which all know that nobody wants it.
  const bool opens = segment.has(wire::tcp_flag::syn) && !segment.has(wire::tcp_flag::ack);
  if (opens && !crossing->anybody_listens(path.local.port)) return std::nullopt;
  if (++looked >= crossing->places()) return std::nullopt;
  ++crossing->counters(shared_.place).went_on;
  return (shared_.place + 1) % crossing->places();
}

Task<Result<void>> Inet::keep_time() {
  for (;;) {
    due_.reset();
    take_wishes();
    const std::uint64_t at = now();
    stack_.advance(at);
    engine_.advance(at);
    for (const auto& link : links_) link->configuration.advance(at);
    if (names_) names_->advance(at);
    after(at);
    CO_TRY(co_await due_.wait());
  }
}

void Inet::wish(TcpSocket& socket, std::uint8_t wish) noexcept {
  if (coro::this_core() == &home_) return grant(socket, wish);
  if (socket.wishes.fetch_or(wish) != 0) return;
  TcpSocket* first = wishing_.load(std::memory_order_relaxed);
  do {
    socket.next = first;
  } while (!wishing_.compare_exchange_weak(first, &socket));
  due_.set();
}

void Inet::release(UdpEnd& end) noexcept {
  if (coro::this_core() == &home_) {
    delete &end;
    return;
  }
  UdpEnd* first = released_.load(std::memory_order_relaxed);
  do {
    end.next = first;
  } while (!released_.compare_exchange_weak(first, &end, std::memory_order_acq_rel));
  due_.set();
}

void Inet::take_wishes() noexcept {
  for (UdpEnd* end = released_.exchange(nullptr, std::memory_order_acq_rel); end;)
    delete std::exchange(end, end->next);
  for (TcpSocket* socket = wishing_.exchange(nullptr); socket;) {
    TcpSocket& each = *std::exchange(socket, socket->next);
    grant(each, each.wishes.exchange(0));
  }
}

void Inet::grant(TcpSocket& socket, std::uint8_t wishes) noexcept {
  const std::uint64_t at = now();
  if (wishes & TcpSocket::abort && socket.connection) {
    socket.connection->abort();
    engine_.touched(at, *socket.connection);
  }
  if (wishes & TcpSocket::release) {
    if (socket.connection) {
      socket.connection->owner = nullptr;
      engine_.release(at, *socket.connection);
    }
    if (socket.listens && !socket.closed) stop_listening(socket);
    socket.~TcpSocket();
    coro::hooks::free_frame(&socket, sizeof socket);
  }
  after(at);
}

void Inet::stop_listening(TcpSocket& socket) noexcept {
  if (shared_.crossing) shared_.crossing->release(socket.claim);
  engine_.close(now_, socket.listener);
}

Task<Result<std::vector<io::Address>>> Inet::resolve(std::string_view host, std::uint16_t port) {
  const bool in_brackets = host.starts_with('[') && host.ends_with(']');
  const auto literal = wire::IpAddress::parse(in_brackets ? host.substr(1, host.size() - 2) : host);
  if (literal) co_return std::vector<io::Address>{address_of(*literal, port)};
  {
    const io::Stay stay = co_await io::StayOn{home_};
    if (!names_) names_.reset(new (std::nothrow) Names{*this});
    if (!names_) co_return Error::no_memory;
  }
  co_return co_await names_->resolve(host, port);
}

}  // namespace lichen::net::inet
