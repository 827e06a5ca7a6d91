#include "tests/net/tcp_pair.hpp"

#include <algorithm>
#include <cstring>

namespace lichen::net::tcp {

namespace flag = wire::tcp_flag;

namespace {

constexpr std::size_t check_size = 8;  // of a frame, as Ethernet has one

const Path first_path{{*wire::IpAddress::parse("192.0.2.1"), 1'024},
                      {*wire::IpAddress::parse("192.0.2.2"), 80}};
const Path second_path{first_path.remote, first_path.local};

}  // namespace

bool PairEnd::transmit(const Outgoing& segment) noexcept {
  std::vector<std::byte> payload;
  for (const auto piece : segment.payload)
    payload.insert(payload.end(), piece.begin(), piece.end());
  const std::size_t cut = segment.segment_size == 0 ? 1 : segment.segment_size;
  std::size_t at = 0;
  do {
    const auto part = std::span{payload}.subspan(at, std::min(cut, payload.size() - at));
    const bool last = at + part.size() == payload.size();
    wire::TcpHeader header = segment.header;
    header.sequence += static_cast<std::uint32_t>(at);
    if (!last) header.flags &= static_cast<std::uint8_t>(~(flag::fin | flag::psh));
    if (at > 0) header.flags &= static_cast<std::uint8_t>(~flag::cwr);
    at += part.size();

    std::vector<std::byte> packet(wire::Ipv4Header::size + wire::TcpHeader::max_size);
    const std::size_t tcp = wire::write(std::span{packet}.subspan(wire::Ipv4Header::size), header);
    wire::write(packet,
                wire::Ipv4Header{.traffic_class = static_cast<std::uint8_t>(segment.ecn),
                                 .dont_fragment = true,
                                 .protocol = wire::protocol::tcp,
                                 .from = path_.local.address.ipv4(),
                                 .to = path_.remote.address.ipv4()},
                tcp + part.size());
    packet.resize(wire::Ipv4Header::size + tcp);
    wire::Sum sum = wire::pseudo_header(path_.local.address, path_.remote.address,
                                        wire::protocol::tcp, tcp + part.size());
    sum.add(part);
    wire::seal<wire::TcpHeader>(std::span{packet}.subspan(wire::Ipv4Header::size), sum);
    packet.insert(packet.end(), part.begin(), part.end());
    if (packet.size() > config.mtu) wrong = "a packet larger than the MTU";
    const std::uint64_t check = base::hash(packet);
    const auto check_bytes = base::bytes_of(check);
    packet.insert(packet.end(), check_bytes.begin(), check_bytes.end());
    ++packets;
    if (const std::uint32_t end = header.sequence + static_cast<std::uint32_t>(part.size()) +
                                  (header.has(flag::syn) || header.has(flag::fin) ? 1 : 0);
        !header.has(flag::rst) && (packets == 1 || Seq{end} > Seq{sent_}))
      sent_ = end;
    if (!out_.send(packet, now_)) wrong = "the link refused a packet";
  } while (at < payload.size());
  return true;
}

void PairEnd::arrive(std::span<const std::byte> packet, Seq iss) {
  const auto bytes = packet.first(packet.size() - check_size);
  const auto drop = [&](wire::Drop why) { ++drops[static_cast<std::size_t>(why)]; };
  const auto ip = wire::parse_ipv4(bytes, wire::Verify{});
  if (!ip) return drop(ip.error());
  const wire::Verify verify{
      wire::pseudo_header(ip->from, ip->to, ip->protocol, ip->payload.size())};
  const auto segment = wire::parse_tcp(ip->payload, verify);
  if (!segment) return drop(segment.error());
  // What the Internet checksum lets through the device's does not.
  const std::uint64_t check = base::hash(bytes);
  if (std::memcmp(packet.data() + bytes.size(), &check, check_size) != 0) {
    ++frame_errors;
    return;
  }
  if (!connection) {
    if (!segment->has(flag::syn) || segment->has(flag::ack)) return;
    make(iss.value);
    connection->accept(now_, *segment, iss);
    return;
  }
  if (connection->state() == State::closed) {
    refuse(*segment);
    return;
  }
  io::Buffer payload;
  if (!segment->payload.empty()) payload = buffers.make(segment->payload, 64);
  wire::TcpSegment here = *segment;
  here.payload = payload.bytes();
  connection->input(now_, here, std::move(payload), wire::ecn_of(ip->traffic_class));
}

// RFC 5961: resets beside the mark, SYNs, acknowledgments of what was never sent, and of what was
// long ago; empty segments anywhere.
void PairEnd::forge(Random& random) {
  if (!connection || connection->state() <= State::syn_received) return;
  const std::uint32_t expected = (peer_iss + 1 + static_cast<std::uint32_t>(received) +
                                  connection->readable() + (connection->at_end() ? 1 : 0))
                                     .value;
  wire::TcpSegment forged;
  forged.from_port = path_.remote.port;
  forged.to_port = path_.local.port;
  const auto near = [&](std::uint32_t mark, std::uint64_t most) {
    const auto off = static_cast<std::uint32_t>(1 + random.below(most));
    return random.chance(0.5) ? mark + off : mark - off;
  };
  forged.sequence = near(expected, random.chance(0.8) ? 3'000 : 1u << 31);
  forged.acknowledgment = sent_;
  forged.window = static_cast<std::uint16_t>(random());
  switch (random.below(4)) {
    case 0: forged.flags = flag::rst; break;
    case 1: forged.flags = flag::rst | flag::ack; break;
    case 2: forged.flags = random.chance(0.5) ? flag::syn : flag::syn | flag::ack; break;
    default:
      forged.flags = flag::ack;
      forged.acknowledgment = sent_ + 1 + static_cast<std::uint32_t>(random.below(1u << 30));
      break;
  }
  connection->input(now_, forged, {});
}

// RFC 9293 section 3.10.7.1.
void PairEnd::refuse(const wire::TcpSegment& segment) {
  if (segment.has(flag::rst) || !segment.has(flag::ack)) return;
  wire::TcpHeader header;
  header.from_port = path_.local.port;
  header.to_port = path_.remote.port;
  header.sequence = segment.acknowledgment;
  header.flags = flag::rst;
  transmit({path_, header, {}, 0, 0, wire::Ecn::not_capable});
}

void PairEnd::run_app(std::size_t chunk, bool read) {
  if (!connection) return;
  // A byte more than there is room for, so that it knows that there was none.
  std::vector<std::byte> bytes(
      std::min<std::uint64_t>({chunk, total - written, connection->writable() + 1}));
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = stream_byte(stream_, written + i);
  if (!bytes.empty())
    if (const auto size = connection->write(now_, bytes)) written += *size;
  if (written == total && !shut && connection->state() > State::syn_sent) {
    shut = true;
    connection->shutdown(now_);
  }
  while (read) {
    auto buffer = connection->receive();
    if (!buffer) break;
    if (buffer->empty()) {
      ended = true;
      break;
    }
    for (const std::byte byte : buffer->bytes())
      if (byte != stream_byte(stream_ ^ 1, received++)) wrong = "a byte arrived wrong";
  }
}

Pair::Pair(const PairOptions& chosen)
    : options{chosen},
      there{chosen.link, chosen.seed * 2 + 1},
      back{chosen.link, chosen.seed * 2 + 2},
      first{chosen.first_config, first_path, there, now, 2, chosen.pool_most},
      second_end{chosen.second_config, second_path, back, now, 3, chosen.pool_most},
      random{chosen.seed} {
  first.total = chosen.first_bytes;
  second_end.total = chosen.second_bytes;
}

// A packet of long ago, as one that has lost its way, or a forged one.
void Pair::meddle(PairEnd& end) {
  if (!random.chance(options.meddled / 1e6)) return;
  ++forged;
  if (!end.heard.empty() && random.chance(0.5))
    end.arrive(end.heard[random.below(end.heard.size())], {});
  else
    end.forge(random);
}

PairResult Pair::run() {
  const auto our_iss = Seq{static_cast<std::uint32_t>(random())};
  const auto their_iss = Seq{static_cast<std::uint32_t>(random())};
  first.peer_iss = their_iss;
  second_end.peer_iss = our_iss;
  first.make(static_cast<std::uint32_t>(random()));
  first.connection->connect(now, our_iss);
  std::uint64_t next_read = 0;

  const auto settle = [&](PairEnd& end, const char* name) -> std::string {
    if (!end.connection) return {};
    const bool read = !options.slow_reader || now >= next_read;
    end.run_app(1 + random.below(options.app_chunk), read);
    if (read && options.slow_reader) next_read = now + random.below(300) * millisecond;
    end.connection->flush(now);
    if (const char* broken = end.connection->broken()) return std::string{name} + broken;
    if (!end.wrong.empty()) return std::string{name} + end.wrong;
    return {};
  };
  const auto over = [](const PairEnd& end) {
    return end.connection && (end.connection->state() == State::closed ||
                              end.connection->state() == State::time_wait);
  };

  const auto has_failed = [](const PairEnd& end) {
    return end.connection && end.connection->state() == State::closed &&
           end.connection->error() != Error::closed;
  };

  const auto hear = [&](PairEnd& end, std::span<const std::byte> packet, Seq iss) {
    if (options.meddled > 0 && end.heard.size() < 50 && random.chance(0.2))
      end.heard.emplace_back(packet.begin(), packet.end());
    end.arrive(packet, iss);
  };

  PairResult result;
  for (;;) {
    for (PairEnd* end : {&first, &second_end}) {
      result.reason = settle(*end, end == &first ? "first: " : "second: ");
      if (!result.reason.empty()) return result;
    }
    if (over(first) && over(second_end)) break;
    std::uint64_t next = std::min(there.next_arrival(), back.next_arrival());
    for (const PairEnd* end : {&first, &second_end})
      if (end->connection) next = std::min(next, end->connection->deadline());
    if (options.slow_reader && next_read > now) next = std::min(next, next_read);
    const bool too_long = next != never && next - second > options.limit;
    if (next == never || too_long) {
      result.reason = too_long ? "it takes too long" : "nothing will ever happen again";
      // One may have given up, and never opened, or sent nothing of which the other could tell.
      for (const PairEnd* end : {&second_end, &first})
        if (has_failed(*end)) result.reason = name(end->connection->error());
      break;
    }
    now = std::max(now, next);
    while (auto packet = there.receive(now)) hear(second_end, *packet, their_iss);
    while (auto packet = back.receive(now)) hear(first, *packet, our_iss);
    for (PairEnd* end : {&first, &second_end}) meddle(*end);
    for (PairEnd* end : {&first, &second_end})
      if (end->connection && end->connection->deadline() <= now) end->connection->advance(now);
  }
  result.took = now - second;
  if (!result.reason.empty()) return result;
  for (PairEnd* end : {&first, &second_end}) {
    end->run_app(0, true);  // what a slow reader has left
    const PairEnd& other = end == &first ? second_end : first;
    if (has_failed(*end)) {
      result.reason = name(end->connection->error());
      return result;
    }
    if (end->received != other.total) result.reason = "bytes are missing";
  }
  result.whole = result.reason.empty();
  return result;
}

}  // namespace lichen::net::tcp
