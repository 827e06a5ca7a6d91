// The shared object for packetdrill, driven without packetdrill.
#include <netinet/tcp.h>

#include <cerrno>
#include <thread>

#include "tests/packetdrill/driver.hpp"

namespace lichen::packetdrill {
namespace {

namespace flag = wire::tcp_flag;

TEST(PacketdrillAdapter, AcceptsReadsAndWrites) {
  Driver d;
  const int listener = d.socket();
  const int fd = d.open(listener);
  ASSERT_GE(fd, 0);
  d.send(d.ack(1, 1, flag::ack | flag::psh), 500);
  const Seen acked = d.receive();
  EXPECT_EQ(acked.header.acknowledgment, 501u);
  EXPECT_EQ(d.read(fd, 1'000), 500);
  EXPECT_EQ(d.write(fd, 2'000), 2'000);
  const Seen first = d.receive();
  const Seen second = d.receive();
  EXPECT_EQ(first.header.sequence, d.iss + 1);
  EXPECT_EQ(first.payload, 1'000u);
  EXPECT_EQ(first.header.flags, flag::ack);
  EXPECT_EQ(second.payload, 1'000u);
  EXPECT_EQ(second.header.flags, flag::ack | flag::psh);
  d.send(d.ack(501, 2'001));
  // The end, both ways.
  d.send(d.ack(501, 2'001, flag::ack | flag::fin));
  EXPECT_EQ(d.receive().header.acknowledgment, 502u);
  EXPECT_EQ(d.read(fd, 10), 0);
  EXPECT_EQ(d.close(fd), 0);
  EXPECT_EQ(d.receive().header.flags, flag::ack | flag::fin);
  EXPECT_EQ(d.close(fd), -1);
  EXPECT_EQ(errno, EBADF);
}

TEST(PacketdrillAdapter, ConnectsWithoutWaiting) {
  Driver d;
  d.peer_port = 80;
  const int fd = d.socket();
  EXPECT_EQ(d.set_nonblocking(fd), 0);
  EXPECT_EQ(d.connect(fd, 80), -1);
  EXPECT_EQ(errno, EINPROGRESS);
  const Seen syn = d.receive();
  EXPECT_EQ(syn.header.flags, flag::syn);
  EXPECT_TRUE(syn.header.options.sack_permitted && syn.header.options.has_timestamps);
  EXPECT_EQ(d.connect(fd, 80), -1);
  EXPECT_EQ(errno, EALREADY);
  pollfd asked{.fd = fd, .events = POLLOUT, .revents = 0};
  EXPECT_EQ(d.table.poll(d.table.user, &asked, 1, 0), 0);
  d.local_port = syn.header.from_port;
  d.iss = syn.header.sequence;
  d.send(d.ack(0, 1, flag::syn | flag::ack));
  EXPECT_EQ(d.receive().header.acknowledgment, 1u);
  EXPECT_EQ(d.table.poll(d.table.user, &asked, 1, 0), 1);
  EXPECT_EQ(asked.revents, POLLOUT);
  EXPECT_EQ(d.option(fd, SOL_SOCKET, SO_ERROR), 0);
  EXPECT_EQ(d.connect(fd, 80), 0);
  EXPECT_EQ(d.connect(fd, 80), -1);
  EXPECT_EQ(errno, EISCONN);
  d.send(d.ack(1, 1, flag::rst));
  EXPECT_EQ(d.read(fd, 1), -1);
  EXPECT_EQ(errno, ECONNRESET);
  EXPECT_EQ(d.write(fd, 1), -1);
  EXPECT_EQ(errno, EPIPE);
}

TEST(PacketdrillAdapter, TimeMovesWhenSomebodyWaits) {
  Driver d;
  const int fd = d.open(d.socket());
  EXPECT_EQ(d.write(fd, 100), 100);
  const Seen sent = d.receive();
  // A probe two round trips and the peer's longest delay later (RFC 8985 section 7.2), which the
  // timeout limits.
  const Seen again = d.receive();
  EXPECT_EQ(again.header.sequence, sent.header.sequence);
  EXPECT_GE(again.time_us - sent.time_us, 200'000);
  EXPECT_LE(again.time_us - sent.time_us, 201'000);
  const long long before = d.now_us();
  EXPECT_EQ(d.now_us(), before + 1) << "a microsecond for each look";
  d.pass_ms(50);
  EXPECT_EQ(d.now_us(), before + 50'002);
}

TEST(PacketdrillAdapter, NothingThatWillComeIsSaid) {
  Driver d;
  d.socket();
  EXPECT_EQ(d.receive().packet.size(), 1u) << "what no packet can be";
}

// accept() and read() on a second thread, which sleeps until what it waits for is there.
TEST(PacketdrillAdapter, BlockingCallsReturnAtTheirTime) {
  Driver d;
  const int listener = d.socket();
  EXPECT_EQ(d.bind(listener, d.local_port), 0);
  EXPECT_EQ(d.table.listen(d.table.user, listener, 1), 0);
  const long long start = d.now_us();
  int fd = -1;
  long long accepted_at = 0, read_at = 0;
  ssize_t size = 0;
  std::thread other{[&] {
    fd = d.accept(listener);
    accepted_at = d.now_us();
    size = d.read(fd, 1'000);
    read_at = d.now_us();
  }};
  d.pass_ms(100);
  d.handshake();
  d.pass_ms(200);
  d.send(d.ack(1, 1, flag::ack | flag::psh), 10);
  d.pass_ms(300);
  other.join();
  EXPECT_GE(fd, 0);
  EXPECT_EQ(size, 10);
  EXPECT_EQ((accepted_at - start) / 1'000, 100);
  EXPECT_EQ((read_at - start) / 1'000, 300);
}

TEST(PacketdrillAdapter, OptionsAndInfo) {
  Driver d;
  const int fd = d.open(d.socket());
  EXPECT_EQ(d.option(fd, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
  EXPECT_EQ(d.set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1), 0);
  EXPECT_EQ(d.option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_EQ(d.set_option(fd, IPPROTO_TCP, TCP_FASTOPEN, 1), -1);
  EXPECT_EQ(errno, ENOPROTOOPT);
  tcp_info info{};
  socklen_t size = sizeof info;
  // The way past the table.
  using Get = int (*)(int, int, int, void*, socklen_t*);
  const auto get = reinterpret_cast<Get>(d.symbol("getsockopt"));
  ASSERT_NE(get, nullptr);
  EXPECT_EQ(get(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
  EXPECT_EQ(info.tcpi_state, TCP_ESTABLISHED);
  EXPECT_EQ(info.tcpi_snd_mss, 1'000u);
  EXPECT_EQ(info.tcpi_snd_cwnd, 10u);
  EXPECT_EQ(info.tcpi_snd_wscale, 7);
}

TEST(PacketdrillAdapter, EdgesAreToldOnce) {
  Driver d;
  const int fd = d.open(d.socket());
  const int epoll = d.table.epoll_create(d.table.user, 1);
  ASSERT_GE(epoll, 0);
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.fd = fd}};
  EXPECT_EQ(d.table.epoll_ctl(d.table.user, epoll, EPOLL_CTL_ADD, fd, &event), 0);
  epoll_event told{};
  const auto wait = [&] { return d.table.epoll_wait(d.table.user, epoll, &told, 1, 10); };
  EXPECT_EQ(wait(), 0);
  d.send(d.ack(1, 1), 10);
  EXPECT_EQ(wait(), 1);
  EXPECT_EQ(told.data.fd, fd);
  EXPECT_EQ(wait(), 0) << "told already";
  d.send(d.ack(11, 1), 10);
  EXPECT_EQ(wait(), 1) << "more has come";
}

// The same calls give the same packets at the same times.
std::vector<Seen> scenario() {
  Driver d;
  std::vector<Seen> seen;
  const int listener = d.socket();
  std::thread other;
  const int fd = d.open(listener);
  other = std::thread{[&] { (void)d.read(fd, 100); }};
  EXPECT_EQ(d.write(fd, 30'000), 30'000);
  for (int i = 0; i < 10; ++i) seen.push_back(d.receive());
  d.pass_ms(30);
  wire::TcpHeader sack = d.ack(1, 1'001);
  sack.options.sack_count = 1;
  sack.options.sack[0] = {d.iss + 4'001, d.iss + 8'001};
  d.send(sack);
  for (int i = 0; i < 12; ++i) seen.push_back(d.receive());  // recovery, a probe, a timeout
  d.send(d.ack(1, 10'001), 50);
  other.join();
  for (int i = 0; i < 5; ++i) seen.push_back(d.receive());
  EXPECT_EQ(d.close(fd), 0);
  seen.push_back(d.receive());
  return seen;
}

TEST(PacketdrillAdapter, TwoRunsAreTheSame) {
  const std::vector<Seen> first = scenario();
  const std::vector<Seen> second = scenario();
  ASSERT_EQ(first.size(), second.size());
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_TRUE(first[i] == second[i]) << i;
}

}  // namespace
}  // namespace lichen::packetdrill
