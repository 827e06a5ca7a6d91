// Options of sockets, with any numbers and any bytes, on streams and datagram sockets in all their
// states. Whatever is set: what can be set can be asked for, what is told fits into the room for
// it, connections keep their promises, and in the end all of them come to theirs.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "lichen/net/socket/options.hpp"
#include "lichen/net/tcp/test_world.hpp"
#include "tests/fuzz/check.hpp"
#include "tests/fuzz/choices.hpp"

using namespace lichen;
using namespace lichen::net;
using namespace lichen::net::socket;
using fuzz::Choices;
using tcp::second;

namespace {

// One of two machines that talk; every packet arrives.
class Host final : public tcp::Output, public tcp::Observer {
 public:
  struct Packet {
    tcp::Path path;  // as its receiver sees it
    wire::TcpHeader header;
    std::vector<std::byte> payload;
  };

  explicit Host(const tcp::EngineConfig& config)
      : engine{std::make_unique<tcp::Engine>(config, memory, *this, *this, base::HashKey{1, 2})} {}
  ~Host() {
    sent.clear();
    engine.reset();
    CHECK(buffers.lent == 0 && memory.used == 0);
  }
  bool transmit(const tcp::Outgoing& segment) noexcept override {
    Packet packet{{segment.path.remote, segment.path.local}, segment.header, {}};
    for (const auto piece : segment.payload)
      packet.payload.insert(packet.payload.end(), piece.begin(), piece.end());
    CHECK(packet.payload.size() == segment.payload_size);
    sent.push_back(std::move(packet));
    return true;
  }
  void changed(tcp::Connection&, std::uint8_t) noexcept override {}
  void acceptable(tcp::Listener&) noexcept override {}
  void input(std::uint64_t now, const Packet& packet) {
    io::Buffer payload;
    if (!packet.payload.empty()) payload = buffers.make(packet.payload);
    wire::TcpSegment segment;
    static_cast<wire::TcpHeader&>(segment) = packet.header;
    segment.payload = payload.bytes();
    engine->input(now, packet.path, segment, std::move(payload));
    CHECK(engine->broken() == nullptr);
  }

  tcp::TestMemory memory;
  tcp::TestBuffers buffers;
  std::deque<Packet> sent;
  std::unique_ptr<tcp::Engine> engine;
};

class Sink final : public ip::FrameOutput {
 public:
  bool transmit(const ip::Frame&) noexcept override { return true; }
};

constexpr wire::IpAddress here = wire::Ipv4Address::of(0x0a000001);
constexpr wire::IpAddress there = wire::Ipv4Address::of(0x0a000002);

// Levels and names that exist come often.
struct Option {
  int level;
  int name;
};
Option choose(Choices& in) {
  static constexpr std::array levels{level::socket, level::tcp, level::ip, level::ipv6};
  const std::uint8_t which = in.byte();
  if (which >= 250) return {in.word(), in.word()};
  return {levels[which % levels.size()], in.byte() % 80};
}

// Twice what fits is the most that Linux allows; beyond that nobody can ask for memory.
void check_settings(const Settings& settings) {
  constexpr std::uint32_t most = 2 * 212'992;
  CHECK(settings.send_buffer <= most && settings.receive_buffer <= most);
  CHECK(settings.tcp.receive_buffer <= most && settings.tcp.send_buffer <= most);
  CHECK(settings.tcp.largest_mss == 0 || settings.tcp.largest_mss >= 88);
  CHECK(settings.tcp.keep_alive_probes >= 1 && settings.tcp.keep_alive_probes <= 127);
  CHECK(settings.tcp.syn_retries >= 1 && settings.tcp.syn_retries <= 127);
  CHECK(settings.tcp.keep_alive_interval >= second);
  CHECK(settings.tcp.keep_alive_idle == 0 || settings.tcp.keep_alive_idle >= second);
  CHECK((settings.tcp.ip.traffic_class & 3) == 0);
  CHECK(settings.groups.count() <= Groups::most);
}

int ask(const Target& target, const Option& option, std::size_t room) {
  const std::unique_ptr<std::byte[]> into{new std::byte[room]};
  std::size_t size = room;
  const int failed = get(target, option.level, option.name, {into.get(), room}, size);
  CHECK(failed >= 0 && failed < 4096);
  CHECK(size <= room);
  return failed;
}

// What is set is either kept, and can be asked for, or refused.
void set_and_ask(Choices& in, const Target& target) {
  const Option option = choose(in);
  const std::size_t size = in.byte() % 40;
  const std::unique_ptr<std::byte[]> value{new std::byte[size]};
  for (std::size_t i = 0; i < size; ++i) value[i] = std::byte{in.byte()};
  const bool reads = (size & 1) != 0 || size == 0;
  const int failed = set(target, option.level, option.name, {value.get(), size});
  CHECK(failed >= 0 && failed < 4096);
  check_settings(target.settings);
  const bool is_membership =
      (option.level == level::ip &&
       (option.name == ip_option::add_membership || option.name == ip_option::drop_membership)) ||
      (option.level == level::ipv6 &&
       (option.name == ipv6_option::join_group || option.name == ipv6_option::leave_group));
  if (failed == 0 && !is_membership) CHECK(ask(target, option, 4 + in.byte() % 300) == 0);
  if (reads) (void)ask(target, choose(in), in.byte());
  (void)is_readable(target);
}

tcp::EngineConfig engine_config() {
  tcp::EngineConfig config;
  config.connections = 8;
  config.pieces = config.flights = config.chunks = config.blocks = 256;
  return config;
}

// A listener and a client; connections are made, used, and closed.
class Streams {
 public:
  explicit Streams(Choices in) : in_{in} {}

