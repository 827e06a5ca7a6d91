#include "tests/packetdrill/sysctl.hpp"

#include <cstdio>
#include <string>
#include <string_view>

namespace lichen::packetdrill {

namespace {

std::uint64_t last_number(std::string_view value) {
  const std::size_t blank = value.find_last_of(" \t");
  if (blank != std::string_view::npos) value.remove_prefix(blank + 1);
  return std::strtoull(std::string{value}.c_str(), nullptr, 0);
}

// Of buffers: the least size, the first and the largest one.
void apply_sizes(std::string_view value, std::uint32_t& first, std::uint32_t& most,
                 std::uint32_t share) {
  const std::size_t blank = value.find_last_of(" \t");
  most = static_cast<std::uint32_t>(last_number(value));
  first = blank == std::string_view::npos
              ? most
              : static_cast<std::uint32_t>(last_number(value.substr(0, blank)));
  first /= share;
}

void apply_sysctl(std::string_view name, std::string_view value, tcp::Config& config) {
  const std::uint64_t number = last_number(value);
  const auto count = static_cast<std::uint32_t>(number);
  constexpr std::string_view prefix = "net.ipv4.tcp_";
  if (!name.starts_with(prefix)) return;
  name.remove_prefix(prefix.size());
  if (name == "timestamps") config.timestamps = number != 0;
  if (name == "sack") config.sack = number != 0;
  if (name == "window_scaling") config.window_scaling = number != 0;
  if (name == "ecn")
    config.ecn = number == 0   ? tcp::EcnMode::off
                 : number == 1 ? tcp::EcnMode::request
                               : tcp::EcnMode::accept;
  if (name == "congestion_control")
    config.congestion =
        value == "reno" ? tcp::CongestionAlgorithm::new_reno : tcp::CongestionAlgorithm::cubic;
  // Half of a receive buffer is the window, as in Linux.
  if (name == "rmem") apply_sizes(value, config.receive_buffer, config.receive_buffer_most, 2);
  if (name == "wmem") apply_sizes(value, config.send_buffer, config.send_buffer_most, 1);
  if (name == "syn_retries") config.syn_retries = count;
  if (name == "synack_retries") config.syn_ack_retries = count;
  if (name == "min_tso_segs") config.least_burst = count;
  if (name == "notsent_lowat") config.unsent_most = count == UINT32_MAX ? 0 : count;
  if (name == "retries2") config.retries = count;
  if (name == "fin_timeout") config.fin_wait_2 = number * tcp::second;
  if (name == "early_retrans") config.tail_loss_probes = number != 0;
  if (name == "slow_start_after_idle") config.restart_after_idle = number != 0;
}

template <class Take>
void for_each_word(std::string_view text, char separator, Take take) {
  while (!text.empty()) {
    const std::size_t end = text.find(separator);
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const std::size_t equals = word.find('=');
    if (equals != std::string_view::npos) take(word.substr(0, equals), word.substr(equals + 1));
  }
}

}  // namespace

void apply_sysctls(const char* path, Setup& setup) {
  std::FILE* file = path == nullptr ? nullptr : std::fopen(path, "r");
  if (file == nullptr) return;
  std::string text;
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) text += static_cast<char>(c);
  std::fclose(file);
  for_each_word(text, '\n', [&](std::string_view name, std::string_view value) {
    apply_sysctl(name, value, setup.tcp.connection);
  });
}

void apply_flags(const char* flags, Setup& setup) {
  if (flags == nullptr) return;
  for_each_word(flags, ',', [&](std::string_view name, std::string_view value) {
    if (name == "local4" || name == "local6")
      if (const auto address = wire::IpAddress::parse(value))
        (name == "local4" ? setup.local4 : setup.local6) = *address;
    if (name == "mtu") setup.mtu = static_cast<std::uint16_t>(last_number(value));
  });
}

}  // namespace lichen::packetdrill
