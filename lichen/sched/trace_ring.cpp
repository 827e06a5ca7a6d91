#include "lichen/sched/trace_ring.hpp"

#include <algorithm>
#include <bit>
#include <memory>
#include <new>

namespace lichen::sched {

std::string_view name(TraceKind kind) noexcept {
  constexpr std::array<std::string_view, trace_kind_count> names{
      "run_begin",      "run_end",      "preempt", "resume_preempted", "wake",
      "lane_installed", "steal",        "park",    "unpark",           "frame_begin",
      "frame_done",     "frame_missed", "stall"};
  return names[static_cast<std::size_t>(kind)];
}

static_assert(sizeof(std::source_location) == sizeof(std::uint64_t));
std::uint64_t argument_of(const std::source_location& where) noexcept {
  return std::bit_cast<std::uint64_t>(where);
}
std::source_location location_of(std::uint64_t argument) noexcept {
  return std::bit_cast<std::source_location>(argument);
}

struct TraceRing::Storage {
  const std::size_t capacity;  // a power of two
  const std::unique_ptr<Slot[]> slots;

  Slot& slot(std::uint64_t index) const noexcept { return slots[index & (capacity - 1)]; }
};

TraceRing::~TraceRing() { delete storage_.load(std::memory_order_relaxed); }

Result<std::uint64_t> TraceRing::start(std::size_t capacity) noexcept {
  if (!storage_.load(std::memory_order_acquire)) {
    const std::size_t rounded = std::bit_ceil(std::max<std::size_t>(capacity, 16));
    std::unique_ptr<Slot[]> slots{new (std::nothrow) Slot[rounded]{}};
    if (!slots) return Error::no_memory;
    std::unique_ptr<Storage> made{new (std::nothrow) Storage{rounded, std::move(slots)}};
    if (!made) return Error::no_memory;
    Storage* none = nullptr;
    if (storage_.compare_exchange_strong(none, made.get(), std::memory_order_acq_rel))
      made.release();
  }
  const std::uint64_t place = recorded();
  recorders_.fetch_add(1, std::memory_order_relaxed);
  return place;
}

// A reader that saw a word of this event also sees, behind its own fence, that the event was begun,
// and drops what the event has overwritten.
void TraceRing::record(std::uint64_t time_ns, TraceKind kind, LaneId lane, std::uint64_t strand,
                       std::uint64_t argument) noexcept {
  constexpr auto relaxed = std::memory_order_relaxed;
  const Storage* storage = storage_.load(std::memory_order_acquire);
  if (!storage) return;  // started this very moment
  const std::uint64_t index = begun_.load(relaxed);
  begun_.store(index + 1, relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  auto& words = storage->slot(index).words;
  words[0].store(time_ns, relaxed);
  words[1].store(argument, relaxed);
  words[2].store(strand, relaxed);
  words[3].store(std::uint64_t{lane} << 8 | static_cast<std::uint8_t>(kind), relaxed);
  end_.store(index + 1, std::memory_order_release);
}

TraceSnapshot TraceRing::read(std::uint64_t from, std::size_t most) const {
  constexpr auto relaxed = std::memory_order_relaxed;
  TraceSnapshot snapshot;
  const Storage* storage = storage_.load(std::memory_order_acquire);
  if (!storage) return snapshot;
  const std::uint64_t recorded = end_.load(std::memory_order_acquire);
  const std::uint64_t oldest = recorded > storage->capacity ? recorded - storage->capacity : 0;
  const std::uint64_t first = std::min(std::max(from, oldest), recorded);
  const std::uint64_t end = first + std::min<std::uint64_t>(recorded - first, most);
  snapshot.events.reserve(end - first);
  for (std::uint64_t i = first; i < end; ++i) {
    const auto& words = storage->slot(i).words;
    const std::uint64_t last = words[3].load(relaxed);
    snapshot.events.push_back({.time_ns = words[0].load(relaxed),
                               .argument = words[1].load(relaxed),
                               .strand = words[2].load(relaxed),
                               .lane = static_cast<LaneId>(last >> 8),
                               .kind = static_cast<TraceKind>(last & 0xff)});
  }
  std::atomic_thread_fence(std::memory_order_acquire);
  const std::uint64_t begun = begun_.load(relaxed);
  const std::uint64_t still_there = begun > storage->capacity ? begun - storage->capacity : 0;
  if (still_there > first) {
    const auto overwritten = static_cast<std::ptrdiff_t>(std::min(still_there, end) - first);
    snapshot.events.erase(snapshot.events.begin(), snapshot.events.begin() + overwritten);
  }
  snapshot.lost = end - std::min(from, end) - snapshot.events.size();
  return snapshot;
}

}  // namespace lichen::sched
