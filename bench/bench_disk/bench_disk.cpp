// How many requests of a disk a machine does in a second, and what of its core's time each takes.
// Everything on the disk is lost.
#include <array>
#include <charconv>
#include <chrono>
#include <memory>
#include <string_view>
#include <vector>

#include "lichen/base/format.hpp"
#include "lichen/base/log.hpp"
#include "lichen/base/random.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/io/program.hpp"

namespace lichen {

const std::string_view program_help = "usage: bench_disk [--requests N]\n";

namespace {

struct Work {
  std::string_view name;
  bool write = false;
  bool random = true;
  unsigned depth = 1;
  std::size_t bytes = 4096;
};

struct Progress {
  std::uint64_t left = 0;
  std::uint64_t next = 0;  // sector, of what is done in order
};

Task<Result<void>> one_of_depth(io::BlockDevice& disk, const Work& work, Progress& progress,
                                std::uint64_t seed) {
  const std::uint64_t count = work.bytes / disk.info().sector_size;
  const std::uint64_t places = disk.info().sectors / count;
  const std::unique_ptr<std::byte[]> memory{new std::byte[work.bytes]{}};
  const std::span bytes{memory.get(), work.bytes};
  Random random{seed};
  while (progress.left != 0) {
    --progress.left;
    const std::uint64_t place = work.random ? random.below(places) : progress.next++ % places;
    if (work.write)
      CO_TRY(co_await disk.write(place * count, bytes));
    else
      CO_TRY(co_await disk.read(place * count, bytes));
  }
  co_return Result<void>{};
}

Task<Result<void>> measure(io::BlockDevice& disk, const Work& work, std::uint64_t requests) {
  Progress progress{.left = requests};
  const std::uint64_t began = hal::now_ns();
  const std::uint64_t busy = hal::core_time_ns();
  Scope scope;
  for (unsigned i = 0; i < work.depth; ++i) scope.spawn(one_of_depth(disk, work, progress, i + 1));
  CO_TRY(co_await scope.join());
  const std::uint64_t spent = hal::core_time_ns() - busy;
  const std::uint64_t took = hal::now_ns() - began;
  CO_TRY(co_await disk.flush());
  std::array<char, 128> room;
  hal::write_console(base::format_to(room, "{}: {} a second, {} ns of the core each\n", work.name,
                                     requests * 1'000'000'000 / took, spent / requests)
                         .text);
  co_return Result<void>{};
}

}  // namespace

Task<Result<void>> program_main(Program program) {
  std::uint64_t requests = 20'000;
  if (program.arguments.size() == 2 && program.arguments[0] == "--requests") {
    const std::string_view word = program.arguments[1];
    const auto read = std::from_chars(word.data(), word.data() + word.size(), requests);
    if (read.ec != std::errc{} || requests == 0) co_return Error::invalid_argument;
  } else if (!program.arguments.empty()) {
    log::error("there is no such option");
    co_return Error::invalid_argument;
  }
  if (program.system.disks().empty()) {
    log::error("there is no disk");
    co_return Error::not_found;
  }
  io::BlockDevice& disk = *program.system.disks()[0];
  for (const Work& work :
       {Work{.name = "4 KB random read, depth 1"},
        Work{.name = "4 KB random read, depth 32", .depth = 32},
        Work{.name = "4 KB random write, depth 1", .write = true},
        Work{.name = "4 KB random write, depth 32", .write = true, .depth = 32},
        Work{.name = "4 KB read in order, depth 1", .random = false},
        Work{.name = "64 KB read in order, depth 4", .random = false, .depth = 4, .bytes = 65'536}})
    CO_TRY(co_await measure(disk, work, requests));
  co_return Result<void>{};
}

}  // namespace lichen
