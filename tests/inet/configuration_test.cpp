// Addresses and names from Debian's dnsmasq, over a TAP device.
#include <chrono>

#include "tests/inet/host_peer.hpp"
#include "tests/inet/peers.hpp"

namespace lichen::driver::test {
namespace {

using namespace std::chrono_literals;
using net::inet::Inet;

struct Configured : testing::Test {
  void SetUp() override {
    if (!has_network_namespace())
      GTEST_SKIP() << "needs /dev/net/tun and the right to make a namespace";
    if (!has_program("dnsmasq")) GTEST_SKIP() << "dnsmasq is not installed (tools/setup test)";
  }
};

using Options = std::vector<std::string>;

// Without an address of its own, beside dnsmasq with these options.
template <BesideTask* body, Options (*options)()>
void run_configured() {
  run_on_host([] [[clang::coro_wrapper]] (HostSystem & host) {
    return run_beside(host, body, nullptr, options());
  });
}

// Where others reach what is served at all addresses.
io::Address own_address(const Inet& inet) { return inet.reachable_at(inet.service_address(80)); }

bool has_address(const Inet& inet) { return !inet.current_address(0).is_unspecified(); }

// RFC 2131 section 4.4: leased, renewed, lost when the server is gone, leased again from the same.
// dnsmasq gives nothing for less than two minutes: the option that it is made to add tells us five
// seconds.
Options short_leases() {
  return {"--dhcp-range=10.9.0.50,10.9.0.59,120", "--dhcp-option=option:T1,1",
          "--dhcp-option=option:T2,3", "--dhcp-option-force=51,5"};
}
Task<Result<void>> leases(Beside& beside) {
  CO_TRY(co_await beside.inet.up(30s));
  const io::Address address = own_address(beside.inet);
  EXPECT_EQ(address.octets()[0], 10);
  EXPECT_EQ(address.octets()[3] / 10, 5);
  const std::string text = std::to_string(address.octets()[3]);
  EXPECT_EQ(CO_TRY(co_await run_command("ping -q -c 2 -i 0.01 -W 5 10.9.0." + text)), 0);
  CO_TRY(co_await until([&] { return beside.dnsmasq->said("DHCPACK") >= 2; }));
  EXPECT_EQ(beside.dnsmasq->said("DHCPDISCOVER"), 1);

  beside.stop_dnsmasq();
  CO_TRY(co_await until([&] { return !has_address(beside.inet); }));
  EXPECT_TRUE((co_await beside.inet.up(1ms)).failed_with(Error::timed_out));
  EXPECT_TRUE((co_await beside.inet.connect(io::Address::ipv4({10, 9, 0, 1}, 9)))
                  .failed_with(Error::unreachable));
  CO_TRY(co_await beside.restart_dnsmasq(short_leases()));
  CO_TRY(co_await beside.inet.up(30s));
  EXPECT_EQ(own_address(beside.inet), address);
  EXPECT_EQ(CO_TRY(co_await run_command("ping -q -c 2 -i 0.01 -W 5 10.9.0." + text)), 0);
  co_return Result<void>{};
}
TEST_F(Configured, LeasesRenewsLosesAndLeasesAnew) { run_configured<leases, short_leases>(); }

// RFC 2131 sections 4.3.2 and 3.1: the server knows our network no more, and gives another address.
// What listens at all addresses goes on there; what listens at the first one is not reached.
Options other_leases() {
  return {"--dhcp-authoritative", "--dhcp-range=10.9.0.70,10.9.0.79,120",
          "--dhcp-option=option:T1,1", "--dhcp-option=option:T2,3", "--dhcp-option-force=51,5"};
}
Task<Result<void>> moves(Beside& beside) {
  Inet& inet = beside.inet;
  CO_TRY(co_await inet.up(30s));
  const io::Address everywhere = inet.service_address(7);
  const io::Address first = inet.reachable_at(everywhere);
  io::Address first_only = first;
  first_only.set_port(8);
  EXPECT_EQ(inet.reachable_at(first_only), first_only);
  auto listener = CO_TRY(co_await inet.listen(everywhere));
  auto left_behind = CO_TRY(co_await inet.listen(first_only));
  auto datagrams = CO_TRY(co_await inet.bind(everywhere));

  beside.stop_dnsmasq();
  CO_TRY(co_await beside.restart_dnsmasq(other_leases()));
  const io::Address second =
      CO_TRY(co_await with_timeout(40s, inet.reachable_elsewhere(everywhere, first)));
  EXPECT_EQ(second.octets()[3] / 10, 7);
  EXPECT_EQ(second.port(), 7);
  static std::string there;
  there = "10.9.0." + std::to_string(second.octets()[3]);
  HostThread client{[] {
    const HostClient host{7, there.c_str()};
    EXPECT_TRUE(host.connected);
    EXPECT_TRUE(host.send_all(bytes_of("moved")));
    shutdown(host.fd.get(), SHUT_WR);
    EXPECT_EQ(text_of(host.receive_all(16)), "moved");
    const Descriptor fd{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    const sockaddr_in to = host_address(there.c_str(), 7);
    EXPECT_EQ(sendto(fd.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to), 1);
    EXPECT_FALSE((HostClient{8, there.c_str()}.connected));
  }};
  CO_TRY(co_await echo(CO_TRY(co_await listener->accept())));
  std::array<std::byte, 4> got;
  EXPECT_EQ(CO_TRY(co_await datagrams->receive(got)).size, 1U);
  CO_TRY(co_await client.join());
  EXPECT_TRUE((co_await with_timeout(1ms, left_behind->accept())).failed_with(Error::timed_out));
  co_return Result<void>{};
}
TEST_F(Configured, GoesOnAtAnotherAddress) { run_configured<moves, short_leases>(); }

// RFC 2131 section 4.4.1, RFC 5227: the host itself has the only address there is.
Options one_address() { return {"--dhcp-range=10.9.0.60,10.9.0.60,120"}; }
Task<Result<void>> duplicate(Beside& beside) {
  CO_TRY(co_await until([&] { return beside.dnsmasq->said("DHCPDECLINE") > 0; }));
  EXPECT_FALSE(has_address(beside.inet));
  co_return Result<void>{};
}
TEST_F(Configured, DeclinesAnAddressThatAnotherMachineHas) {
  run_configured<duplicate, one_address>();
}

// RFC 4862, 8106: nobody leases anything, a router advertises its network and whom to ask.
Options router() {
  return {"--enable-ra", "--dhcp-range=fd00:9::,ra-only",
          "--host-record=www.lichen.test,10.1.2.3,fd00:9::1"};
}
Task<Result<void>> routers(Beside& beside) {
  CO_TRY(co_await beside.inet.up(30s));
  const io::Address address = own_address(beside.inet);
  EXPECT_EQ(address.family(), io::AddressFamily::ipv6);
  EXPECT_EQ(address.octets()[0], 0xfd);
  const auto found = CO_TRY(co_await beside.inet.resolve("www.lichen.test", 80));
  EXPECT_EQ(found.size(), 2U);
  // RFC 6724: what can be reached first.
  EXPECT_EQ(found[0], *io::Address::parse("[fd00:9::1]:80"));
  EXPECT_EQ(found[1], *io::Address::parse("10.1.2.3:80"));
  co_return Result<void>{};
}
TEST_F(Configured, TakesAnAddressAndServersFromARouter) {
  if (!has_ipv6()) GTEST_SKIP() << "the host has no IPv6";
  run_configured<routers, router>();
}

Options records() {
  std::vector<std::string> options{"--dhcp-range=10.9.0.50,10.9.0.59,120",
                                   "--host-record=www.lichen.test,10.9.0.1,fd00:9::1",
                                   "--host-record=four.lichen.test,10.9.0.4",
                                   "--cname=first.lichen.test,second.lichen.test",
                                   "--cname=second.lichen.test,third.lichen.test",
                                   "--cname=third.lichen.test,four.lichen.test",
                                   "--local=/lichen.test/",
                                   "--local-ttl=60",
                                   "--edns-packet-max=512"};
  for (int i = 1; i <= 60; ++i)
    options.push_back("--host-record=many.lichen.test,10.9.1." + std::to_string(i));
  return options;
}
Task<Result<void>> names(Beside& beside) {
  CO_TRY(co_await beside.inet.up(30s));
  Inet& inet = beside.inet;

  const auto both = CO_TRY(co_await inet.resolve("WWW.lichen.test", 80));
  EXPECT_EQ(both.size(), 2U);
  // Only one of them can be reached.
  EXPECT_EQ(both[0], *io::Address::parse("10.9.0.1:80"));
  EXPECT_EQ(both[1], *io::Address::parse("[fd00:9::1]:80"));
  const auto alias = CO_TRY(co_await inet.resolve("first.lichen.test", 443));
  EXPECT_EQ(alias, std::vector{*io::Address::parse("10.9.0.4:443")});
  EXPECT_TRUE((co_await inet.resolve("nobody.lichen.test", 1)).failed_with(Error::name_unresolved));
  EXPECT_TRUE((co_await inet.resolve("no body", 1)).failed_with(Error::name_unresolved));
  EXPECT_EQ(CO_TRY(co_await inet.resolve("10.0.0.7", 7)),
            std::vector{*io::Address::parse("10.0.0.7:7")});
  EXPECT_EQ(CO_TRY(co_await inet.resolve("[fd00::7]", 7)),
            std::vector{*io::Address::parse("[fd00::7]:7")});
  EXPECT_EQ(CO_TRY(co_await inet.resolve("localhost", 7)).size(), 2U);
  // Cut over UDP, whole over TCP (RFC 7766).
  EXPECT_EQ(CO_TRY(co_await inet.resolve("many.lichen.test", 80)).size(),
            net::dns::Addresses::most);

  // What is known needs no server; what is not is asked for when it is there again.
  beside.stop_dnsmasq();
  EXPECT_EQ(CO_TRY(co_await inet.resolve("www.lichen.test", 80)), both);
  EXPECT_EQ(CO_TRY(co_await inet.resolve("many.lichen.test", 80)).size(),
            net::dns::Addresses::most);
  EXPECT_FALSE(co_await with_timeout(300ms, inet.resolve("unknown.lichen.test", 80)));
  CO_TRY(co_await beside.restart_dnsmasq(records()));
  EXPECT_EQ(CO_TRY(co_await inet.resolve("four.lichen.test", 80)).size(), 1U);
  // Many at once, each asked once.
  Scope scope;
  int good = 0;
  const auto look_up = [](Inet& inet, int& good) -> Task<Result<void>> {
    good += CO_TRY(co_await inet.resolve("second.lichen.test", 80)).size() == 1;
    co_return Result<void>{};
  };
  for (int i = 0; i < 100; ++i) scope.spawn(look_up(inet, good));
  CO_TRY(co_await scope.join());
  EXPECT_EQ(good, 100);
  EXPECT_EQ(beside.dnsmasq->said("query[A] second.lichen.test"), 1);
  co_return Result<void>{};
}
TEST_F(Configured, ResolvesNames) { run_configured<names, records>(); }

// Whom nobody tells anything says so.
Options nothing() { return {}; }
Task<Result<void>> nobody(Beside& beside) {
  EXPECT_TRUE((co_await beside.inet.up(50ms)).failed_with(Error::timed_out));
  EXPECT_FALSE(has_address(beside.inet));
  EXPECT_TRUE(
      (co_await beside.inet.resolve("www.lichen.test", 80)).failed_with(Error::name_unresolved));
  co_return Result<void>{};
}
TEST_F(Configured, SaysThatNobodyIsThere) { run_configured<nobody, nothing>(); }

}  // namespace
}  // namespace lichen::driver::test
