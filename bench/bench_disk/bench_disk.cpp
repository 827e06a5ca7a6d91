// What a disk does in a second, and what of its core's time each request takes; see
// bench/README.md. Everything on the disk is lost.
#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <memory>
#include <new>
#include <optional>
#include <string_view>

#include "lichen/base/format.hpp"
#include "lichen/base/log.hpp"
#include "lichen/base/random.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/io/program.hpp"

namespace lichen {

const std::string_view program_help =
    "usage: bench_disk [--seconds S | --requests N] [--only NAME] [--wait]\n"
    "Reads and writes the first disk, whose content is lost. Each kind of work ends after S "
    "seconds\n"
    "(default 1) or N requests. --wait: one kind whenever Ctrl-C is typed, one after the other.\n";

namespace {

struct Work {
  std::string_view name;
  bool write = false;
  bool random = true;
  unsigned depth = 1;
  std::size_t bytes = 4'096;
};

constexpr std::array<Work, 4> works{{
    {.name = "4 KB random read, depth 1"},
    {.name = "4 KB random read, depth 32", .depth = 32},
    {.name = "128 KB read in order, depth 4", .random = false, .depth = 4, .bytes = 131'072},
    {.name = "128 KB write in order, depth 4",
     .write = true,
     .random = false,
     .depth = 4,
     .bytes = 131'072},
}};
constexpr std::uint64_t writes_to_a_flush = 32;

struct Options {
  std::uint64_t seconds = 1;
  std::uint64_t requests = 0;  // 0: so many seconds
  std::string_view only;
  bool wait = false;
};

struct Progress {
  std::uint64_t done = 0;  // requests begun
  std::uint64_t until_ns = 0;
  std::uint64_t requests = 0;
  std::uint64_t next = 0;  // place, of what is done in order

  bool begin_another() noexcept {
    const bool another = requests != 0 ? done < requests : hal::now_ns() < until_ns;
    done += another ? 1 : 0;
    return another;
  }
};

// As whoever is in earnest about speed has it, so that no disk has to copy.
class Buffer {
 public:
  explicit Buffer(std::size_t size)
      : bytes_{static_cast<std::byte*>(::operator new(size, alignment)), size} {
    std::ranges::fill(bytes_, std::byte{0x5A});
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { ::operator delete(bytes_.data(), alignment); }
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }

 private:
  static constexpr std::align_val_t alignment{4'096};
  std::span<std::byte> bytes_;
};

Task<Result<void>> one_of_depth(io::BlockDevice& disk, const Work& work, Progress& progress,
                                std::uint64_t seed) {
  const std::uint64_t count = work.bytes / disk.info().sector_size;
  const std::uint64_t places = disk.info().sectors / count;
  const Buffer buffer{work.bytes};
  Random random{seed};
  while (progress.begin_another()) {
    const std::uint64_t place = work.random ? random.below(places) : progress.next++ % places;
    if (work.write) {
      CO_TRY(co_await disk.write(place * count, buffer.bytes()));
      if ((place + 1) % writes_to_a_flush == 0) CO_TRY(co_await disk.flush());
    } else {
      CO_TRY(co_await disk.read(place * count, buffer.bytes()));
    }
  }
  co_return Result<void>{};
}

Task<Result<void>> measure(io::BlockDevice& disk, const Work& work, const Options& options) {
  const std::uint64_t began = hal::now_ns();
  const std::uint64_t busy = hal::core_time_ns();
  Progress progress{.until_ns = began + options.seconds * 1'000'000'000,
                    .requests = options.requests};
  Scope scope;
  for (unsigned i = 0; i < work.depth; ++i) scope.spawn(one_of_depth(disk, work, progress, i + 1));
  CO_TRY(co_await scope.join());
  const std::uint64_t spent = hal::core_time_ns() - busy;
  const std::uint64_t took = std::max<std::uint64_t>(hal::now_ns() - began, 1);
  std::array<char, 256> room;
  hal::write_console(base::format_to(room,
                                     "{{\"name\": \"disk\", \"variant\": \"{}\", \"requests\": {}, "
                                     "\"requests_per_second\": {}, \"busy_ns_per_request\": {}}}\n",
                                     work.name, progress.done, progress.done * 1'000'000'000 / took,
                                     spent / std::max<std::uint64_t>(progress.done, 1))
                         .text);
  co_return Result<void>{};
}

std::optional<Options> parse(std::span<const std::string_view> words) {
  Options options;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--wait") {
      options.wait = true;
      continue;
    }
    if (words[i] == "--only" && i + 1 != words.size()) {
      options.only = words[++i];
      if (std::ranges::find(works, options.only, &Work::name) == works.end()) return std::nullopt;
      continue;
    }
    const bool seconds = words[i] == "--seconds";
    if ((!seconds && words[i] != "--requests") || ++i == words.size()) return std::nullopt;
    std::uint64_t& number = seconds ? options.seconds : options.requests;
    const char* const end = words[i].data() + words[i].size();
    const auto read = std::from_chars(words[i].data(), end, number);
    if (read.ec != std::errc{} || read.ptr != end || number == 0) return std::nullopt;
  }
  return options;
}

}  // namespace

Task<Result<void>> program_main(Program program) {
  const std::optional<Options> options = parse(program.arguments);
  if (!options) {
    hal::write_console(program_help);
    co_return Error::invalid_argument;
  }
  if (program.system.disks().empty()) {
    log::error("there is no disk");
    co_return Error::not_found;
  }
  io::BlockDevice& disk = *program.system.disks()[0];
  if (options->wait) hal::write_console("{\"ready\": true}\n");
  do {
    for (const Work& work : works) {
      if (!options->only.empty() && work.name != options->only) continue;
      if (options->wait) CO_TRY(co_await program.system.next_request());
      CO_TRY(co_await measure(disk, work, *options));
    }
  } while (options->wait);
  co_return Result<void>{};
}

}  // namespace lichen
