#include "lichen/net/socket/options.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>

#include "lichen/base/error_map.hpp"
#include "lichen/base/foreign_errors.hpp"

namespace lichen::net::socket {

namespace {

using namespace base::linux_errno;
using Bytes = std::span<const std::byte>;
using Room = std::span<std::byte>;

constexpr int af_inet = 2;
constexpr int af_inet6 = 10;
constexpr int sock_stream = 1;
constexpr int sock_dgram = 2;

// Bounds of Linux: net.core.{r,w}mem_max and SOCK_MIN_{SND,RCV}BUF, MAX_TCP_*.
constexpr std::uint32_t most_buffer = 212'992;
constexpr std::uint32_t least_send_buffer = 4'608;
constexpr std::uint32_t least_receive_buffer = 2'304;
constexpr int most_keep_alive = 32'767;  // s
constexpr int most_count = 127;
constexpr int least_mss = 88;
constexpr int largest_mss = 32'767;
constexpr std::uint64_t most_fin_wait = 120;  // s
constexpr std::uint8_t usual_hop_limit = 64;
constexpr std::uint8_t ecn_bits = 3;
constexpr int pmtu_discover_dont = 0;
constexpr int pmtu_discover_do = 2;
constexpr std::size_t name_size = 16;  // TCP_CA_NAME_MAX

int number(Bytes value) noexcept {
  int number = 0;
  std::memcpy(&number, value.data(), sizeof number);
  return number;
}

// As the IP level takes it: a whole number or a single byte.
std::optional<int> number_or_byte(Bytes value) noexcept {
  if (value.size() >= sizeof(int)) return number(value);
  if (value.empty()) return std::nullopt;
  return std::to_integer<int>(value[0]);
}

bool between(int value, int least, int most) noexcept { return value >= least && value <= most; }

// As much as there is room for.
template <class T>
int give(const T& what, Room value, std::size_t& size) noexcept {
  size = std::min({size, value.size(), sizeof what});
  if (size > 0) std::memcpy(value.data(), &what, size);
  return 0;
}

// A small number comes as a byte where there is no room for more.
int give_byte(int what, Room value, std::size_t& size) noexcept {
  if (size > 0 && size < sizeof what && between(what, 0, 255))
    return give(static_cast<std::uint8_t>(what), value, size);
  return give(what, value, size);
}

void changed(const Target& target) noexcept {
  if (target.connection == nullptr) return;
  target.connection->configure(target.now, target.settings.tcp);
  if (target.engine != nullptr) target.engine->touched(target.now, *target.connection);
}

// As in Linux half of what is received is what surrounds the bytes; what is sent has hardly any.
void size_buffers(Settings& settings) noexcept {
  tcp::Config& tcp = settings.tcp;
  tcp.send_buffer = settings.send_buffer;
  tcp.send_buffer_most = settings.send_buffer_fixed ? 0 : settings.send_buffer_most;
  tcp.receive_buffer = settings.receive_buffer / 2;
  tcp.receive_buffer_most = settings.receive_buffer_fixed ? 0 : settings.receive_buffer_most;
  if (settings.window_clamp == 0) return;
  tcp.receive_buffer = std::min(tcp.receive_buffer, settings.window_clamp);
  tcp.receive_buffer_most = std::min(tcp.receive_buffer_most, settings.window_clamp);
}

std::uint32_t doubled(int asked, std::uint32_t least) noexcept {
  const std::uint32_t size = std::min(static_cast<std::uint32_t>(asked), most_buffer);
  return std::max(size * 2, least);
}

void set_keep_alive(Settings& settings) noexcept {
  settings.tcp.keep_alive_idle = settings.keep_alive ? settings.keep_idle : 0;
}

// ---- SOL_SOCKET ---------------------------------------------------------------------------------

int set_time(std::uint64_t& timeout, Bytes value) noexcept {
  TimeValue time{};
  if (value.size() < sizeof time) return einval;
  std::memcpy(&time, value.data(), sizeof time);
  if (time.microseconds < 0 || time.microseconds >= 1'000'000) return edom;
  constexpr std::int64_t longest = 1'000'000'000;  // s
  timeout = time.seconds < 0
                ? 0
                : static_cast<std::uint64_t>(std::min(time.seconds, longest)) * tcp::second +
                      static_cast<std::uint64_t>(time.microseconds) * 1'000;
  return 0;
}

int set_socket(const Target& target, int name, Bytes value) noexcept {
  Settings& settings = target.settings;
  if (value.size() < sizeof(int)) return einval;
  const int wanted = number(value);
  switch (name) {
    case so::reuse_address: {
      settings.reuse_address = wanted != 0;
      if (target.datagrams != nullptr) target.datagrams->options.shared = wanted != 0;
      return 0;
    }
    case so::broadcast:
      settings.broadcast = wanted != 0;
      if (target.datagrams != nullptr) target.datagrams->options.broadcast = wanted != 0;
      return 0;
    case so::send_buffer:
      settings.send_buffer = doubled(wanted, least_send_buffer);
      settings.send_buffer_fixed = true;
      size_buffers(settings);
      break;
    case so::receive_buffer:
      settings.receive_buffer = doubled(wanted, least_receive_buffer);
      settings.receive_buffer_fixed = true;
      size_buffers(settings);
      break;
    case so::keep_alive:
      settings.keep_alive = wanted != 0;
      set_keep_alive(settings);
      break;
    // Urgent data is never anywhere else (RFC 6093).
    case so::oob_inline: return wanted != 0 ? 0 : enoprotoopt;
    case so::linger: {
      Linger linger{};
      if (value.size() < sizeof linger) return einval;
      std::memcpy(&linger, value.data(), sizeof linger);
      settings.linger = linger.on != 0;
      if (settings.linger)
        settings.linger_seconds = static_cast<std::uint32_t>(std::max(linger.seconds, 0));
      return 0;
    }
    case so::receive_low_water:
      if (settings.kind != Kind::stream) return enoprotoopt;
      settings.receive_low_water =
          wanted < 0 ? std::numeric_limits<int>::max() : std::max<std::uint32_t>(wanted, 1);
      return 0;
    case so::receive_timeout:
    case so::receive_timeout_new: return set_time(settings.receive_timeout, value);
    case so::send_timeout:
    case so::send_timeout_new: return set_time(settings.send_timeout, value);
    default: return enoprotoopt;
  }
  changed(target);
  return 0;
}

TimeValue time_value(std::uint64_t ns) noexcept {
  return {.seconds = static_cast<std::int64_t>(ns / tcp::second),
          .microseconds = static_cast<std::int64_t>(ns % tcp::second / 1'000)};
}

// As large as they are now: what the app has asked for, or has grown.
std::uint32_t send_buffer(const Target& target) noexcept {
  const std::uint32_t told = target.settings.send_buffer;
  return target.connection == nullptr ? told : std::max(told, target.connection->send_buffer());
}

std::uint32_t receive_buffer(const Target& target) noexcept {
  const std::uint32_t told = target.settings.receive_buffer;
  return target.connection == nullptr ? told
                                      : std::max(told, target.connection->receive_buffer() * 2);
}

MemoryInfo memory_info(const Target& target) noexcept {
  MemoryInfo memory{};
  memory.receive_most = receive_buffer(target);
  memory.send_most = send_buffer(target);
  if (target.connection != nullptr) {
    const tcp::Info info = target.connection->info(target.now);
    memory.receive_used = info.unread;
    memory.send_used = memory.queued = info.unacked + info.unsent;
    memory.drops = static_cast<std::uint32_t>(info.statistics.memory_drops);
  }
  return memory;
}

int get_socket(const Target& target, int name, Room value, std::size_t& size) noexcept {
  const Settings& settings = target.settings;
  const bool stream = settings.kind == Kind::stream;
  switch (name) {
    case so::reuse_address: return give(settings.reuse_address ? 1 : 0, value, size);
    case so::type: return give(stream ? sock_stream : sock_dgram, value, size);
    case so::error: return give(take_error(target), value, size);
    case so::broadcast: return give(settings.broadcast ? 1 : 0, value, size);
    case so::send_buffer: return give(send_buffer(target), value, size);
    case so::receive_buffer: return give(receive_buffer(target), value, size);
    case so::keep_alive: return give(settings.keep_alive ? 1 : 0, value, size);
    case so::oob_inline: return give(1, value, size);
    case so::linger:
      return give(
          Linger{settings.linger ? 1 : 0, static_cast<std::int32_t>(settings.linger_seconds)},
          value, size);
    case so::receive_low_water: return give(settings.receive_low_water, value, size);
    case so::send_low_water: return give(1, value, size);
    case so::receive_timeout:
    case so::receive_timeout_new: return give(time_value(settings.receive_timeout), value, size);
    case so::send_timeout:
    case so::send_timeout_new: return give(time_value(settings.send_timeout), value, size);
    case so::accept_conn: return give(target.listener != nullptr ? 1 : 0, value, size);
    case so::protocol:
      return give<int>(stream ? wire::protocol::tcp : wire::protocol::udp, value, size);
    case so::memory_info: return give(memory_info(target), value, size);
    case so::domain: return give(settings.family == Family::ipv4 ? af_inet : af_inet6, value, size);
    default: return enoprotoopt;
  }
}

// ---- SOL_TCP ------------------------------------------------------------------------------------

int set_congestion(const Target& target, Bytes value) noexcept {
  if (value.empty()) return einval;
  std::string_view name{reinterpret_cast<const char*>(value.data()),
                        std::min(value.size(), name_size - 1)};
  name = name.substr(0, name.find('\0'));
  if (name == "cubic")
    target.settings.tcp.congestion = tcp::CongestionAlgorithm::cubic;
  else if (name == "reno")
    target.settings.tcp.congestion = tcp::CongestionAlgorithm::new_reno;
  else
    return enoent;
  changed(target);
  return 0;
}

int set_window_clamp(const Target& target, int wanted) noexcept {
  Settings& settings = target.settings;
  if (wanted == 0) {
    // Only before there is a window that would have to be taken back.
    if (target.connection != nullptr || target.listener != nullptr) return einval;
    settings.window_clamp = 0;
  } else {
    settings.window_clamp =
        static_cast<std::uint32_t>(std::max(wanted, static_cast<int>(least_receive_buffer / 2)));
  }
  size_buffers(settings);
  return 0;
}

int set_tcp(const Target& target, int name, Bytes value) noexcept {
  Settings& settings = target.settings;
  if (settings.kind != Kind::stream) return enoprotoopt;
  if (name == tcp_option::congestion) return set_congestion(target, value);
  if (value.size() < sizeof(int)) return einval;
  const int wanted = number(value);
  const auto count = static_cast<std::uint32_t>(wanted);
  const std::uint64_t seconds = std::uint64_t{count} * tcp::second;
  switch (name) {
    case tcp_option::no_delay:
      settings.tcp.no_delay = wanted != 0;
      // What is corked goes, too, though the cork stays.
      if (wanted != 0 && target.connection != nullptr) target.connection->push();
      break;
    case tcp_option::max_segment:
      if (wanted != 0 && !between(wanted, least_mss, largest_mss)) return einval;
      settings.tcp.largest_mss = static_cast<std::uint16_t>(wanted);
      break;
    case tcp_option::cork:
      settings.cork = wanted != 0;
      if (target.connection != nullptr) target.connection->set_cork(settings.cork);
      break;
    case tcp_option::keep_idle:
      if (!between(wanted, 1, most_keep_alive)) return einval;
      settings.keep_idle = seconds;
      set_keep_alive(settings);
      break;
    case tcp_option::keep_interval:
      if (!between(wanted, 1, most_keep_alive)) return einval;
      settings.tcp.keep_alive_interval = seconds;
      break;
    case tcp_option::keep_count:
      if (!between(wanted, 1, most_count)) return einval;
      settings.tcp.keep_alive_probes = count;
      break;
    case tcp_option::syn_count:
      if (!between(wanted, 1, most_count)) return einval;
      settings.tcp.syn_retries = count;
      break;
    case tcp_option::linger2:
      // Negative: not at all. The wait ends with the next look at the clock then. 0: as is usual.
      settings.tcp.fin_wait_2 = wanted < 0              ? 1
                                : wanted == 0           ? tcp::Config{}.fin_wait_2
                                : count > most_fin_wait ? most_fin_wait * tcp::second
                                                        : seconds;
      break;
    case tcp_option::defer_accept: settings.tcp.defer_accept = wanted > 0 ? seconds : 0; break;
    case tcp_option::window_clamp:
      if (const int failed = set_window_clamp(target, wanted)) return failed;
      break;
    case tcp_option::quick_ack:
      settings.quick_ack = wanted != 0;
      if (target.connection != nullptr) target.connection->set_quick_ack(settings.quick_ack);
      break;
    case tcp_option::unsent_low_water: settings.tcp.unsent_most = count; break;
    case tcp_option::inq:
      if (!between(wanted, 0, 1)) return einval;
      settings.tells_unread = wanted != 0;
      return 0;
    case tcp_option::user_timeout:
      if (wanted < 0) return einval;
      settings.tcp.user_timeout = std::uint64_t{count} * tcp::millisecond;
      break;
    default: return enoprotoopt;
  }
  changed(target);
  return 0;
}

int get_tcp(const Target& target, int name, Room value, std::size_t& size) noexcept {
  const Settings& settings = target.settings;
  const tcp::Config& config = settings.tcp;
  if (settings.kind != Kind::stream) return enoprotoopt;
  const auto seconds = [](std::uint64_t ns) { return static_cast<int>(ns / tcp::second); };
  switch (name) {
    case tcp_option::no_delay: return give(config.no_delay ? 1 : 0, value, size);
    case tcp_option::max_segment: {
      int mss = config.largest_mss == 0 ? 536 : config.largest_mss;
      if (target.connection != nullptr)
        mss = static_cast<int>(target.connection->info(target.now).send_mss);
      return give(mss, value, size);
    }
    case tcp_option::cork: return give(settings.cork ? 1 : 0, value, size);
    case tcp_option::keep_idle: return give(seconds(settings.keep_idle), value, size);
    case tcp_option::keep_interval: return give(seconds(config.keep_alive_interval), value, size);
    case tcp_option::keep_count: return give(config.keep_alive_probes, value, size);
    case tcp_option::syn_count: return give(config.syn_retries, value, size);
    case tcp_option::linger2: return give(seconds(config.fin_wait_2), value, size);
    case tcp_option::defer_accept: return give(seconds(config.defer_accept), value, size);
    case tcp_option::window_clamp: return give(settings.window_clamp, value, size);
    case tcp_option::quick_ack: {
      const bool waits =
          target.connection != nullptr ? target.connection->is_interactive() : !settings.quick_ack;
      return give(waits ? 0 : 1, value, size);
    }
    case tcp_option::inq: return give(settings.tells_unread ? 1 : 0, value, size);
    case tcp_option::unsent_low_water: return give(config.unsent_most, value, size);
    // Neither of the two tells anything.
    case tcp_option::congestion_info: size = 0; return 0;
    case tcp_option::user_timeout:
      return give(static_cast<int>(config.user_timeout / tcp::millisecond), value, size);
    case tcp_option::congestion: {
      std::array<char, name_size> chosen{};
      const std::string_view text =
          config.congestion == tcp::CongestionAlgorithm::cubic ? "cubic" : "reno";
      std::ranges::copy(text, chosen.begin());
      return give(chosen, value, size);
    }
    case tcp_option::info: {
      TcpInfo info{};
      if (target.connection != nullptr) {
        info = tcp_info(*target.connection, target.now);
      } else if (target.listener != nullptr) {
        info.state = 10;  // TCP_LISTEN
        info.unacked = target.listener->waiting;
        info.sacked = target.listener->backlog;
      } else {
        info.state = 7;  // TCP_CLOSE
      }
      return give(info, value, size);
    }
    default: return enoprotoopt;
  }
}

// ---- SOL_IP, SOL_IPV6 ---------------------------------------------------------------------------

int set_hops(const Target& target, std::optional<int> wanted, int least) noexcept {
  if (!wanted || (*wanted != -1 && !between(*wanted, least, 255))) return einval;
  const auto hops = static_cast<std::uint8_t>(*wanted == -1 ? 0 : *wanted);
  target.settings.tcp.ip.hop_limit = hops;
  if (target.datagrams != nullptr) target.datagrams->options.hop_limit = hops;
  changed(target);
  return 0;
}

// The bits of ECN are TCP's own.
int set_traffic_class(const Target& target, int wanted) noexcept {
  const auto all = static_cast<std::uint8_t>(wanted);
  target.settings.tcp.ip.traffic_class = static_cast<std::uint8_t>(all & ~ecn_bits);
  if (target.datagrams != nullptr) target.datagrams->options.traffic_class = all;
  changed(target);
  return 0;
}

int set_mtu_discover(const Target& target, std::optional<int> wanted) noexcept {
  if (!wanted || !between(*wanted, 0, 5)) return einval;
  // Packets larger than the path is known to take are never sent whole.
  if (*wanted > pmtu_discover_do) return enoprotoopt;
  target.settings.mtu_discover = static_cast<std::uint8_t>(*wanted);
  target.settings.tcp.ip.dont_fragment = *wanted != pmtu_discover_dont;
  if (target.datagrams != nullptr)
    target.datagrams->options.dont_fragment = *wanted == pmtu_discover_do;
  changed(target);
  return 0;
}

int get_mtu(const Target& target, Room value, std::size_t& size) noexcept {
  if (target.connection != nullptr && target.connection->state() != tcp::State::closed)
    return give(target.connection->info(target.now).path_mtu, value, size);
  if (target.datagrams == nullptr || target.stack == nullptr || !target.datagrams->remote())
    return enotconn;
  const auto way = target.stack->way(target.datagrams->remote()->address,
                                     target.datagrams->local().address, nullptr, target.now);
  return way ? give(way->mtu, value, size) : enotconn;
}

// As Linux answers for streams; what has no stack yet has no networks.
int check_groups(const Target& target) noexcept {
  if (target.settings.kind == Kind::stream) return eproto;
  return target.stack == nullptr ? enodev : 0;
}

int set_group_hops(const Target& target, std::optional<int> wanted) noexcept {
  if (target.settings.kind == Kind::stream || target.datagrams == nullptr) return enoprotoopt;
  if (!wanted || !between(*wanted, -1, 255)) return einval;
  target.datagrams->options.group_hop_limit =
      static_cast<std::uint8_t>(*wanted == -1 ? 1 : *wanted);
  return 0;
}

// No copy of what is sent to a group comes back.
int set_group_loop(std::optional<int> wanted) noexcept {
  if (!wanted) return einval;
  return *wanted == 0 ? 0 : enoprotoopt;
}

int set_ip(const Target& target, int name, Bytes value) noexcept {
  if (name == ip_option::add_membership || name == ip_option::drop_membership) {
    if (const int failed = check_groups(target)) return failed;
    Groups& groups = target.settings.groups;
    return name == ip_option::add_membership ? groups.join_ipv4(*target.stack, value)
                                             : groups.leave_ipv4(*target.stack, value);
  }
  const std::optional<int> wanted = number_or_byte(value);
  switch (name) {
    case ip_option::tos: return wanted ? set_traffic_class(target, *wanted) : einval;
    case ip_option::ttl: return set_hops(target, wanted, 1);
    case ip_option::mtu_discover: return set_mtu_discover(target, wanted);
    case ip_option::multicast_ttl: return set_group_hops(target, wanted);
    case ip_option::multicast_loop: return set_group_loop(wanted);
    default: return enoprotoopt;
  }
}

int get_ip(const Target& target, int name, Room value, std::size_t& size) noexcept {
  const tcp::IpOptions& ip = target.settings.tcp.ip;
  const std::uint8_t hops = ip.hop_limit == 0 ? usual_hop_limit : ip.hop_limit;
  switch (name) {
    case ip_option::tos: return give_byte(ip.traffic_class, value, size);
    case ip_option::ttl: return give_byte(hops, value, size);
    case ip_option::mtu_discover: return give_byte(target.settings.mtu_discover, value, size);
    case ip_option::mtu: return get_mtu(target, value, size);
    case ip_option::multicast_ttl:
      if (target.datagrams == nullptr) return enoprotoopt;
      return give_byte(target.datagrams->options.group_hop_limit, value, size);
    case ip_option::multicast_loop: return give_byte(0, value, size);
    default: return enoprotoopt;
  }
}

int set_ipv6(const Target& target, int name, Bytes value) noexcept {
  if (target.settings.family != Family::ipv6) return enoprotoopt;
  if (name == ipv6_option::join_group || name == ipv6_option::leave_group) {
    if (const int failed = check_groups(target)) return failed;
    Groups& groups = target.settings.groups;
    return name == ipv6_option::join_group ? groups.join_ipv6(*target.stack, value)
                                           : groups.leave_ipv6(*target.stack, value);
  }
  if (value.size() < sizeof(int)) return einval;
  const int wanted = number(value);
  switch (name) {
    case ipv6_option::unicast_hops: return set_hops(target, wanted, 0);
    case ipv6_option::multicast_hops: return set_group_hops(target, wanted);
    case ipv6_option::multicast_loop: return set_group_loop(wanted);
    case ipv6_option::mtu_discover: return set_mtu_discover(target, wanted);
    case ipv6_option::v6_only:
      if (target.settings.bound) return einval;
      target.settings.v6_only = wanted != 0;
      if (target.datagrams != nullptr) target.datagrams->options.ipv6_only = wanted != 0;
      return 0;
    case ipv6_option::traffic_class:
      if (!between(wanted, -1, 255)) return einval;
      return set_traffic_class(target, std::max(wanted, 0));
    default: return enoprotoopt;
  }
}

int get_ipv6(const Target& target, int name, Room value, std::size_t& size) noexcept {
  if (target.settings.family != Family::ipv6) return enoprotoopt;
  const tcp::IpOptions& ip = target.settings.tcp.ip;
  const int hops = ip.hop_limit == 0 ? usual_hop_limit : ip.hop_limit;
  switch (name) {
    case ipv6_option::unicast_hops: return give(hops, value, size);
    case ipv6_option::multicast_hops:
      if (target.datagrams == nullptr) return enoprotoopt;
      return give<int>(target.datagrams->options.group_hop_limit, value, size);
    case ipv6_option::multicast_loop: return give<int>(0, value, size);
    case ipv6_option::mtu_discover: return give<int>(target.settings.mtu_discover, value, size);
    case ipv6_option::mtu: return get_mtu(target, value, size);
    case ipv6_option::v6_only: return give(target.settings.v6_only ? 1 : 0, value, size);
    case ipv6_option::traffic_class: return give<int>(ip.traffic_class, value, size);
    default: return enoprotoopt;
  }
}

}  // namespace

Settings::Settings(Family its_family, Kind its_kind, const tcp::Config& config) noexcept
    : family{its_family},
      kind{its_kind},
      tcp{config},
      keep_alive{config.keep_alive_idle != 0},
      send_buffer{config.send_buffer},
      receive_buffer{config.receive_buffer * 2},
      send_buffer_most{config.send_buffer_most},
      receive_buffer_most{config.receive_buffer_most},
      keep_idle{config.keep_alive_idle != 0 ? config.keep_alive_idle : 7'200 * tcp::second} {}

tcp::Families Settings::families() const noexcept {
  if (family == Family::ipv4) return tcp::Families::ipv4;
  return v6_only ? tcp::Families::ipv6 : tcp::Families::both;
}

int set(const Target& target, int level, int name, Bytes value) noexcept {
  switch (level) {
    case level::socket: return set_socket(target, name, value);
    case level::tcp: return set_tcp(target, name, value);
    case level::ip: return set_ip(target, name, value);
    case level::ipv6: return set_ipv6(target, name, value);
    default: return enoprotoopt;
  }
}

int get(const Target& target, int level, int name, Room value, std::size_t& size) noexcept {
  switch (level) {
    case level::socket: return get_socket(target, name, value, size);
    case level::tcp: return get_tcp(target, name, value, size);
    case level::ip: return get_ip(target, name, value, size);
    case level::ipv6: return get_ipv6(target, name, value, size);
    default: return enoprotoopt;
  }
}

void opened(const Target& target) noexcept {
  if (target.connection == nullptr) return;
  if (target.settings.cork) target.connection->set_cork(true);
  if (!target.settings.quick_ack) target.connection->set_quick_ack(false);
}

void closing(const Target& target) noexcept {
  if (target.stack != nullptr) target.settings.groups.leave_all(*target.stack);
}

int take_error(const Target& target) noexcept {
  Settings& settings = target.settings;
  if (settings.error_told || target.connection == nullptr) return 0;
  if (target.connection->state() != tcp::State::closed) return 0;
  const Error error = target.connection->error();
  if (error == Error::closed) return 0;
  settings.error_told = true;
  return to_errno(error);
}

bool is_readable(const Target& target) noexcept {
  if (target.listener != nullptr) return target.listener->waiting > 0;
  if (target.datagrams != nullptr) return target.datagrams->is_readable();
  if (target.connection == nullptr) return true;
  // A closed window is not opened by waiting for more.
  const std::uint32_t enough =
      std::min(target.settings.receive_low_water, target.connection->receive_buffer());
  return target.connection->at_end() || target.connection->readable() >= enough;
}

}  // namespace lichen::net::socket
