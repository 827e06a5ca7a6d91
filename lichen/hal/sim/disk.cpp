#include "lichen/hal/sim/disk.hpp"

#include <algorithm>

#include "lichen/hal/linux/console.hpp"

namespace lichen::hal::sim {

Disk::Disk(const DiskModel& model, std::uint64_t seed)
    : model_{model}, random_{seed}, safe_(model.sector_size * model.sectors) {
  if (model.atomic_size == 0 || model.sector_size == 0 ||
      model.sector_size % model.atomic_size != 0)
    panic("a simulated disk's sectors are made of whole atomic parts");
}

Result<void> Disk::check(std::uint64_t sector, std::size_t bytes) const noexcept {
  if (bytes == 0 || bytes % model_.sector_size != 0) return Error::invalid_argument;
  const std::uint64_t count = bytes / model_.sector_size;
  if (sector >= model_.sectors || count > model_.sectors - sector) return Error::out_of_range;
  return {};
}

std::uint64_t Disk::done(Range time, std::size_t bytes, std::uint64_t now_ns) noexcept {
  const std::uint64_t own =
      time.least + (time.most > time.least ? random_.below(time.most - time.least + 1) : 0);
  const std::uint64_t transfer =
      model_.bytes_per_second == 0 ? 0 : bytes * 1'000'000'000 / model_.bytes_per_second;
  return free_ns_ = std::max(free_ns_, now_ns) + own + transfer;
}

std::span<std::byte> Disk::safe(std::uint64_t sector) noexcept {
  return std::span{safe_}.subspan(sector * model_.sector_size, model_.sector_size);
}

std::vector<Disk::Unflushed>::iterator Disk::find(std::uint64_t sector) noexcept {
  return std::ranges::lower_bound(unflushed_, sector, {}, &Unflushed::sector);
}

Result<std::uint64_t> Disk::read(std::uint64_t sector, std::span<std::byte> into,
                                 std::uint64_t now_ns) {
  TRY(check(sector, into.size()));
  ++statistics_.reads;
  const std::uint64_t at = done(model_.read_time, into.size(), now_ns);
  if (model_.unreadable > 0 && random_.below(1'000'000) < model_.unreadable)
    return Error::io_failed;
  for (auto entry = find(sector); !into.empty(); ++sector) {
    const auto part = into.first(model_.sector_size);
    into = into.subspan(model_.sector_size);
    if (entry != unflushed_.end() && entry->sector == sector)
      std::ranges::copy((entry++)->versions.back(), part.begin());
    else
      std::ranges::copy(safe(sector), part.begin());
  }
  return at;
}

Result<std::uint64_t> Disk::write(std::uint64_t sector, std::span<const std::byte> from,
                                  std::uint64_t now_ns) {
  TRY(check(sector, from.size()));
  ++statistics_.writes;
  const std::uint64_t at = done(model_.write_time, from.size(), now_ns);
  for (; !from.empty(); from = from.subspan(model_.sector_size), ++sector) {
    auto entry = find(sector);
    if (entry == unflushed_.end() || entry->sector != sector)
      entry = unflushed_.insert(entry, {sector, {}});
    const auto part = from.first(model_.sector_size);
    entry->versions.emplace_back(part.begin(), part.end());
  }
  while (unflushed_.size() > model_.cached_sectors) write_back_one();
  return at;
}

// The cache is full: one sector, not the oldest, becomes safe.
void Disk::write_back_one() noexcept {
  const auto entry =
      unflushed_.begin() + static_cast<std::ptrdiff_t>(random_.below(unflushed_.size()));
  std::ranges::copy(entry->versions.back(), safe(entry->sector).begin());
  unflushed_.erase(entry);
}

std::uint64_t Disk::flush(std::uint64_t now_ns) {
  ++statistics_.flushes;
  const std::uint64_t at = done(model_.flush_time, unflushed_.size() * model_.sector_size, now_ns);
  for (const Unflushed& each : unflushed_)
    std::ranges::copy(each.versions.back(), safe(each.sector).begin());
  unflushed_.clear();
  return at;
}

void Disk::crash() {
  ++statistics_.crashes;
  const std::uint64_t parts = model_.sector_size / model_.atomic_size;
  for (const Unflushed& each : unflushed_) {
    const std::span<std::byte> sector = safe(each.sector);
    // Version 0 is what was safe before.
    const std::uint64_t survivor = random_.below(each.versions.size() + 1);
    if (survivor > 0) std::ranges::copy(each.versions[survivor - 1], sector.begin());
    const bool torn = parts > 1 && survivor < each.versions.size() && random_.below(2) == 0;
    if (torn) {
      // The next version had begun to be written, from the front.
      const std::size_t bytes = (1 + random_.below(parts - 1)) * model_.atomic_size;
      std::copy_n(each.versions[survivor].begin(), bytes, sector.begin());
      ++statistics_.torn_sectors;
    } else if (survivor == 0) {
      ++statistics_.lost_sectors;
    }
  }
  unflushed_.clear();
}

}  // namespace lichen::hal::sim
