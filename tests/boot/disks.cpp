// Disks: what an app does with them, and what is still there when the machine comes up again. The
// first of them can be written, the second, if there is one, cannot.
#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "lichen/base/log.hpp"
#include "lichen/base/random.hpp"
#include "lichen/base/span.hpp"
#include "lichen/coro/scope.hpp"
#include "lichen/hal/hal.hpp"
#include "lichen/image/run.hpp"
#include "lichen/sched/machine.hpp"

namespace {

using namespace lichen;

using Content = std::vector<std::byte>;
constexpr std::string_view mark = "lichen was here";
constexpr std::uint64_t kept_at = 1'000;  // sectors that outlive the machine
constexpr std::size_t kept_size = std::size_t{400} * 512;
constexpr std::size_t part_sectors = 256;  // of each task

unsigned failures = 0;

void check(bool holds, std::string_view what) {
  if (holds) return;
  ++failures;
  log::error("it does not hold: {}", what);
}

Content content_of(std::uint64_t number, std::size_t size) {
  Content bytes(size);
  Random random{number};
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

// On whichever core.
Task<Result<void>> use_part(io::BlockDevice& disk, std::uint64_t number) {
  const std::uint64_t first = 2'000 + number * part_sectors;
  const std::size_t size = disk.info().sector_size;
  Random random{number};
  Content known = content_of(number, part_sectors * size);
  CO_TRY(co_await disk.write(first, known));
  for (unsigned round = 0; round < 12; ++round) {
    const std::uint64_t at = random.below(part_sectors);
    const std::uint64_t count = 1 + random.below(part_sectors - at);
    const std::span<std::byte> part = std::span{known}.subspan(at * size, count * size);
    const std::size_t cut = random.below(count + 1) * size;
    if (round % 2 == 0) {
      std::ranges::copy(content_of(number * 100 + round, part.size()), part.begin());
      const std::array<std::span<const std::byte>, 2> pieces{part.first(cut), part.subspan(cut)};
      CO_TRY(co_await disk.write_pieces(first + at, pieces));
    } else {
      Content read(part.size());
      const std::array<std::span<std::byte>, 2> pieces{std::span{read}.first(cut),
                                                       std::span{read}.subspan(cut)};
      CO_TRY(co_await disk.read_pieces(first + at, pieces));
      check(std::ranges::equal(read, part), "what was written is read");
    }
  }
  co_return co_await disk.flush();
}

Task<Result<void>> try_all(io::BlockDevice& disk) {
  const io::BlockInfo info = disk.info();
  const std::size_t size = info.sector_size;
  Scope scope;
  constexpr unsigned tasks = 12;
  for (unsigned i = 0; i < tasks; ++i) scope.spawn(use_part(disk, i));
  CO_TRY(co_await scope.join());
  log::info("{} tasks have used their parts", tasks);

  Content bytes(size);
  check((co_await disk.read(info.sectors, bytes)).failed_with(Error::out_of_range),
        "it has an end");
  check((co_await disk.write(info.sectors - 1, content_of(1, 2 * size)))
            .failed_with(Error::out_of_range),
        "nor is anything written behind it");
  check((co_await disk.read(0, std::span{bytes}.first(100))).failed_with(Error::invalid_argument),
        "sectors are whole");
  CO_TRY(co_await disk.read(info.sectors - 1, bytes));

  check(info.discards && info.writes_zeroes, "QEMU's disks can discard and write zeroes");
  CO_TRY(co_await disk.write(kept_at + 900, content_of(3, 8 * size)));
  CO_TRY(co_await disk.write_zeroes(kept_at + 902, 4, true));
  CO_TRY(co_await disk.discard(kept_at + 907, 1));
  Content read(8 * size);
  Content expected = content_of(3, 8 * size);
  std::fill_n(expected.begin() + static_cast<std::ptrdiff_t>(2 * size), 4 * size, std::byte{});
  CO_TRY(co_await disk.read(kept_at + 900, read));
  check(std::ranges::equal(std::span{read}.first(7 * size), std::span{expected}.first(7 * size)),
        "zeroes are where they were written");
  co_return Result<void>{};
}

Task<Result<void>> app(io::System& system) {
  const auto disks = system.disks();
  log::info("disks: {}", disks.size());
  if (disks.empty()) co_return Error::not_found;
  io::BlockDevice& disk = *disks[0];
  const io::BlockInfo info = disk.info();
  log::info("disk 0: {} sectors of {} bytes, read-only: {}", info.sectors, info.sector_size,
            info.read_only);
  Content first(info.sector_size);
  CO_TRY(co_await disk.read(0, first));
  if (!base::as_string_view(std::span{first}).starts_with(mark)) {
    CO_TRY(co_await try_all(disk));
    std::ranges::copy(std::as_bytes(std::span{mark}), first.begin());
    CO_TRY(co_await disk.write(kept_at, content_of(4, kept_size)));
    CO_TRY(co_await disk.write(0, first));
    CO_TRY(co_await disk.flush());
    log::info("disk begins: {}", mark);
  } else {
    Content kept(kept_size);
    CO_TRY(co_await disk.read(kept_at, kept));
    check(kept == content_of(4, kept_size), "what was flushed is there after a reboot");
    log::info("kept");
  }
  if (disks.size() > 1) {
    io::BlockDevice& other = *disks[1];
    check(other.info().read_only, "it is read-only");
    check((co_await other.write(0, first)).failed_with(Error::read_only), "nothing is written");
    check((co_await other.discard(0, 1)).failed_with(Error::read_only), "nothing is discarded");
    CO_TRY(co_await other.read(0, first));
    check(std::ranges::all_of(first, [](std::byte byte) { return byte == std::byte{}; }),
          "it is as it was");
    log::info("read-only: true");
  }
  co_return Result<void>{};
}

}  // namespace

int main() {
  const Result<void> outcome = run(app, {.cores = hal::core_count_available()});
  if (!outcome) log::error("{}", base::describe(outcome.error()));
  log::info("failures: {}", failures);
  return outcome && failures == 0 ? 46 : 1;
}
