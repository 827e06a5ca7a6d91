// main() of an app that runs as a Linux process: takes the options that all programs share, starts
// the machine, hands the app its world.
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lichen/driver/linux/host_system.hpp"
#include "lichen/image/options.hpp"
#include "lichen/image/run.hpp"
#include "lichen/image/tap_network.hpp"
#include "lichen/io/program.hpp"
#include "lichen/net/inet/link.hpp"

namespace {

using namespace lichen;

constexpr std::string_view host_help =
    "  --net host=ADDRESS serve at that address of the host instead of 127.0.0.1; 0.0.0.0: at all\n"
    "  --net NAME[=ADDRESS/BITS[,GATEWAY] | =dhcp]\n"
    "                     Lichen's own TCP/IP over the TAP device NAME, instead of the\n"
    "                     host's sockets; default address 10.9.0.2/24 (of a second device\n"
    "                     10.9.1.2/24, and so on), or what DHCP and routers offer; for up to 4\n"
    "                     devices, and served at all of them\n"
    "  --disk FILE[:ro]   a disk whose sectors are those of that file or block device; :ro: only\n"
    "                     read. May be given several times\n";

void print(std::string_view text) noexcept { std::fwrite(text.data(), 1, text.size(), stdout); }

struct NetWish {
  std::vector<image::TapWish> taps;
  std::optional<io::Address> serve_at;

  // Error::invalid_argument.
  Result<void> add(std::string_view text) {
    constexpr std::string_view host = "host=";
    if (!text.starts_with(host)) {
      if (serve_at || taps.size() == net::inet::Link::most) return Error::invalid_argument;
      taps.push_back(TRY(image::TapWish::parse(text, taps.size())));
      return {};
    }
    if (serve_at || !taps.empty()) return Error::invalid_argument;
    const std::string_view address = text.substr(host.size());
    const bool is_ipv6 = address.find(':') != std::string_view::npos;
    serve_at = TRY(io::Address::parse(is_ipv6 ? "[" + std::string{address} + "]:0"
                                              : std::string{address} + ":0"));
    return {};
  }
};

// Takes the options --disk out of the words that are for the app. False: one has no value.
bool take_disks(std::vector<std::string_view>& words, std::vector<std::string_view>& disks) {
  for (auto word = words.begin(); word != words.end();) {
    if (*word != "--disk") {
      ++word;
      continue;
    }
    if (word + 1 == words.end()) return false;
    disks.push_back(*(word + 1));
    word = words.erase(word, word + 2);
  }
  return true;
}

// FILE or FILE:ro. Error::invalid_argument: there is no such disk; why has been said.
Result<void> open_disk(driver::HostSystem& system, std::string_view word) {
  constexpr std::string_view read_only = ":ro";
  driver::HostDiskOptions options;
  if (word.ends_with(read_only)) {
    options.read_only = true;
    word.remove_suffix(read_only.size());
  }
  const Result<void> opened = system.open_disk(word, options);
  if (opened.failed_with(Error::not_found) || opened.failed_with(Error::wrong_type))
    return Error::invalid_argument;
  return opened;
}

Result<void> run_program(const image::ProgramOptions& options, const NetWish& net,
                         std::span<const std::string_view> disks) {
  image::Host host = TRY(image::Host::create());
  for (const std::string_view disk : disks) TRY(open_disk(host.linux_system(), disk));
  if (net.serve_at) host.linux_system().serve_at(*net.serve_at);
  return host.run(net.taps.empty() ? program_main(Program{host.system(), options.rest})
                                   : image::run_over_taps(host, net.taps, options.rest),
                  options.run);
}

}  // namespace

int main(int count, char** words) {
  auto options = image::parse_options(std::span{words, static_cast<std::size_t>(count)}.subspan(1));
  if (!options) return image::exit_status(options.error());
  if (options->help) {
    image::write_help(&print, host_help);
    return 0;
  }
  NetWish net;
  for (const std::string_view wish : options->net)
    if (!net.add(wish))
      return image::refuse_option(
          "--net",
          "host=ADDRESS is wanted, or for up to 4 devices NAME, NAME=ADDRESS/BITS[,GATEWAY] or "
          "NAME=dhcp");
  std::vector<std::string_view> disks;
  if (!take_disks(options->rest, disks))
    return image::refuse_option("--disk", "FILE or FILE:ro is wanted");
  return image::exit_status(run_program(*options, net, disks));
}
