// Command lines: of a machine, as its loader hands it over, and of the program that gets the rest;
// what the words mean, down to addresses as text. Whatever they are: no word is lost, none comes
// twice, the machine's own do not reach the program, what is taken is within the bounds that it
// says, and an address means the same when it is written down and read again.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lichen/base/format.hpp"
#include "lichen/hal/bare/boot.hpp"
#include "lichen/hal/bare/words.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/hal/x86_64/loader.hpp"
#include "lichen/image/address_wish.hpp"
#include "lichen/image/host_words.hpp"
#include "lichen/image/options.hpp"
#include "lichen/io/program.hpp"
#include "tests/fuzz/check.hpp"

using namespace lichen;

// What options.cpp says goes nowhere.
const std::string_view lichen::program_help = "";
void lichen::hal::write_console(std::string_view) noexcept {}

namespace {

std::vector<std::string> split(std::string_view line) {
  std::vector<std::string> words;
  while (!line.empty()) {
    const std::string_view word = line.substr(0, line.find(' '));
    line.remove_prefix(std::min(word.size() + 1, line.size()));
    if (!word.empty()) words.emplace_back(word);
  }
  return words;
}

template <class T>
std::string text_of(const T& value) {
  return std::string{base::format<128>("{}", value).view()};
}

void check_device(std::string_view word) {
  const auto device = hal::detail::parse_device_word(word);
  if (!device) return;
  CHECK(device->bus == hal::DeviceBus::virtio_mmio && device->line != hal::no_line);
  const std::string same = text_of(device->registers.size) + "@0x" +
                           std::string{base::format<20>("{:x}", device->registers.address).view()} +
                           ":" + text_of(device->line);
  const auto again = hal::detail::parse_device_word(same);
  CHECK(again && again->registers.size == device->registers.size);
  CHECK(again->registers.address == device->registers.address && again->line == device->line);
}

void check_addresses(std::string_view word) {
  using namespace net::wire;
  if (const auto address = IpAddress::parse(word))
    CHECK(IpAddress::parse(text_of(*address)) == address);
  if (const auto address = Ipv6Address::parse(word))
    CHECK(Ipv6Address::parse(text_of(*address)) == address);
  if (const auto address = MacAddress::parse(word))
    CHECK(MacAddress::parse(text_of(*address)) == address);
  if (const auto address = io::Address::parse(word)) {
    const auto again = io::Address::parse(address->text());
    CHECK(again && *again == *address);
  }
}

void check_prefix(const net::wire::Prefix& address, const net::wire::IpAddress& gateway) {
  CHECK(address.bits <= (address.network.is_ipv4() ? 30 : 126));
  CHECK(gateway.is_unspecified() || gateway.is_ipv4() == address.network.is_ipv4());
}

void check_wishes(std::string_view word) {
  if (const auto wish = image::AddressWish::parse(word)) check_prefix(wish->address, wish->gateway);
  const image::DiskWish disk = image::DiskWish::parse(word);
  CHECK(disk.read_only ? word.size() == disk.file.size() + 3 : disk.file == word);
}

void check_options(std::vector<std::string> words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  const auto options = image::parse_options(pointers);
  if (!options) return;
  CHECK(options->rest.size() + options->net.size() + options->disks.size() <= words.size());
  CHECK(options->run.cores <= sched::Machine::max_cores);
  CHECK(options->run.stack_size >= 16'384);
  CHECK(options->run.poll <= std::chrono::seconds{1});
  image::NetWish net;
  for (const std::string_view wish : options->net) {
    if (!net.add(wish)) break;
    CHECK(net.taps.size() <= 4 && !(net.serve_at && !net.taps.empty()));
    if (net.taps.empty()) continue;
    const image::TapWish& tap = net.taps.back();
    CHECK(!tap.name.empty() && tap.name.size() <= 15);
    check_prefix(tap.address, tap.gateway);
  }
}

void check_line(std::string_view line) {
  using namespace hal::detail;
  set_command_line(line);
  const std::vector<std::string> words = split(line.substr(0, longest_command_line));
  std::vector<std::string> shown;
  each_word("net=", [&](std::string_view text) { shown.push_back("net=" + std::string{text}); });
  std::vector<std::string> expected;
  std::ranges::copy_if(words, std::back_inserter(expected),
                       [](const std::string& word) { return word.starts_with("net="); });
  CHECK(shown == expected);
  std::erase(expected, "net=");
  CHECK(hal::machine_word("net=") == (expected.empty() ? "" : expected[0].substr(4)));

  expected.clear();
  std::ranges::copy_if(words, std::back_inserter(expected), [](const std::string& word) {
    return std::ranges::none_of(hal::machine_words,
                                [&](std::string_view own) { return word.starts_with(own); });
  });
  const auto program = program_words();
  CHECK(program.has_value() ==
        (line.size() <= longest_command_line && expected.size() <= most_program_words));
  if (!program) return;
  CHECK(program->size() == expected.size() + 1 && program->data()[program->size()] == nullptr);
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK((*program)[i + 1] == expected[i]);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Exact exact{{reinterpret_cast<const char*>(data), size}};
  // A loader's text ends at a zero.
  const std::string_view line = exact.view().substr(0, exact.view().find('\0'));
  check_line(line);
  const std::vector<std::string> words = split(line);
  check_options(words);
  for (const std::string& word : words) {
    const Exact alone{word};
    for (const std::string_view part :
         {alone.view(), alone.view().substr(std::min(word.find('=') + 1, word.size()))}) {
      check_device(part);
      check_addresses(part);
      check_wishes(part);
    }
  }
  return 0;
}
