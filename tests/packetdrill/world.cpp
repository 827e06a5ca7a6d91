#include "tests/packetdrill/world.hpp"

#include <dirent.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>

#include "lichen/net/wire/wire.hpp"

namespace lichen::packetdrill {

namespace {

constexpr wire::MacAddress our_mac{{2, 0, 0, 0, 0, 1}};
constexpr wire::MacAddress peer_mac{{2, 0, 0, 0, 0, 2}};
// How long a packet is waited for, in virtual time.
constexpr std::uint64_t patience = 3'600 * tcp::second;

// Whether all other threads of the process sleep.
bool others_sleep() {
  DIR* folder = ::opendir("/proc/self/task");
  if (folder == nullptr) return true;
  const auto self = static_cast<int>(::syscall(SYS_gettid));
  bool asleep = true;
  while (const dirent* entry = asleep ? ::readdir(folder) : nullptr) {
    const int id = std::atoi(entry->d_name);
    if (id <= 0 || id == self) continue;
    const std::string path = std::string{"/proc/self/task/"} + entry->d_name + "/stat";
    std::FILE* file = std::fopen(path.c_str(), "r");
    if (file == nullptr) continue;  // it has ended
    std::array<char, 512> line{};
    const std::size_t size = std::fread(line.data(), 1, line.size() - 1, file);
    std::fclose(file);
    const char* name_end = std::strrchr(line.data(), ')');
    asleep = size == 0 || name_end == nullptr || name_end[2] == 'S' || name_end[2] == 'Z';
  }
  ::closedir(folder);
  return asleep;
}

}  // namespace

void World::start(const Setup& setup) {
  stack_ = std::make_unique<ip::Stack>(base::HashKey{1, 2});
  tcp::EngineConfig config = setup.tcp;
  config.connection.mtu = setup.mtu;
  engine_.reset(new tcp::Engine{config, *this, *this, *this, base::HashKey{3, 4}});
  interface_ = *stack_->add_interface(
      {.output = *this, .mac = our_mac, .mtu = setup.mtu, .router_discovery = false}, now_);
  stack_->set_transport(wire::protocol::tcp, this);
  own(setup.local4);
  own(setup.local6);
  // Everything else is behind the one neighbour.
  const auto any4 = wire::Prefix{wire::IpAddress{wire::Ipv4Address{}}, 0};
  const auto any6 = wire::Prefix{wire::IpAddress{wire::Ipv6Address{}}, 0};
  for (const auto& to : {any4, any6})
    if (!stack_->add_route({.to = to, .interface = interface_->index})) std::abort();
}

World::~World() {
  if (!started()) return;
  engine_.reset();
  stack_->set_transport(wire::protocol::tcp, nullptr);
}

void World::own(const wire::IpAddress& address) {
  if (stack_->owner_of(address) != nullptr) return;
  const std::uint8_t bits = address.is_ipv4() ? 32 : 128;
  (void)stack_->add_address(*interface_, {.address = address, .bits = bits}, ip::Probe::no, now_);
}

// ---- time ---------------------------------------------------------------------------------------

std::uint64_t World::next_event() const noexcept {
  return started() ? std::min(stack_->deadline(), engine_->deadline()) : tcp::never;
}

void World::settle() {
  if (!started()) return;
  engine_->flush(now_);
  while (!answers_.empty()) {
    const auto answers = std::exchange(answers_, {});
    for (const auto& frame : answers) stack_->receive(*interface_, copy_of(frame), {}, now_);
    engine_->flush(now_);
  }
}

void World::move_to(std::uint64_t time) {
  while (next_event() <= time) {
    now_ = std::max(now_, next_event());
    stack_->advance(now_);
    engine_->advance(now_);
    settle();
  }
  now_ = std::max(now_, time);
}

void World::let_others_run(Lock& lock) {
  lock.unlock();
  for (int tries = 0; tries < 100'000 && !others_sleep(); ++tries) ::sched_yield();
  lock.lock();
}

void World::wake_ready(Lock& lock) {
  for (;;) {
    bool woken = false;
    for (Waiter* waiter : waiters_) {
      if (!waiter->ready() && waiter->deadline > now_) continue;
      waiter->wake.notify_one();
      woken = true;
    }
    if (!woken) return;
    // It goes on at this time and not a later one.
    let_others_run(lock);
  }
}

std::uint64_t World::ask_time(Lock& lock) {
  move_to(now_ + 1'000);
  wake_ready(lock);
  return now_;
}

void World::sleep(Lock& lock, std::uint64_t ns) {
  ++movers_;
  let_others_run(lock);
  const std::uint64_t until = now_ + ns;
  for (;;) {
    std::uint64_t next = next_event();
    for (const Waiter* waiter : waiters_) next = std::min(next, waiter->deadline);
    if (next > until) break;
    move_to(next);
    wake_ready(lock);
  }
  move_to(until);
  wake_ready(lock);
  --movers_;
}

bool World::wait(Lock& lock, std::uint64_t deadline, const std::function<bool()>& ready) {
  if (ready()) return true;
  Waiter waiter{ready, deadline};
  waiters_.push_back(&waiter);
  while (!ready() && now_ < deadline) {
    if (waiter.wake.wait_for(lock, std::chrono::milliseconds{20}) != std::cv_status::timeout)
      continue;
    // Nobody else is there to move time: the script waits for this call to end.
    lock.unlock();
    const bool alone = others_sleep();
    lock.lock();
    if (!alone || movers_ > 0 || ready()) continue;
    const std::uint64_t next = std::min(next_event(), deadline);
    if (next == tcp::never) break;  // it would never end
    move_to(next);
  }
  std::erase(waiters_, &waiter);
  return ready();
}

void World::called(Lock& lock) {
  settle();
  wake_ready(lock);
}

// ---- packets ------------------------------------------------------------------------------------

io::Buffer World::copy_of(std::span<const std::byte> bytes) {
  auto* memory = new std::byte[bytes.size()];
  std::ranges::copy(bytes, memory);
  return {*this, {memory, bytes.size()}, bytes.size()};
}

void World::input(std::uint16_t type, std::span<const std::byte> payload) {
  std::vector<std::byte> frame(wire::EthernetHeader::size);
  wire::write(frame, wire::EthernetHeader{our_mac, peer_mac, type});
  frame.insert(frame.end(), payload.begin(), payload.end());
  stack_->receive(*interface_, copy_of(frame), {}, now_);
}

void World::send(Lock& lock, std::span<const std::byte> packet) {
  let_others_run(lock);
  if (const auto ipv4 = wire::parse_ipv4(packet, {})) {
    own(ipv4->to);
    input(wire::ether_type::ipv4, packet);
  } else {
    if (const auto ipv6 = wire::parse_ipv6(packet)) own(ipv6->to);
    input(wire::ether_type::ipv6, packet);
  }
  called(lock);
}

World::Packet World::receive(Lock& lock) {
  ++movers_;
  let_others_run(lock);
  const std::uint64_t until = now_ + patience;
  while (sent_.empty()) {
    std::uint64_t next = next_event();
    for (const Waiter* waiter : waiters_) next = std::min(next, waiter->deadline);
    if (next > until) break;
    move_to(next);
    wake_ready(lock);
  }
  --movers_;
  if (sent_.empty()) return {};
  Packet packet = std::move(sent_.front());
  sent_.pop_front();
  return packet;
}

bool World::transmit(const ip::Frame& frame) noexcept {
  std::vector<std::byte> bytes(frame.pieces.size());
  frame.pieces.copy_to(bytes);
  const auto ethernet = wire::parse_ethernet(bytes);
  if (!ethernet) return true;
  if (ethernet->type == wire::ether_type::arp) {
    answer_arp(ethernet->payload);
    return true;
  }
  if (ethernet->type == wire::ether_type::ipv6) {
    const auto packet = wire::parse_ipv6(ethernet->payload);
    if (packet && answer_solicitation(*packet)) return true;
  }
  sent_.push_back({{ethernet->payload.begin(), ethernet->payload.end()}, now_});
  return true;
}

// The neighbour has every address but ours.
void World::answer_arp(std::span<const std::byte> payload) {
  const auto request = wire::parse_arp(payload);
  if (!request || request->operation != wire::ArpOperation::request) return;
  if (request->sender.is_unspecified() || request->sender == request->target) return;
  std::vector<std::byte> frame(wire::EthernetHeader::size + wire::ArpPacket::size);
  wire::write(frame, wire::EthernetHeader{our_mac, peer_mac, wire::ether_type::arp});
  wire::write(std::span{frame}.subspan(wire::EthernetHeader::size),
              wire::ArpPacket{wire::ArpOperation::reply, peer_mac, request->target, our_mac,
                              request->sender});
  answers_.push_back(std::move(frame));
}

// False: it is not a packet of neighbour discovery.
bool World::answer_solicitation(const wire::Ipv6Packet& packet) {
  if (packet.protocol != wire::protocol::icmpv6) return false;
  const auto message = wire::parse_icmp(
      packet.payload,
      wire::pseudo_header(packet.from, packet.to, packet.protocol, packet.payload.size()));
  if (!message || message->type < wire::icmpv6::router_solicitation) return false;
  const auto solicitation = wire::parse_neighbour_solicitation(*message, packet.hop_limit);
  if (!solicitation || packet.from.is_unspecified()) return true;
  std::array<std::byte, wire::max_ndp_size> body;
  wire::NeighbourAdvertisement answer{
      .solicited = true, .overrides = true, .target = solicitation->target};
  answer.options.target_mac = peer_mac;
  const std::size_t size = wire::write(body, answer);
  const wire::IpAddress from{solicitation->target};
  wire::seal<wire::IcmpHeader>(
      std::span{body}.first(size),
      wire::pseudo_header(from, packet.from, wire::protocol::icmpv6, size));
  std::vector<std::byte> frame(wire::EthernetHeader::size + wire::Ipv6Header::size);
  wire::write(frame, wire::EthernetHeader{our_mac, peer_mac, wire::ether_type::ipv6});
  wire::write(
      std::span{frame}.subspan(wire::EthernetHeader::size),
      wire::Ipv6Header{
          .next_header = wire::protocol::icmpv6, .hop_limit = 255, .from = from, .to = packet.from},
      size);
  frame.insert(frame.end(), body.begin(), body.begin() + static_cast<std::ptrdiff_t>(size));
  answers_.push_back(std::move(frame));
  return true;
}

// ---- between TCP and IP -------------------------------------------------------------------------

ip::Verdict World::receive(const ip::Arrival& arrival, std::uint64_t now) noexcept {
  const auto segment = wire::parse_tcp(arrival.payload, arrival.verify());
  if (!segment || arrival.to_group) return ip::Verdict::taken;
  const tcp::Path path{.local = {arrival.to, segment->to_port},
                       .remote = {arrival.from, segment->from_port}};
  io::Buffer payload;
  if (!segment->payload.empty()) payload = copy_of(segment->payload);
  engine_->input(now, path, *segment, std::move(payload), wire::ecn_of(arrival.traffic_class));
  return ip::Verdict::taken;
}

bool World::failed(const wire::Quote& quote, const ip::Failure& failure,
                   std::uint64_t now) noexcept {
  if (failure.kind == ip::FailureKind::too_big)
    engine_->too_big(now, quote, failure.mtu);
  else
    engine_->unreachable(now, quote);
  return true;
}

bool World::transmit(const tcp::Outgoing& segment) noexcept {
  const tcp::Path& path = segment.path;
  const auto way = stack_->way(path.remote.address, path.local.address, nullptr, now_);
  if (!way) return true;
  std::array<std::byte, wire::TcpHeader::max_size> head;
  const std::span header = std::span{head}.first(wire::write(head, segment.header));
  ip::Pieces pieces{header};
  for (const auto& piece : segment.payload)
    if (!pieces.add(piece)) return true;
  wire::Sum sum = wire::pseudo_header(way->from, way->to, wire::protocol::tcp, pieces.size());
  for (const auto& piece : segment.payload) sum.add(piece);
  wire::seal<wire::TcpHeader>(header, sum);
  const ip::Packet packet{.protocol = wire::protocol::tcp,
                          .hop_limit = segment.ip.hop_limit,
                          .traffic_class = static_cast<std::uint8_t>(
                              segment.ip.traffic_class | static_cast<std::uint8_t>(segment.ecn)),
                          .dont_fragment = segment.ip.dont_fragment,
                          .payload = pieces};
  return !stack_->send(*way, packet, now_).failed_with(Error::would_block);
}

}  // namespace lichen::packetdrill
