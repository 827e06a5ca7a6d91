// Messages to the harts' interrupt files, sent as a device does, in an image that has booted.
#include <gtest/gtest.h>

#include <array>
#include <atomic>

#include "lichen/hal/hal.hpp"

namespace lichen::hal {
namespace {

struct Taken {
  std::atomic<unsigned> times{0};
  std::atomic<CoreId> core{no_core};
};

void take(void* taken) noexcept {
  Taken& mine = *static_cast<Taken*>(taken);
  mine.core.store(this_core());
  mine.times.fetch_add(1);
}

TEST(Messages, ReachTheCoreThatIsNamed) {
  const unsigned count = core_count_available();
  std::array<Taken, max_cores> taken;
  std::atomic<bool> supported{true};
  auto entry = [&](CoreId core) {
    const auto message = attach_message(core, &take, &taken[core]);
    if (message.failed_with(Error::not_supported)) {
      supported.store(false);
      return;
    }
    ASSERT_TRUE(message);
    const auto page = map_device({.address = message->address, .size = page_size});
    ASSERT_TRUE(page);
    for (unsigned time = 1; time <= 100; ++time) {
      write_register<std::uint32_t>(page->data(), message->data);
      while (taken[core].times.load() < time) wait(core, no_deadline);
    }
    EXPECT_EQ(taken[core].core.load(), core);
    interrupts_off();
    write_register<std::uint32_t>(page->data(), message->data);
    EXPECT_EQ(taken[core].times.load(), 100u);
    interrupts_on();
    while (taken[core].times.load() < 101) wait(core, no_deadline);
    detach_interrupt(&take, &taken[core]);
    write_register<std::uint32_t>(page->data(), message->data);
    EXPECT_EQ(taken[core].times.load(), 101u);
  };
  ASSERT_TRUE(start_cores({.count = count}, entry));
  if (!supported.load()) GTEST_SKIP();
  // To another core.
  for (CoreId core = 0; core < count; ++core) {
    const auto message = attach_message(core, &take, &taken[core]);
    ASSERT_TRUE(message);
    const auto page = map_device({.address = message->address, .size = page_size});
    ASSERT_TRUE(page);
    write_register<std::uint32_t>(page->data(), message->data);
    while (taken[core].times.load() < 102) pause();
    EXPECT_EQ(taken[core].core.load(), core);
  }
  EXPECT_TRUE(attach_message(count, &take, &taken[0]).failed_with(Error::invalid_argument));
}

// Core 1 sends core 0 a second message just when that takes the first one. Then nobody sends more,
// and core 0 sleeps until it has it.
TEST(Messages, ComeWhileAnotherIsTaken) {
  constexpr std::uint64_t long_enough_ns = 1'000'000'000;
  if (core_count_available() == 1) GTEST_SKIP();
  std::array<Taken, 2> taken;
  std::array<Message, 2> messages{};
  for (std::size_t i = 0; i < 2; ++i) {
    const auto message = attach_message(0, &take, &taken[i]);
    if (message.failed_with(Error::not_supported)) GTEST_SKIP();
    ASSERT_TRUE(message);
    messages[i] = *message;
  }
  const auto page = map_device({.address = messages[0].address, .size = page_size});
  ASSERT_TRUE(page);
  std::atomic<unsigned> round{0};
  std::atomic<bool> over{false};
  const auto take_both = [&] {
    const std::uint64_t until = now_ns() + long_enough_ns;
    for (unsigned now = 1; now_ns() < until; ++now) {
      round.store(now);
      while (taken[0].times.load() < now) pause();
      while (taken[1].times.load() < now) wait(0, no_deadline);
    }
    over.store(true);
  };
  const auto send_both = [&] {
    for (unsigned now = 1;; ++now) {
      while (round.load() < now)
        if (over.load()) return;
      write_register<std::uint32_t>(page->data(), messages[0].data);
      for (unsigned i = 0; i < now % 512; ++i) pause();
      write_register<std::uint32_t>(page->data(), messages[1].data);
    }
  };
  ASSERT_TRUE(
      start_cores({.count = 2}, [&](CoreId core) { core == 0 ? take_both() : send_both(); }));
  for (Taken& one : taken) {
    EXPECT_EQ(one.times.load(), round.load());
    detach_interrupt(&take, &one);
  }
}

}  // namespace
}  // namespace lichen::hal
