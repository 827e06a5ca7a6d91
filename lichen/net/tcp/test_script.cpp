#include "lichen/net/tcp/test_script.hpp"

#include <charconv>
#include <optional>

namespace lichen::net::tcp {

namespace flag = wire::tcp_flag;

namespace {

constexpr std::string_view flag_letters = "FSRPAUEW";

Path test_path() {
  return {{*wire::IpAddress::parse("192.0.2.1"), 80},
          {*wire::IpAddress::parse("192.0.2.2"), 1'024}};
}

// A segment as it is written in a script.
struct Line {
  std::uint8_t flags = 0;
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  std::optional<std::uint32_t> ack, win, mss, ws, urg;
  std::optional<std::pair<std::uint32_t, std::uint32_t>> ts;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> sack;
  bool sackok = false, nots = false, nosack = false, ect = false, ce = false;
};

std::uint32_t number(std::string_view& text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  EXPECT_EQ(error, std::errc{}) << "a number is missing in front of '" << text << "'";
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

std::pair<std::uint32_t, std::uint32_t> pair_of(std::string_view& text) {
  const std::uint32_t first = number(text);
  if (!text.empty()) text.remove_prefix(1);
  return {first, number(text)};
}

Line parse(std::string_view text) {
  Line line;
  bool first = true;
  bool range = true;
  while (!text.empty()) {
    const std::size_t blank = text.find(' ');
    std::string_view word = text.substr(0, blank);
    text.remove_prefix(blank == std::string_view::npos ? text.size() : blank + 1);
    if (word.empty()) continue;
    if (first) {
      for (const char c : word)
        if (const auto bit = flag_letters.find(c); bit != std::string_view::npos)
          line.flags |= static_cast<std::uint8_t>(1u << bit);
        else
          EXPECT_EQ(c, '.') << "no flag";
      first = false;
      continue;
    }
    if (range && word[0] >= '0' && word[0] <= '9') {
      line.begin = line.end = number(word);
      if (!word.empty()) {
        word.remove_prefix(1);
        line.end = number(word);
      }
      range = false;
      continue;
    }
    const std::size_t equals = word.find('=');
    const std::string_view name = word.substr(0, equals);
    std::string_view value = equals == std::string_view::npos ? "" : word.substr(equals + 1);
    if (name == "ack")
      line.ack = number(value);
    else if (name == "win")
      line.win = number(value);
    else if (name == "mss")
      line.mss = number(value);
    else if (name == "ws")
      line.ws = number(value);
    else if (name == "urg")
      line.urg = number(value);
    else if (name == "ts")
      line.ts = pair_of(value);
    else if (name == "sackok")
      line.sackok = true;
    else if (name == "nots")
      line.nots = true;
    else if (name == "nosack")
      line.nosack = true;
    else if (name == "ect")
      line.ect = true;
    else if (name == "ce")
      line.ce = true;
    else if (name == "sack") {
      while (!value.empty()) {
        line.sack.push_back(pair_of(value));
        if (!value.empty()) value.remove_prefix(1);
      }
    } else {
      ADD_FAILURE() << "what is '" << word << "'?";
    }
  }
  return line;
}

// Without its payload.
wire::TcpSegment peer_segment(const Line& line, std::uint32_t iss, std::uint32_t peer_iss) {
  wire::TcpSegment segment;
  segment.flags = line.flags;
  segment.sequence = peer_iss + line.begin;
  if (line.ack) segment.acknowledgment = iss + *line.ack;
  segment.window = static_cast<std::uint16_t>(line.win.value_or(65'535));
  segment.urgent = static_cast<std::uint16_t>(line.urg.value_or(0));
  segment.options.mss = static_cast<std::uint16_t>(line.mss.value_or(0));
  if (line.ws) segment.options.window_scale = static_cast<std::uint8_t>(*line.ws);
  segment.options.sack_permitted = line.sackok;
  if (line.ts) {
    segment.options.has_timestamps = true;
    segment.options.timestamp = line.ts->first;
    segment.options.timestamp_echo = line.ts->second;
  }
  for (const auto& [begin, end] : line.sack)
    segment.options.sack[segment.options.sack_count++] = {iss + begin, iss + end};
  return segment;
}

void fail(std::source_location where, const std::string& what) {
  ADD_FAILURE_AT(where.file_name(), static_cast<int>(where.line())) << what;
}

}  // namespace

Script::Script(Config chosen, std::uint32_t our_iss, std::uint32_t their_iss)
    : config{chosen}, iss{our_iss}, peer_iss{their_iss} {
  pools = std::make_unique<TestPools>(memory);
  resources.reset(
      new Resources{pools->chunks, pools->flights, pools->pieces, pools->blocks, *this});
  connection = std::make_unique<Connection>(config, *resources, test_path(), 0);
}

Script::~Script() {
  connection.reset();
  EXPECT_EQ(buffers.lent, 0u) << "buffers were not given back";
  EXPECT_EQ(pools->chunks.used() + pools->flights.used() + pools->pieces.used(), 0u);
  EXPECT_EQ(pools->blocks.used(), 0u);
}

bool Script::transmit(const Outgoing& segment) noexcept {
  if (blocked) return false;
  Sent one{segment.header, {}, segment.segment_size, segment.ecn, segment.ip};
  for (const auto piece : segment.payload) {
    EXPECT_FALSE(piece.empty());
    one.payload.insert(one.payload.end(), piece.begin(), piece.end());
  }
  EXPECT_EQ(one.payload.size(), segment.payload_size);
  for (std::size_t i = 0; i < one.payload.size(); ++i) {
    const auto at = segment.header.sequence - iss - 1 + static_cast<std::uint32_t>(i);
    if (one.payload[i] != pattern(at)) {
      ADD_FAILURE() << "byte " << at << " was sent wrong";
      break;
    }
  }
  sent.push_back(std::move(one));
  return true;
}

void Script::connect() {
  act([&] { connection->connect(now, Seq{iss}); });
}

void Script::accept(std::string_view syn, Where where) {
  const wire::TcpSegment segment = peer_segment(parse(syn), iss, peer_iss);
  act([&] { connection->accept(now, segment, Seq{iss}); });
  check(where);
}

void Script::open(std::string_view peer, Where where) {
  connect();
  forget();
  in("SA 0 ack=1 " + std::string{peer}, where);
  out("A 1 ack=1", where);
  state(State::established, where);
}

void Script::open_slowly(std::string_view peer, Where where) {
  connect();
  forget();
  pass(slow_round_trip);
  in("SA 0 ack=1 " + std::string{peer}, where);
  out("A 1 ack=1", where);
  state(State::established, where);
}

void Script::write(std::size_t size, Where where) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i)
    bytes[i] = pattern(written + static_cast<std::uint32_t>(i));
  act([&] {
    const auto taken_now = connection->write(now, bytes);
    if (!taken_now || *taken_now != size) fail(where, "not all was taken");
    written += static_cast<std::uint32_t>(size);
  });
  check(where);
}

std::size_t Script::read(Where where) {
  std::size_t size = 0;
  act([&] {
    for (;;) {
      auto buffer = connection->receive();
      if (!buffer || buffer->empty()) return;
      for (const std::byte byte : buffer->bytes()) {
        if (byte != pattern(taken)) {
          fail(where, "byte " + std::to_string(taken) + " arrived wrong");
          return;
        }
        ++taken;
        ++size;
      }
    }
  });
  check(where);
  return size;
}

void Script::in(std::string_view text, Where where) {
  const Line line = parse(text);
  wire::TcpSegment segment = peer_segment(line, iss, peer_iss);
  std::vector<std::byte> payload;
  // The byte behind a SYN is the first.
  for (std::uint32_t at = line.begin; at != line.end; ++at) payload.push_back(pattern(at - 1));
  io::Buffer buffer;
  if (!payload.empty()) buffer = buffers.make(payload);
  segment.payload = buffer.bytes();
  const auto ecn = line.ce    ? wire::Ecn::congested
                   : line.ect ? wire::Ecn::capable_0
                              : wire::Ecn::not_capable;
  act([&] { connection->input(now, segment, std::move(buffer), ecn); });
  check(where);
}

std::string Script::text(const Sent& segment) const {
  const wire::TcpHeader& header = segment.header;
  std::string text;
  for (std::size_t bit = 0; bit < flag_letters.size(); ++bit)
    if (header.has(static_cast<std::uint8_t>(1u << bit))) text += flag_letters[bit];
  if (text.empty()) text = ".";
  const std::uint32_t begin = header.sequence - iss;
  text += " " + std::to_string(begin);
  if (!segment.payload.empty()) text += ":" + std::to_string(begin + segment.payload.size());
  if (header.has(flag::ack)) text += " ack=" + std::to_string(header.acknowledgment - peer_iss);
  text += " win=" + std::to_string(header.window);
  if (header.options.mss != 0) text += " mss=" + std::to_string(header.options.mss);
  if (header.options.window_scale != wire::TcpOptions::no_scale)
    text += " ws=" + std::to_string(header.options.window_scale);
  if (header.options.sack_permitted) text += " sackok";
  if (header.options.has_timestamps)
    text += " ts=" + std::to_string(header.options.timestamp) + "," +
            std::to_string(header.options.timestamp_echo);
  for (std::size_t i = 0; i < header.options.sack_count; ++i)
    text += (i == 0 ? " sack=" : ",") + std::to_string(header.options.sack[i].begin - peer_iss) +
            "-" + std::to_string(header.options.sack[i].end - peer_iss);
  if (segment.ecn == wire::Ecn::capable_0) text += " ect";
  return text;
}

void Script::out(std::string_view expected, Where where) {
  if (sent.empty()) {
    fail(where, "expected '" + std::string{expected} + "', nothing was sent");
    return;
  }
  const Sent segment = std::move(sent.front());
  sent.pop_front();
  const Line line = parse(expected);
  const wire::TcpHeader& header = segment.header;
  const std::uint8_t ignored = (line.flags & flag::psh) != 0 ? 0 : flag::psh;
  bool same = (header.flags & ~ignored) == line.flags;
  same &= header.sequence - iss == line.begin;
  same &= segment.payload.size() == line.end - line.begin;
  if (line.ack) same &= header.acknowledgment - peer_iss == *line.ack;
  if (line.win) same &= header.window == *line.win;
  if (line.mss) same &= header.options.mss == *line.mss;
  if (line.ws) same &= header.options.window_scale == *line.ws;
  if (line.sackok) same &= header.options.sack_permitted;
  if (line.ts)
    same &= header.options.has_timestamps && header.options.timestamp == line.ts->first &&
            header.options.timestamp_echo == line.ts->second;
  if (line.nots) same &= !header.options.has_timestamps;
  if (line.nosack) same &= header.options.sack_count == 0;
  if (line.ect) same &= segment.ecn == wire::Ecn::capable_0;
  if (!line.sack.empty()) {
    same &= header.options.sack_count == line.sack.size();
    for (std::size_t i = 0; same && i < line.sack.size(); ++i)
      same &= header.options.sack[i].begin - peer_iss == line.sack[i].first &&
              header.options.sack[i].end - peer_iss == line.sack[i].second;
  }
  if (!same)
    fail(where, "expected '" + std::string{expected} + "', sent was '" + text(segment) + "'");
}

void Script::quiet(Where where) {
  for (const Sent& segment : sent) fail(where, "nothing was expected, sent was " + text(segment));
  sent.clear();
}

void Script::pass_ns(std::uint64_t ns) {
  const std::uint64_t until = now + ns;
  for (int steps = 0; connection->deadline() <= until; ++steps) {
    now = std::max(now, connection->deadline());
    act([&] { connection->advance(now); });
    check();
    if (steps > 100'000) {
      ADD_FAILURE() << "a timer does not move on";
      break;
    }
  }
  now = until;
}

void Script::state(State expected, Where where) {
  if (connection->state() != expected)
    fail(where, "the state is " + std::string{name(connection->state())} + ", not " +
                    std::string{name(expected)});
}

void Script::check(Where where) {
  if (const char* broken = connection->broken()) fail(where, std::string{"broken: "} + broken);
}

}  // namespace lichen::net::tcp