  void run() {
    server_.settings.bound = true;
    listener_.local = {{}, 80};
    listener_.backlog = 3;
    while (!in_.done()) step();
    end();
  }

 private:
  struct Side {
    explicit Side(const tcp::EngineConfig& config, Family family)
        : host{config}, settings{family, Kind::stream, config.connection} {}
    Host host;
    Settings settings;
    tcp::Connection* connection = nullptr;
  };

  [[nodiscard]] Target target(Side& side) {
    return {.settings = side.settings,
            .now = now_,
            .engine = side.host.engine.get(),
            .connection = side.connection,
            .listener =
                &side == &server_ && side.connection == nullptr && listens_ ? &listener_ : nullptr};
  }

  void step() {
    const std::uint8_t what = in_.byte();
    Side& side = (what & 1) != 0 ? server_ : client_;
    switch (what / 2 % 12) {
      case 0: pass(std::uint64_t{in_.word()} * 4 * tcp::millisecond); break;
      case 1:
        if (listens_) break;
        listener_.config = &server_.settings.tcp;
        listener_.families = server_.settings.families();
        listens_ = server_.host.engine->listen(listener_).has_value();
        CHECK(listens_);
        break;
      case 2: {
        if (client_.connection != nullptr) break;
        const auto made = client_.host.engine->connect(now_, tcp::Path{{here, 0}, {there, 80}},
                                                       this, &client_.settings.tcp);
        if (!made) break;
        client_.connection = *made;
        opened(target(client_));
        break;
      }
      case 3:
        if (server_.connection != nullptr || !listens_) break;
        server_.connection = server_.host.engine->take(listener_, this);
        if (server_.connection != nullptr) opened(target(server_));
        break;
      case 4:
        if (side.connection == nullptr) break;
        side.connection->write(now_, std::vector<std::byte>(in_.word() % 10'000)).ignore();
        side.host.engine->touched(now_, *side.connection);
        break;
      case 5:
        if (side.connection == nullptr) break;
        side.connection->receive().ignore();
        side.host.engine->touched(now_, *side.connection);
        break;
      case 6:
        if (side.connection == nullptr) break;
        side.connection->shutdown(now_);
        side.host.engine->touched(now_, *side.connection);
        break;
      case 7: release(side); break;
      default: set_and_ask(in_, target(side)); break;
    }
    pump();
    CHECK(server_.host.engine->broken() == nullptr && client_.host.engine->broken() == nullptr);
  }

  void release(Side& side) {
    if (side.connection == nullptr) return;
    side.host.engine->release(now_, *side.connection);
    side.connection = nullptr;
  }

  // Until nobody has anything to say.
  void pump() {
    for (int rounds = 0;; ++rounds) {
      CHECK(rounds < 10'000);
      client_.host.engine->flush(now_);
      server_.host.engine->flush(now_);
      if (client_.host.sent.empty() && server_.host.sent.empty()) return;
      exchange(client_.host, server_.host);
      exchange(server_.host, client_.host);
    }
  }
  void exchange(Host& from, Host& to) {
    while (!from.sent.empty()) {
      const Host::Packet packet = std::move(from.sent.front());
      from.sent.pop_front();
      to.input(now_, packet);
    }
  }
  [[nodiscard]] std::uint64_t deadline() const {
    return std::min(client_.host.engine->deadline(), server_.host.engine->deadline());
  }
  void advance() {
    now_ = std::max(now_, deadline());
    client_.host.engine->advance(now_);
    server_.host.engine->advance(now_);
    pump();
  }
  // Who keeps asking (a peer that reads nothing, a keep-alive) is heard 1,000 times.
  void pass(std::uint64_t ns) {
    const std::uint64_t until = now_ + ns;
    pump();
    for (int times = 0; times < 1'000 && deadline() <= until; ++times) advance();
    now_ = std::max(now_, until);
  }

  void end() {
    release(client_);
    release(server_);
    if (listens_) server_.host.engine->close(now_, listener_);
    for (int times = 0; times < 10'000 && deadline() != tcp::never; ++times) advance();
    CHECK(client_.host.engine->connections() == 0 && server_.host.engine->connections() == 0);
  }

  Choices in_;
  std::uint64_t now_ = second;
  tcp::Listener listener_;
  bool listens_ = false;
  Side client_{engine_config(), Family::ipv4};
  Side server_{engine_config(), Family::ipv6};
};

std::ptrdiff_t count_groups(const ip::Interface& interface) {
  return std::ranges::count_if(interface.groups(), [](const auto& one) { return one.members > 0; });
}

// A datagram socket on a stack with a network of each family.
void datagrams(Choices in) {
  Sink device;
  std::uint64_t now = 1'000 * second;
  auto stack = std::make_unique<ip::Stack>(base::HashKey{1, 2});
  ip::Interface& interface =
      **stack->add_interface({.output = device, .mac = {{2, 0, 0, 0, 0, 1}}}, now);
  CHECK(stack->add_address(interface, {.address = here, .bits = 24}, ip::Probe::no, now));
  const auto here6 = *wire::IpAddress::parse("2001:db8::1");
  CHECK(stack->add_address(interface, {.address = here6, .bits = 64}, ip::Probe::no, now));
  ip::Udp udp{*stack};
  std::vector<std::byte> memory(4'096);
  ip::UdpSocket socket{memory};
  const unsigned form = in.byte();
  Settings settings{(form & 1) != 0 ? Family::ipv6 : Family::ipv4, Kind::datagram, tcp::Config{}};
  settings.bound = (form & 2) != 0;
  CHECK(udp.open(socket, {{}, 7}));
  if ((form & 4) != 0) CHECK(udp.connect(socket, {there, 9}, now));
  const std::ptrdiff_t joined = count_groups(interface);
  while (!in.done()) {
    const Target target{.settings = settings,
                        .now = now,
                        .datagrams = (form & 8) != 0 ? nullptr : &socket,
                        .stack = (form & 16) != 0 ? nullptr : stack.get()};
    set_and_ask(in, target);
    const std::array<std::byte, 4> bytes{};
    ip::Pieces payload;
    payload.add(bytes);
    if ((in.byte() & 7) == 0) udp.send(socket, {there, 9}, payload, now).ignore();
    now += in.byte() * tcp::millisecond;
    for (int times = 0; times < 1'000 && stack->deadline() <= now; ++times) stack->advance(now);
  }
  closing({.settings = settings, .now = now, .datagrams = &socket, .stack = stack.get()});
  CHECK(settings.groups.count() == 0 && count_groups(interface) == joined);
  udp.close(socket);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Choices in{{data + 1, size - 1}};
  if ((data[0] & 1) != 0)
    datagrams(in);
  else
    Streams{in}.run();
  return 0;
}
