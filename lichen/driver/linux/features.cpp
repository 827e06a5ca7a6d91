#include "lichen/driver/linux/features.hpp"

#include <array>
#include <cstddef>

namespace lichen::driver {

namespace {

struct Row {
  Feature feature;
  std::string_view name;
  std::string_view fallback;
};

constexpr std::array<Row, feature_count> rows{{
    {Feature::deferred_work, "deferred_work", "completions interrupt the core"},
    {Feature::registered_ring, "registered_ring",
     "the ring's descriptor is looked up at each call"},
    {Feature::multishot_accept, "multishot_accept", "one request for each connection"},
    {Feature::multishot_receive, "multishot_receive", "waits for data, then reads it"},
    {Feature::buffer_ring, "buffer_ring", "waits for data, then reads it"},
    {Feature::registered_files, "registered_files", "ordinary descriptors"},
    {Feature::send_zero_copy, "send_zero_copy", "sends copy"},
    {Feature::open_beneath, "open_beneath",
     "paths are walked one component at a time, without links"},
    {Feature::truncate, "truncate", "truncates on a helper thread"},
    {Feature::interrupts, "interrupts",
     "beside a task that computes completions are seen after 4 to 64 ms"},
}};

constexpr const Row& row_of(Feature feature) noexcept {
  return rows[static_cast<std::size_t>(feature)];
}

static_assert([] {
  for (const Row& row : rows)
    if (row_of(row.feature).name != row.name) return false;
  return true;
}());

}  // namespace

std::string_view name(Feature feature) noexcept { return row_of(feature).name; }
std::string_view fallback(Feature feature) noexcept { return row_of(feature).fallback; }

}  // namespace lichen::driver
