// Sleeping on a word until somebody says that it has changed: futex(2). Private to this folder.
#pragma once

#include <atomic>
#include <cstdint>

namespace lichen::hal::detail {

// Sleeps while the word has that value, until the deadline (monotonic; no_deadline: none), a wake
// or a signal; it may return early.
void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t value,
                std::uint64_t deadline_ns) noexcept;
// Wakes so many of those that sleep there at most; there may be none.
void futex_wake(std::atomic<std::uint32_t>& word, int count) noexcept;

}  // namespace lichen::hal::detail
