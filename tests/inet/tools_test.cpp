// The host's own tools as peers, over a TAP device: ping, nc, iperf3.
#include <net/if.h>

#include <chrono>
#include <fstream>

#include "lichen/base/bits.hpp"
#include "lichen/base/format.hpp"
#include "lichen/net/ip/interface.hpp"
#include "tests/inet/peers.hpp"

namespace lichen::driver::test {
namespace {

using namespace std::chrono_literals;
using net::inet::Inet;

struct Tools : testing::Test {
  void SetUp() override {
    if (!has_network_namespace())
      GTEST_SKIP() << "needs /dev/net/tun and the right to make a namespace";
    for (const char* program : {"dnsmasq", "ping", "nc", "iperf3"})
      if (!has_program(program)) GTEST_SKIP() << program << " is not installed (tools/setup test)";
  }
};

// At 10.9.0.2, and where a router is, at an address it advertises.
template <BesideTask* body, bool router = false>
void run_told() {
  run_on_host([] [[clang::coro_wrapper]] (HostSystem & host) {
    std::vector<std::string> options;
    if (router) options = {"--enable-ra", "--dhcp-range=fd00:9::,ra-only"};
    return run_beside(host, body, "10.9.0.2", std::move(options));
  });
}

std::string written(const net::wire::IpAddress& address) {
  std::array<char, 64> room;
  return std::string{base::format_to(room, "{}", address).text};
}

// Our addresses of IPv6, once they are known to be ours alone.
Task<Result<std::vector<std::string>>> ipv6_addresses(Inet& inet) {
  std::vector<std::string> found;
  CO_TRY(co_await until([&] {
    found.clear();
    for (const net::ip::LocalAddress& one : inet.addresses())
      if (!one.address.is_ipv4() && one.is_usable())
        found.push_back(written(one.address) + (one.address.is_link_local() ? "%lichen0" : ""));
    return found.size() == 2;
  }));
  co_return found;
}

// Every kind of size from nothing to the largest there is, in up to 45 fragments each way.
constexpr const char* sizes =
    "sizes=\"$(seq 0 977 65507) 1 7 8 1452 1453 1472 1473 2944 2945 65506 65507\"; "
    "for size in $sizes; do"
    "  ping -q -c 1 -W 10 -s $size $address >/dev/null || { echo size $size; exit 1; }; done";

Task<Result<void>> pings(Beside& beside) {
  std::vector<std::string> addresses{"10.9.0.2"};
  if (has_ipv6())
    for (std::string& address : CO_TRY(co_await ipv6_addresses(beside.inet)))
      addresses.push_back(std::move(address));
  for (const std::string& address : addresses)
    EXPECT_EQ(CO_TRY(co_await run_command("address=" + address + "; " + sizes)), 0);
  co_return Result<void>{};
}
TEST_F(Tools, PingsOfAllSizes) { run_told<pings, true>(); }

Task<Result<void>> echo(std::unique_ptr<io::Stream> stream) {
  for (;;) {
    const io::Buffer buffer = CO_TRY(co_await stream->receive());
    if (buffer.empty()) co_return Result<void>{};
    CO_TRY(co_await stream->write_all(buffer.bytes()));
  }
}
Task<Result<void>> serve_echo(io::Listener& listener) {
  Scope scope{OnError::keep_going};
  for (;;) {
    auto stream = co_await listener.accept();
    if (!stream) break;
    scope.spawn(echo(*std::move(stream)));
  }
  co_return co_await scope.join();
}
Task<Result<void>> serve_datagrams(io::Datagram& socket) {
  std::vector<std::byte> bytes(65'536);
  for (;;) {
    const io::Received got = CO_TRY(co_await socket.receive(bytes));
    CO_TRY(co_await socket.send(std::span{bytes}.first(got.size), got.from));
  }
}

// As soon as somebody listens there.
Task<Result<std::unique_ptr<io::Stream>>> connect_to_host(Inet& inet, std::uint16_t port) {
  for (;;) {
    auto stream = co_await inet.connect(io::Address::ipv4({10, 9, 0, 1}, port));
    if (!stream.failed_with(Error::connection_refused)) co_return stream;
    CO_TRY(co_await sleep_for(2ms));
  }
}

Task<Result<void>> netcat(Beside& beside) {
  auto listener = CO_TRY(co_await beside.inet.listen(io::Address::ipv4({0, 0, 0, 0}, 7)));
  auto socket = CO_TRY(co_await beside.inet.bind(io::Address::ipv4({0, 0, 0, 0}, 7)));
  Scope scope{OnError::keep_going};
  scope.spawn(serve_echo(*listener));
  scope.spawn(serve_datagrams(*socket));
  const std::string file = beside.folder.path() + "/file";
  std::vector<std::string> addresses{"10.9.0.2"};
  if (has_ipv6())
    for (std::string& address : CO_TRY(co_await ipv6_addresses(beside.inet)))
      addresses.push_back(std::move(address));
  EXPECT_EQ(CO_TRY(co_await run_command("head -c 8M /dev/urandom > " + file)), 0);
  for (const std::string& address : addresses) {
    EXPECT_EQ(CO_TRY(co_await run_command("nc -N -w 20 " + address + " 7 < " + file + " | cmp - " +
                                          file)),
              0);
    EXPECT_EQ(CO_TRY(co_await run_command("test \"$(printf hello | nc -u -W 1 -w 20 " + address +
                                          " 7)\" = hello")),
              0);
  }
  // Nobody is there: said at once.
  EXPECT_EQ(CO_TRY(co_await run_command("! nc -z -w 20 10.9.0.2 9")), 0);

  // The other way round.
  Daemon server{beside.folder, {"nc", "-l", "-N", "10.9.0.1", "5001"}};
  auto stream = CO_TRY(co_await connect_to_host(beside.inet, 5'001));
  CO_TRY(co_await stream->write_all(bytes_of("to whom it may concern")));
  CO_TRY(co_await stream->shutdown(io::Direction::send));
  std::array<std::byte, 8> nothing;
  EXPECT_EQ(CO_TRY(co_await stream->read(nothing)), 0U);
  EXPECT_EQ(CO_TRY(co_await server.end()), 0);
  EXPECT_EQ(server.said(), "to whom it may concern");
  listener->close();
  scope.request_stop();
  (co_await scope.join()).ignore();
  co_return Result<void>{};
}
TEST_F(Tools, Netcat) { run_told<netcat, true>(); }

// What a client of iperf3 says to its server (facts of iperf 3.12, src/iperf_api.h and
// iperf_client_api.c): one byte for each state, texts in JSON behind their length.
class Iperf {
 public:
  enum State : std::uint8_t {
    test_start = 1,
    test_running = 2,
    test_end = 4,
    parameters = 9,
    create_streams = 10,
    results = 13,
    display = 14,
    done = 16,
  };

  static Task<Result<void>> run(Inet& inet, bool reverse, std::size_t size) {
    static constexpr std::string_view cookie = "abcdefghijklmnopqrstuvwxyz0123456789";
    std::array<std::byte, 37> name{};
    std::ranges::copy(bytes_of(cookie), name.begin());
    auto control = CO_TRY(co_await connect_to_host(inet, 5'201));
    CO_TRY(co_await control->write_all(name));
    CO_TRY(co_await expect(*control, parameters));
    CO_TRY(co_await say(*control, std::string{"{\"tcp\":true,\"omit\":0,\"time\":20,\"parallel\":1,"
                                              "\"len\":131072,\"client_version\":\"3.12\""} +
                                      (reverse ? ",\"reverse\":true}" : "}")));
    CO_TRY(co_await expect(*control, create_streams));
    auto data = CO_TRY(co_await connect_to_host(inet, 5'201));
    CO_TRY(co_await data->write_all(name));
    CO_TRY(co_await expect(*control, test_start));
    CO_TRY(co_await expect(*control, test_running));
    const std::vector<std::byte> block(131'072);
    for (std::size_t moved = 0; moved < size;) {
      if (reverse) {
        const io::Buffer got = CO_TRY(co_await data->receive());
        if (got.empty()) co_return Error::end_of_stream;
        moved += got.size();
      } else {
        CO_TRY(co_await data->write_all(block));
        moved += block.size();
      }
    }
    CO_TRY(co_await tell(*control, test_end));
    // A server that sends goes on until it has heard it.
    Scope scope{OnError::keep_going};
    if (reverse) scope.spawn(drain(*data));
    CO_TRY(co_await expect(*control, results));
    CO_TRY(co_await say(*control,
                        "{\"cpu_util_total\":0,\"cpu_util_user\":0,\"cpu_util_system\":0,"
                        "\"sender_has_retransmits\":0,\"streams\":[{\"id\":1,\"bytes\":" +
                            std::to_string(size) +
                            ",\"retransmits\":0,\"jitter\":0,\"errors\":0,\"packets\":0,"
                            "\"start_time\":0,\"end_time\":1}]}"));
    CO_TRY(co_await hear(*control));
    CO_TRY(co_await expect(*control, display));
    CO_TRY(co_await tell(*control, done));
    scope.request_stop();
    (co_await scope.join()).ignore();
    co_return Result<void>{};
  }

 private:
  static Task<Result<void>> drain(io::Stream& stream) {
    while (!CO_TRY(co_await stream.receive()).empty()) continue;
    co_return Result<void>{};
  }
  static Task<Result<void>> expect(io::Stream& control, State state) {
    std::array<std::byte, 1> byte;
    CO_TRY(co_await control.read_exact(byte));
    EXPECT_EQ(byte[0], static_cast<std::byte>(state));
    if (byte[0] != static_cast<std::byte>(state)) co_return Error::protocol_error;
    co_return Result<void>{};
  }
  static Task<Result<void>> tell(io::Stream& control, State state) {
    const std::array byte{static_cast<std::byte>(state)};
    co_return co_await control.write_all(byte);
  }
  static Task<Result<void>> say(io::Stream& control, std::string text) {
    std::array<std::byte, 4> length;
    base::store_big(length, static_cast<std::uint32_t>(text.size()));
    CO_TRY(co_await control.write_all(length));
    co_return co_await control.write_all(bytes_of(text));
  }
  static Task<Result<void>> hear(io::Stream& control) {
    std::array<std::byte, 4> length;
    CO_TRY(co_await control.read_exact(length));
    std::vector<std::byte> text(base::load_big<std::uint32_t>(length));
    co_return co_await control.read_exact(text);
  }
};

// Its server measures, and is content with what it was told.
Task<Result<void>> iperf(Beside& beside) {
  for (const bool reverse : {false, true}) {
    Daemon server{beside.folder, {"iperf3", "-s", "-1", "-J", "-B", "10.9.0.1"}};
    CO_TRY(co_await Iperf::run(beside.inet, reverse, std::size_t{64} << 20));
    EXPECT_EQ(CO_TRY(co_await server.end()), 0);
    const std::string said = server.said();
    EXPECT_EQ(server.said("\"error\""), 0) << said;
    EXPECT_EQ(server.said("\"sum_received\""), 1) << said;
    const std::string_view sum = reverse ? "\"sum_sent\"" : "\"sum_received\"";
    const std::size_t at = said.find("bits_per_second", said.find(sum));
    CO_TRY(at == std::string::npos ? Result<void>{Error::protocol_error} : Result<void>{});
    std::printf("iperf3 %s: %.2f Gb/s\n", reverse ? "receives" : "sends",
                std::stod(said.substr(said.find(':', at) + 1)) / 1e9);
  }
  co_return Result<void>{};
}
TEST_F(Tools, Iperf3) { run_told<iperf>(); }

// The cable is pulled out and put back: what was on its way comes.
Task<Result<void>> link(Beside& beside) {
  auto listener = CO_TRY(co_await beside.inet.listen(io::Address::ipv4({0, 0, 0, 0}, 7)));
  Scope scope{OnError::keep_going};
  scope.spawn(serve_echo(*listener));
  auto socket = CO_TRY(co_await beside.inet.bind(io::Address::ipv4({0, 0, 0, 0}, 7)));
  EXPECT_EQ(
      CO_TRY(co_await run_command("test \"$(printf hello | nc -N -w 20 10.9.0.2 7)\" = hello")), 0);
  for (int i = 0; i < 3; ++i) {
    set_host_link(false);
    CO_TRY(co_await socket->send(bytes_of("lost"), io::Address::ipv4({10, 9, 0, 1}, 9)));
    CO_TRY(co_await sleep_for(20ms));
    set_host_link(true);
    EXPECT_EQ(
        CO_TRY(co_await run_command("test \"$(printf hello | nc -N -w 20 10.9.0.2 7)\" = hello")),
        0);
  }
  listener->close();
  (co_await scope.join()).ignore();
  co_return Result<void>{};
}
TEST_F(Tools, LinkDownAndUp) { run_told<link>(); }

// A datagram to each group from either side reaches who has joined it on the other.
Task<Result<void>> groups(Beside& beside) {
  add_host_group_route();
  std::vector<std::string> wanted{"239.1.2.3:5353"};
  if (has_ipv6()) wanted.push_back("[ff02::fb]:5353");
  for (const std::string& text : wanted) {
    io::Address group = *io::Address::parse(text);
    const bool ipv4 = group.family() == io::AddressFamily::ipv4;
    const io::Address any = ipv4 ? io::Address::ipv4({}, 5'353) : io::Address::ipv6({}, 5'353);
    if (!ipv4) {
      std::array<std::uint8_t, 16> octets;
      std::ranges::copy(group.octets(), octets.begin());
      group = io::Address::ipv6(octets, 5'353, if_nametoindex("lichen0"));
      CO_TRY(co_await ipv6_addresses(beside.inet));
    }
    auto ours = CO_TRY(co_await beside.inet.bind(any));
    auto theirs = CO_TRY(co_await beside.host.network().bind(any));
    for (io::Datagram* one : {ours.get(), theirs.get()}) {
      CO_TRY(co_await one->join(group));
      EXPECT_TRUE((co_await one->join(group)).failed_with(Error::address_in_use));
      EXPECT_TRUE((co_await one->join(io::Address::ipv4({10, 9, 0, 1}, 1)))
                      .failed_with(Error::invalid_argument));
    }
    std::array<std::byte, 32> got;
    CO_TRY(co_await ours->send(bytes_of("from ours"), group));
    auto received = CO_TRY(co_await theirs->receive(got));
    EXPECT_EQ(text_of(std::span{got}.first(received.size)), "from ours");
    CO_TRY(co_await theirs->send(bytes_of("from theirs"), group));
    received = CO_TRY(co_await ours->receive(got));
    EXPECT_EQ(text_of(std::span{got}.first(received.size)), "from theirs");
  }
  co_return Result<void>{};
}
TEST_F(Tools, GroupsReachAcross) { run_told<groups, true>(); }

}  // namespace
}  // namespace lichen::driver::test
