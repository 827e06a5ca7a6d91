// The machine itself, in an image that has booted (tests/boot).
#include "lichen/hal/hal.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>

#include "lichen/hal/bare/boot.hpp"
#include "lichen/hal/bare/chacha20.hpp"
#include "lichen/hal/bare/page_entry.hpp"
#include "lichen/hal/bare/page_table.hpp"

extern "C" {
extern const char __executable_start[];
extern const char lichen_text_end[];
}

namespace lichen::hal {
namespace {

// The order of the boot is checked when it is compiled.
constexpr detail::BootStep right[] = {{"a", nullptr, {}}, {"b", nullptr, {"a"}}};
constexpr detail::BootStep too_late[] = {{"b", nullptr, {"a"}}, {"a", nullptr, {}}};
constexpr detail::BootStep missing[] = {{"a", nullptr, {"c"}}};
constexpr detail::BootStep twice[] = {{"a", nullptr, {}}, {"a", nullptr, {}}};
static_assert(detail::in_order(right) && !detail::in_order(too_late));
static_assert(!detail::in_order(missing) && !detail::in_order(twice));

// RFC 8439, 2.3.2.
constexpr detail::ChachaBlock block =
    detail::chacha20({0x0302'0100, 0x0706'0504, 0x0b0a'0908, 0x0f0e'0d0c, 0x1312'1110, 0x1716'1514,
                      0x1b1a'1918, 0x1f1e'1d1c},
                     1, {0x0900'0000, 0x4a00'0000, 0});
static_assert(block == detail::ChachaBlock{0xe4e7'f110, 0x1559'3bd1, 0x1fdd'0f50, 0xc471'20a3,
                                           0xc7f4'd1c7, 0x0368'c033, 0x9aaa'2204, 0x4e6c'd4c3,
                                           0x4664'82d2, 0x09aa'9f07, 0x05d7'c214, 0xa202'8bd9,
                                           0xd19c'12b5, 0xb94e'16de, 0xe883'd0cb, 0x4e3c'50a2});

TEST(Cores, AllRunAndWakesAreNotLost) {
  const unsigned count = core_count_available();
  if (count < 2) GTEST_SKIP();
  constexpr int rounds = 2'000;
  std::atomic<int> token{0};
  std::atomic<int> wrong{0};
  auto entry = [&](CoreId core) {
    if (this_core() != core) wrong.fetch_add(1);
    wake(core);
    wait(core, no_deadline);  // the token of before
    const auto cores = static_cast<int>(count);
    for (int i = 0; i < rounds; ++i) {
      while (token.load() != cores * i + static_cast<int>(core)) wait(core, no_deadline);
      token.fetch_add(1);
      wake((core + 1) % count);
    }
  };
  for (int time = 0; time < 2; ++time) {
    token.store(0);
    ASSERT_TRUE(start_cores({.count = count}, entry));
    EXPECT_EQ(token.load(), rounds * static_cast<int>(count));
  }
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_EQ(this_core(), 0u);
  EXPECT_TRUE(start_cores({.count = 0}, entry).failed_with(Error::invalid_argument));
  EXPECT_TRUE(start_cores({.count = count + 1}, entry).failed_with(Error::invalid_argument));
}

std::atomic<int> taken{0};
void count_interrupt(Interrupt, CoreId) noexcept { taken.fetch_add(1); }

TEST(Interrupts, ComeWhenTheyAreOn) {
  taken.store(0);
  ASSERT_TRUE(register_interrupt(Interrupt::preempt, count_interrupt));
  ASSERT_TRUE(register_interrupt(Interrupt::deadline, count_interrupt));
  EXPECT_TRUE(interrupts_are_on());
  interrupts_off();
  interrupts_off();
  EXPECT_FALSE(interrupts_are_on());
  ASSERT_TRUE(send_interrupt(0));
  ASSERT_TRUE(arm_deadline(0, now_ns()));
  for (const std::uint64_t until = now_ns() + 2'000'000; now_ns() < until;) pause();
  interrupts_on();
  EXPECT_EQ(taken.load(), 0);
  interrupts_on();
  while (taken.load() < 2) wait(0, no_deadline);
  EXPECT_EQ(taken.load(), 2);
  EXPECT_TRUE(send_interrupt(max_cores - 1).failed_with(Error::invalid_argument));
  EXPECT_TRUE(arm_deadline(1, 0).failed_with(Error::invalid_argument));
  EXPECT_TRUE(
      register_interrupt(Interrupt::terminate, count_interrupt).failed_with(Error::not_supported));
}

TEST(Interrupts, EndASleep) {
  taken.store(0);
  ASSERT_TRUE(register_interrupt(Interrupt::deadline, count_interrupt));
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(arm_deadline(0, now_ns() + 20'000));
    while (taken.load() <= i) wait(0, no_deadline);
  }
  EXPECT_EQ(taken.load(), 200);
  ASSERT_TRUE(register_interrupt(Interrupt::deadline, nullptr));
}

// Whatever the timer was set for before.
TEST(Interrupts, ComeForTheLatestDeadlineOnly) {
  taken.store(0);
  ASSERT_TRUE(register_interrupt(Interrupt::deadline, count_interrupt));
  const auto sleep_until = [](std::uint64_t deadline) {
    while (now_ns() < deadline) wait(0, deadline);
  };
  for (int i = 0; i < 20; ++i) {
    interrupts_off();
    const std::uint64_t begin = now_ns();
    ASSERT_TRUE(arm_deadline(0, begin + 1'000'000));
    ASSERT_TRUE(arm_deadline(0, begin + 3'000'000));  // later
    interrupts_on();
    while (taken.load() == 0) wait(0, no_deadline);
    EXPECT_GE(now_ns(), begin + 3'000'000);
    ASSERT_TRUE(arm_deadline(0, now_ns() + 3'600'000'000'000));
    ASSERT_TRUE(arm_deadline(0, now_ns() + 500'000));  // sooner
    while (taken.load() == 1) wait(0, no_deadline);
    interrupts_off();
    ASSERT_TRUE(arm_deadline(0, now_ns() + 1'000'000));
    ASSERT_TRUE(arm_deadline(0, no_deadline));
    interrupts_on();
    // Sleeps that end before and behind what the timer may still be set for.
    sleep_until(now_ns() + (i % 3 == 0 ? 100'000 : 2'000'000));
    ASSERT_TRUE(arm_deadline(0, now_ns() + 3'600'000'000'000));
    sleep_until(now_ns() + 1'500'000);
    ASSERT_TRUE(arm_deadline(0, no_deadline));
    EXPECT_EQ(taken.exchange(0), 2);
  }
  ASSERT_TRUE(register_interrupt(Interrupt::deadline, nullptr));
}

TEST(Time, GoesOnAndWaitsEnd) {
  std::uint64_t last = now_ns();
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t now = now_ns();
    ASSERT_GE(now, last);
    last = now;
  }
  for (const std::uint64_t ns : {1'000u, 100'000u, 3'000'000u}) {
    const std::uint64_t deadline = now_ns() + ns;
    while (now_ns() < deadline) wait(0, deadline);
  }
}

// What a computation keeps in registers of every kind must survive being interrupted anywhere and
// another flow of control, which uses the same registers, running in between.
struct Interruptions {
  Context computing;
  Context other;
  std::atomic<unsigned> served{0};
  volatile double noise = 0;
};
Interruptions* interruptions = nullptr;

std::uint64_t compute(unsigned rounds) noexcept {
  std::array<double, 16> reals{};
  std::array<std::uint64_t, 12> words{};
  for (unsigned i = 0; i < reals.size(); ++i) reals[i] = 1.0 + i;
  for (unsigned i = 0; i < words.size(); ++i) words[i] = i + 1;
  for (unsigned round = 0; round < rounds; ++round) {
    for (double& real : reals) real = real * 1.0000001 + 0.5;
    for (unsigned i = 0; i < words.size(); ++i)
      words[i] = (words[i] ^ (words[i] << 7) ^ (words[(i + 1) % words.size()] >> 9)) + round;
    if ((words[0] & 1) != 0) words[1] += words[2] > words[3];
  }
  std::uint64_t sum = 0;
  for (const double real : reals) sum = sum * 31 + static_cast<std::uint64_t>(real * 1'000);
  for (const std::uint64_t word : words) sum = sum * 31 + word;
  return sum;
}

std::atomic<unsigned> not_known{0};
void on_deadline(Interrupt, CoreId) noexcept {
  if (interrupted_at() == 0) not_known.fetch_add(1);
  call_after_interrupt(
      []() noexcept { switch_to(interruptions->computing, interruptions->other); });
}

TEST(Interrupts, ACallInTheMiddleKeepsEveryRegister) {
  auto pool = StackPool::create(1, 64 * 1024);
  ASSERT_TRUE(pool);
  const auto stack = *(*pool)->take();
  Interruptions state;
  interruptions = &state;
  state.other.make(
      stack,
      [](void*) noexcept {
        for (;;) {
          for (int i = 0; i < 20; ++i) interruptions->noise = interruptions->noise * 0.5 + i;
          (void)compute(20);
          interruptions->served.fetch_add(1);
          switch_to(interruptions->other, interruptions->computing);
        }
      },
      nullptr);
  constexpr unsigned rounds = 200;
  const std::uint64_t expected = compute(rounds);
  ASSERT_TRUE(register_interrupt(Interrupt::deadline, on_deadline));
  unsigned wrong = 0;
  // One at a time, whenever it comes: the next must not interrupt the way back from the last.
  for (unsigned i = 0; i < 1'000; ++i) {
    ASSERT_TRUE(arm_deadline(0, now_ns() + i * 7'919 % 60'000));
    wrong += compute(rounds) != expected;
    while (state.served.load() == i) {
    }
  }
  ASSERT_TRUE(register_interrupt(Interrupt::deadline, nullptr));
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(not_known.load(), 0u);
  (*pool)->give_back(stack);
}

struct Pair {
  Context main;
  Context other;
  int steps = 0;
};

TEST(Context, SwitchesThereAndBack) {
  auto pool = StackPool::create(1, 64 * 1024);
  ASSERT_TRUE(pool);
  auto stack = (*pool)->take();
  ASSERT_TRUE(stack);
  EXPECT_TRUE((*pool)->take().failed_with(Error::limit_reached));
  EXPECT_TRUE((*pool)->in_guard(reinterpret_cast<std::uintptr_t>(stack->data()) - 1));
  EXPECT_FALSE((*pool)->in_guard(reinterpret_cast<std::uintptr_t>(stack->data())));
  Pair pair;
  pair.other.make(
      *stack,
      [](void* argument) noexcept {
        auto& mine = *static_cast<Pair*>(argument);
        for (;;) {
          ++mine.steps;
          switch_to(mine.other, mine.main);
        }
      },
      &pair);
  for (int i = 0; i < 1'000; ++i) switch_to(pair.main, pair.other);
  EXPECT_EQ(pair.steps, 1'000);
  (*pool)->give_back(*stack);
}

TEST(Pages, ComeAlignedAreSharedAndGoBack) {
  const std::size_t before = page_statistics().allocated;
  auto pages = allocate_aligned(1 << 20, 1 << 20);
  ASSERT_TRUE(pages);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pages->data()) % (1 << 20), 0u);
  EXPECT_EQ(page_statistics().allocated, before + (1 << 20));
  auto view = map_pages(*pages, Access::read);
  ASSERT_TRUE(view);
  (*pages)[5] = std::byte{42};
  EXPECT_EQ((*view)[5], std::byte{42});
  EXPECT_EQ(*resident_pages(*pages), std::size_t{256});
  unmap_pages(*view);
  // A page in the middle of a large one, and back.
  ASSERT_TRUE(protect_pages(pages->subspan(16 * page_size, page_size), Access::read));
  EXPECT_EQ((*pages)[16 * page_size], (*pages)[16 * page_size]);
  ASSERT_TRUE(protect_pages(pages->subspan(16 * page_size, page_size), Access::read_write));
  (*pages)[16 * page_size] = std::byte{43};
  free_pages(*pages);
  EXPECT_TRUE(allocate_aligned(memory_size() + 1, page_size).failed_with(Error::no_memory));
}

TEST(Pages, AllOfThemCanBeHadAndGoBack) {
  const std::size_t before = page_statistics().allocated;
  std::byte* held = nullptr;  // a list through the pages themselves
  std::size_t count = 0;
  while (auto pages = allocate_aligned(granule_size, granule_size)) {
    std::memcpy(pages->data(), &held, sizeof(held));
    held = pages->data();
    ++count;
  }
  EXPECT_EQ(page_statistics().allocated, before + count * granule_size);
  EXPECT_LE(page_statistics().allocated, memory_size());
  while (held) {
    std::byte* const next = *reinterpret_cast<std::byte**>(held);
    free_pages({held, granule_size});
    held = next;
  }
  EXPECT_EQ(page_statistics().allocated, before);
}

struct Page {
  std::uintptr_t at;
  detail::Physical physical;
  std::size_t size;
  std::uint64_t entry;
};

// Each page that can be read below this entry of a table.
template <class Show>
void each_page(detail::Physical table, unsigned level, std::uintptr_t at, Show& show) {
  const auto* entries = reinterpret_cast<const std::uint64_t*>(detail::direct(table));
  const std::size_t size = page_size << (9 * level);
  for (std::size_t i = 0; i < 512; ++i) {
    const std::uint64_t entry = entries[i];
    if (entry == 0) continue;
    if (!detail::is_page(entry, level))
      each_page(detail::address_in(entry), level - 1, at + i * size, show);
    else if (detail::can_read(entry))
      show(Page{at + i * size, detail::address_in(entry), size, entry});
  }
}
template <class Show>
void each_page(Show show) {
  each_page(detail::page_table_root(), detail::page_levels - 1, 0, show);
}

TEST(Pages, AreNeverWritableAndExecutable) {
  const detail::Physical code = detail::physical_of_image(__executable_start);
  const detail::Physical code_end = detail::physical_of_image(lichen_text_end);
  std::size_t executable = 0;
  std::size_t both = 0;
  std::size_t elsewhere = 0;
  std::size_t code_that_can_be_written = 0;
  std::size_t below = 0;
  each_page([&](const Page& page) {
    // Addresses are told without what the processor repeats above their highest bit.
    if (page.at >> (12 + 9 * detail::page_levels - 1) == 0) ++below;
    const bool is_code = page.physical < code_end && page.physical + page.size > code;
    if (detail::can_write(page.entry) && is_code) ++code_that_can_be_written;
    if (!detail::can_execute(page.entry)) return;
    executable += page.size;
    if (detail::can_write(page.entry)) ++both;
    if (page.physical < code || page.physical + page.size > code_end) ++elsewhere;
  });
  EXPECT_EQ(executable, code_end - code);
  EXPECT_EQ(both, 0U);
  EXPECT_EQ(elsewhere, 0U);
  EXPECT_EQ(code_that_can_be_written, 0U);
  EXPECT_EQ(below, 0U);  // a null pointer leads nowhere
}

TEST(Pages, OfMemoryAreLarge) {
  constexpr std::size_t large_page = page_size << 9;
  std::size_t small = 0;
  std::size_t large = 0;
  each_page([&](const Page& page) {
    const std::size_t offset = page.at - reinterpret_cast<std::uintptr_t>(page_region().data()) %
                                             (std::uintptr_t{1} << (12 + 9 * detail::page_levels));
    if (offset < page_region().size()) (page.size >= large_page ? large : small) += page.size;
  });
  EXPECT_GE(large, memory_size() / 4 * 3);
  EXPECT_LE(small, 4 * large_page);  // the ends of ranges, and what was split for other tests
}

// The cores that are to see a right taken away have used the page before.
TEST(Pages, ARightThatIsTakenAwayIsGoneOnAllCores) {
  const unsigned count = core_count_available();
  auto first = allocate_pages(16);
  auto second = allocate_pages(16);
  ASSERT_TRUE(first && second);
  (*first)[0] = std::byte{1};
  (*second)[0] = std::byte{2};
  auto view = map_pages(*first, Access::read);
  ASSERT_TRUE(view);
  const volatile std::byte* seen = view->data();
  std::atomic<unsigned> saw_first{0};
  std::atomic<unsigned> saw_second{0};
  std::atomic<bool> changed{false};
  auto entry = [&](CoreId core) {
    if (*seen == std::byte{1}) saw_first.fetch_add(1);
    if (core == 0) {
      while (saw_first.load() != count) pause();
      const auto at = reinterpret_cast<std::uintptr_t>(view->data());
      detail::unmap(at, view->size());
      const auto frames = reinterpret_cast<std::uintptr_t>(second->data()) - detail::direct_base;
      detail::map(at, frames, second->size(), detail::PageUse::read).ignore();
      protect_pages(*view, Access::read).ignore();  // flushes
      changed.store(true);
    }
    while (!changed.load()) pause();
    if (*seen == std::byte{2}) saw_second.fetch_add(1);
  };
  ASSERT_TRUE(start_cores({.count = count}, entry));
  EXPECT_EQ(saw_first.load(), count);
  EXPECT_EQ(saw_second.load(), count);
  unmap_pages(*view);
  free_pages(*first);
  free_pages(*second);
}

}  // namespace
}  // namespace lichen::hal
