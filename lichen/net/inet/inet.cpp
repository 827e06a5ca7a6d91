#include "lichen/net/inet/inet.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <utility>

#include "lichen/base/log.hpp"
#include "lichen/base/member.hpp"
#include "lichen/coro/hooks.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/coro/when.hpp"
#include "lichen/io/operation.hpp"
#include "lichen/net/inet/classify.hpp"
#include "lichen/net/inet/datagram.hpp"
#include "lichen/net/wire/fields.hpp"
#include "lichen/net/wire/wire.hpp"

namespace lichen::net::inet {

namespace {

// Of a segment that came from the device, not from another core.
constexpr std::uint8_t not_looked = 0xff;

// Of a burst that the device cuts, with its headers below 64 KiB (RFC 791).
constexpr std::uint32_t largest_burst = 61'440;

// Whether the device cuts segments, whatever they go over.
bool cuts_segments(const io::NetFeatures& features) noexcept {
  return features.checksum && features.segmentation4 && features.segmentation6;
}

tcp::EngineConfig fitted(const io::NetDevice& device, tcp::EngineConfig config) noexcept {
  config.connection.mtu = static_cast<std::uint16_t>(std::min<std::size_t>(device.mtu(), 65'535));
  config.connection.largest_burst = cuts_segments(device.features()) ? largest_burst : 0;
  return config;
}

wire::MacAddress mac_of(const io::NetDevice& device) noexcept {
  wire::MacAddress mac;
  const auto octets = device.address();
  for (std::size_t i = 0; i < octets.size(); ++i)
    mac.octets[i] = std::to_integer<std::uint8_t>(octets[i]);
  return mac;
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
  explicit Parts(Inet& inet) noexcept : segments{inet}, datagrams{inet} {}

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
      const ip::Arrival arrival{.interface = *inet_.interface_,
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
      const auto way =
          inet_.stack_.way(path.remote.address, path.local.address, nullptr, inet_.now_);
      return way ? way->mtu : 0;
    }

    [[nodiscard]] tcp::Loans loans() const noexcept override { return inet_.transmit_.loans(); }
    [[nodiscard]] bool has_room() noexcept override { return inet_.transmit_.has_room(); }

    bool transmit(const tcp::Outgoing& segment) noexcept override {
      const std::uint64_t now = inet_.now_;
      const tcp::Path& path = segment.path;
      const auto way = inet_.stack_.way(path.remote.address, path.local.address, nullptr, now);
      if (!way) return true;  // as if it were lost: there may be a way later
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
      return !inet_.stack_.send(*way, packet, now).failed_with(Error::would_block);
    }

   private:
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
      if (arrival.buffer && !inet_.device_.is_short_of_buffers()) {
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
      const ip::Arrival arrival{.interface = *inet_.interface_,
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
  };

  Pools memory;
  Segments segments;
  Datagrams datagrams;
  Events events;
};

Inet::Inet(io::NetDevice& device, const InetOptions& options, Shared shared)
    : device_{device},
      home_{*coro::this_core()},
      shared_{shared},
      transmit_{device, home_},
      parts_{std::make_unique<Parts>(*this)},
      stack_{options.secret},
      udp_{stack_},
      configuration_{stack_, udp_},
      engine_{fitted(device, options.tcp), parts_->memory, parts_->segments, parts_->events,
              options.secret},
      timer_{&timer_fired} {}

Result<std::unique_ptr<Inet>> Inet::create(io::NetDevice& device, const InetOptions& options) {
  return create(device, options, {});
}

Result<std::unique_ptr<Inet>> Inet::create(io::NetDevice& device, const InetOptions& options,
                                           Shared shared) {
  std::unique_ptr<Inet> inet{new (std::nothrow) Inet{device, options, shared}};
  if (!inet || !inet->engine_.created()) return Error::no_memory;
  TRY(inet->set_up(options));
  return inet;
}

Result<void> Inet::set_up(const InetOptions& options) noexcept {
  const io::NetFeatures features = device_.features();
  interface_ = TRY(stack_.add_interface({.output = transmit_,
                                         .mac = mac_of(device_),
                                         .mtu = static_cast<std::uint32_t>(device_.mtu()),
                                         .offloads_checksum = features.checksum,
                                         .offloads_segments = cuts_segments(features),
                                         .ipv6 = !follows(),
                                         .router_discovery = !follows(),
                                         .answers = !follows()},
                                        now()));
  stack_.set_transport(wire::protocol::tcp, &parts_->segments);
  if (shared_.crossing) {
    stack_.set_transport(wire::protocol::udp, &parts_->datagrams);
    udp_.set_ports(&parts_->datagrams);
  }
  // Neighbours tell all of their new addresses.
  if (follows()) return stack_.join(*interface_, wire::Ipv6Address::all_nodes());
  configuration_.set_name_servers(options.name_servers);
  if (options.address.network.is_unspecified()) return configuration_.ask(*interface_, now());
  configuration_.told(*interface_, options.address.network);
  TRY(stack_.add_address(*interface_,
                         {.address = options.address.network, .bits = options.address.bits},
                         ip::Probe::no, now()));
  if (options.gateway.is_unspecified()) return {};
  const wire::IpAddress any = options.gateway.is_ipv4() ? wire::IpAddress{wire::Ipv4Address{}}
                                                        : wire::IpAddress{wire::Ipv6Address{}};
  return stack_.add_route({.to = {any, 0}, .via = options.gateway, .interface = interface_->index});
}

Inet::~Inet() {
  for (UdpEnd* end = released_.load(std::memory_order_acquire); end;) {
    end->group_count = 0;  // nobody is told any more
    delete std::exchange(end, end->next);
  }
  stack_.set_transport(wire::protocol::tcp, nullptr);
}

std::uint64_t Inet::now() noexcept {
  now_ = std::max(now_, coro::hooks::now_ns());
  return now_;
}

void Inet::after(std::uint64_t now) noexcept {
  engine_.flush(now);
  if (shared_.crossing) {
    if (!follows()) lead();
    shared_.crossing->publish(shared_.place);
  }
  const std::uint64_t at =
      std::min({stack_.deadline(), engine_.deadline(), configuration_.deadline(),
                names_ ? names_->deadline() : tcp::never});
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

void Inet::touched(tcp::Connection& connection) noexcept {
  const std::uint64_t at = now();
  engine_.touched(at, connection);
  after(at);
}

Task<Result<void>> Inet::run() {
  const io::Stay stay = co_await io::StayOn{home_};
  Scope scope;
  scope.spawn(receive_all(), &home_);
  scope.spawn(keep_time(), &home_);
  if (!follows()) scope.spawn(watch_link(), &home_);
  if (shared_.crossing) scope.spawn(take_over(), &home_);
  scope.spawn(transmit_.run([this]() noexcept { after(now()); }), &home_);
  const Result<void> outcome = co_await scope.join();
  if (std::exchange(timer_set_, false)) timer_.cancel();
  timer_at_ = tcp::never;
  co_return outcome;
}

Task<Result<void>> Inet::receive_all() {
  std::array<io::ReceivedFrame, 32> frames;
  for (;;) {
    const std::size_t count = CO_TRY(co_await device_.receive(frames));
    const io::Stay stay = co_await io::StayOn{home_};  // a device of another core took it there
    const std::uint64_t at = now();
    for (io::ReceivedFrame& frame : std::span{frames}.first(count)) take(frame, at);
    after(at);
  }
}

void Inet::take(io::ReceivedFrame& frame, std::uint64_t now) noexcept {
  const bool checksum_done = frame.work.needs_checksum || frame.work.checksum_is_right;
  if (Crossing* crossing = shared_.crossing) {
    switch (audience_of(frame.bytes.bytes())) {
      case Audience::here: break;
      case Audience::ports:
        if (const auto to = datagrams_elsewhere(frame.bytes.bytes())) {
          crossing->put(shared_.place, *to,
                        {.bytes = std::exchange(frame.bytes, {}), .checksum_done = checksum_done});
          return;
        }
        break;
      case Audience::first:
        if (shared_.place == 0) break;
        crossing->put(shared_.place, 0,
                      {.bytes = std::exchange(frame.bytes, {}), .checksum_done = checksum_done});
        return;
      case Audience::all:
        crossing->put_copies(shared_.place, frame.bytes.bytes(), checksum_done);
        break;
    }
  }
  stack_.receive(*interface_, std::exchange(frame.bytes, {}), {.checksum_done = checksum_done},
                 now);
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
  switch (parcel.kind) {
    case ParcelKind::segment: return parts_->segments.take(parcel, now);
    case ParcelKind::datagram: return parts_->datagrams.take(parcel, now);
    case ParcelKind::leave: return stack_.leave(*interface_, parcel.to);
    case ParcelKind::frame: break;
  }
  stack_.receive(*interface_, std::move(parcel.bytes), {.checksum_done = parcel.checksum_done},
                 now);
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
    if (home != shared_.place) return home;
  }
  if (engine_.would_take(now_, path, segment)) return std::nullopt;
  // A connection of which all know that nobody wants it.
  const bool opens = segment.has(wire::tcp_flag::syn) && !segment.has(wire::tcp_flag::ack);
  if (opens && !crossing->anybody_listens(path.local.port)) return std::nullopt;
  if (++looked >= crossing->places()) return std::nullopt;
  ++crossing->counters(shared_.place).went_on;
  return (shared_.place + 1) % crossing->places();
}

void Inet::lead() noexcept {
  if (revision_ == stack_.revision()) return;
  revision_ = stack_.revision();
  shared_.crossing->announce(stack_.settings(*interface_));
}

void Inet::follow() noexcept {
  if (const auto settings = shared_.crossing->settings_after(revision_))
    stack_.follow(*interface_, *settings, now());
}

Task<Result<void>> Inet::keep_time() {
  for (;;) {
    due_.reset();
    take_wishes();
    const std::uint64_t at = now();
    stack_.advance(at);
    engine_.advance(at);
    configuration_.advance(at);
    if (names_) names_->advance(at);
    after(at);
    CO_TRY(co_await due_.wait());
  }
}

// Connections outlive a link that comes back; until then it is as if all was lost on the way.
Task<Result<void>> Inet::watch_link() {
  for (io::LinkState seen;;) {
    const Result<io::LinkState> told = co_await device_.link_changed(seen);
    const io::Stay stay = co_await io::StayOn{home_};
    if (told.failed_with(Error::not_supported)) co_return Result<void>{};
    const io::LinkState link = CO_TRY(told);
    const std::uint64_t at = now();
    if (link.up != seen.up) base::log::info("net: the link is {}", link.up ? "up" : "down");
    stack_.set_up(*interface_, link.up, at);
    // It may be another link, or the same one at another place.
    if (link.up) stack_.announce(*interface_, at);
    seen = link;
    after(at);
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

Task<Result<void>> Inet::up(Duration limit) {
  co_return co_await with_timeout(limit, configuration_.up());
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
