// The cross-core code of coro under thousands of interleavings. LICHEN_SEED=n replays one.
#include "tests/torture/explorer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "lichen/coro/channel.hpp"
#include "lichen/coro/latch.hpp"
#include "lichen/coro/select.hpp"
#include "lichen/coro/semaphore.hpp"
#include "lichen/coro/sleep.hpp"
#include "lichen/coro/stop.hpp"
#include "lichen/coro/when.hpp"
#include "lichen/io/home_signal.hpp"
#include "lichen/io/operation.hpp"

namespace lichen {
namespace {

using namespace std::chrono_literals;
using coro::explore::Explorer;
using coro::explore::Watched;

template <class Body>
void explore(Body body) {
  const char* replay = std::getenv("LICHEN_SEED");
  const std::uint64_t first = replay ? std::strtoull(replay, nullptr, 10) : 1;
  const std::uint64_t last = replay ? first : 1'000;
  for (unsigned cores = 2; cores <= 3; ++cores)
    for (std::uint64_t seed = first; seed <= last; ++seed) {
      Explorer explorer{cores, seed};
      const auto outcome = explorer.run(body());
      EXPECT_TRUE(outcome.has_value()) << static_cast<int>(outcome.error());
      if (testing::Test::HasFailure()) {
        ADD_FAILURE() << "on " << cores << " cores with LICHEN_SEED=" << seed;
        return;
      }
    }
}

Random& random_choice() { return Explorer::current().random(); }
Task<> yield_some(unsigned most) {
  for (auto n = random_choice().below(most + 1); n > 0; --n) co_await yield();
}

TEST(ExplorerTest, ChannelsAndStops) {
  explore([]() -> Task<Result<void>> {
    const std::size_t capacity = random_choice().below(3);
    Watched<Channel<int>> channel{capacity};
    int sent = 0;
    int received = 0;
    std::array<int, 6> times{};
    auto send = [&](int first) -> Task<Result<void>> {
      for (int i = 0; i < 3; ++i) {
        CO_TRY(co_await channel->send(first + i));
        ++sent;
      }
      co_return Result<void>{};
    };
    auto receive = [&]() -> Task<Result<void>> {
      for (int i = 0; i < 3; ++i) {
        ++times[static_cast<std::size_t>(CO_TRY(co_await channel->receive()))];
        ++received;
      }
      co_return Result<void>{};
    };
    Scope scope{OnError::keep_going};
    for (int i = 0; i < 2; ++i) {
      scope.spawn(send(3 * i));
      scope.spawn(receive());
    }
    CO_TRY(co_await yield_some(8));
    if (random_choice().below(2))
      channel->close();
    else
      scope.request_stop();
    (co_await scope.join()).ignore();
    EXPECT_EQ(sent, received + static_cast<int>(channel->size()));
    while (const auto left = channel->try_receive()) ++times[static_cast<std::size_t>(*left)];
    for (const int each : times) EXPECT_LE(each, 1);
    EXPECT_EQ(std::ranges::count(times, 1), sent);
    co_return Result<void>{};
  });
}

TEST(ExplorerTest, EveryArmOfASelect) {
  explore([]() -> Task<Result<void>> {
    Watched<Channel<int>> channel{std::size_t{1}};
    Watched<Event> event;
    Watched<Semaphore> semaphore{std::size_t{0}};
    Watched<StopSource> source;
    int taken = -1;
    auto choose = [&]() -> Task<Result<void>> {
      auto first = co_await select(channel->receive(), event->wait(), semaphore->acquire(),
                                   source->requested(), sleep_for(3us));
      taken = first ? static_cast<int>(first->index()) : 5;
      co_return Result<void>{};
    };
    auto send = [&]() -> Task<> {
      int message = 1;
      channel->try_send(message).ignore();
      co_return;
    };
    auto set = [&]() -> Task<> {
      event->set();
      co_return;
    };
    auto release = [&]() -> Task<> {
      semaphore->release();
      co_return;
    };
    auto request = [&]() -> Task<> {
      source->request_stop();
      co_return;
    };
    Scope choosing;
    Scope acting;
    const bool before = random_choice().below(2) == 0;
    if (before) choosing.spawn(choose());
    acting.spawn(send());
    acting.spawn(set());
    acting.spawn(release());
    acting.spawn(request());
    if (!before) choosing.spawn(choose());
    CO_TRY(co_await yield_some(2));
    if (random_choice().below(2)) choosing.request_stop();
    CO_TRY(co_await acting.join());
    CO_TRY(co_await choosing.join());
    EXPECT_GE(taken, 0);
    EXPECT_EQ(channel->size(), taken == 0 ? 0U : 1U);
    EXPECT_EQ(semaphore->available(), taken == 2 ? 0U : 1U);
    co_return Result<void>{};
  });
}

TEST(ExplorerTest, SelectsMeetSelects) {
  explore([]() -> Task<Result<void>> {
    std::array<Channel<int>, 2> channels{Channel<int>{0}, Channel<int>{0}};
    int sent = 0;
    int received = 0;
    auto mix = [&](int number) -> Task<Result<void>> {
      for (int i = 0; i < 4; ++i) {
        auto& a = channels[random_choice().below(2)];
        auto& b = channels[random_choice().below(2)];
        const int message = number * 10 + i;
        auto first = CO_TRY(co_await select(a.send(message), b.receive()));
        if (first.index() == 0)
          sent += 1 + message;
        else
          received += 1 + CO_TRY(std::get<1>(std::move(first)));
      }
      co_return Result<void>{};
    };
    Scope scope{OnError::keep_going};
    for (int i = 0; i < 4; ++i) scope.spawn(mix(i));
    CO_TRY(co_await yield_some(30));
    scope.request_stop();
    (co_await scope.join()).ignore();
    EXPECT_EQ(sent, received);
    co_return Result<void>{};
  });
}

TEST(ExplorerTest, TimeoutsFireWhileTheWorkCompletes) {
  explore([]() -> Task<Result<void>> {
    auto work = [](Duration duration) -> Task<Result<int>> {
      CO_TRY(co_await sleep_for(duration));
      co_return 1;
    };
    auto race = [&]() -> Task<Result<void>> {
      const Duration duration{random_choice().below(8'000)};
      const Duration limit{random_choice().below(8'000)};
      const auto result = co_await with_timeout(limit, work(duration));
      EXPECT_TRUE(result || result.failed_with(Error::timed_out));
      co_return Result<void>{};
    };
    Scope scope;
    for (int i = 0; i < 4; ++i) scope.spawn(race());
    co_return co_await scope.join();
  });
}

TEST(ExplorerTest, PrimitivesEndWhenTheirWaiterGoesOn) {
  explore([]() -> Task<Result<void>> {
    Scope scope;
    auto set = [](Event& event) -> Task<> {
      event.set();
      co_return;
    };
    auto count_down = [](Latch& latch) -> Task<> {
      latch.count_down();
      co_return;
    };
    auto release = [](Semaphore& semaphore) -> Task<> {
      semaphore.release();
      co_return;
    };
    {
      Watched<Event> event;
      scope.spawn(set(*event));
      if (random_choice().below(2)) CO_TRY(co_await event->wait());
      while (!event->is_set()) co_await yield();
    }
    {
      Watched<Latch> latch{std::size_t{2}};
      scope.spawn(count_down(*latch));
      scope.spawn(count_down(*latch));
      CO_TRY(co_await yield_some(3));
      CO_TRY(co_await latch->wait());
    }
    {
      Watched<Semaphore> semaphore{std::size_t{0}};
      scope.spawn(release(*semaphore));
      CO_TRY(co_await yield_some(3));
      CO_TRY(co_await semaphore->acquire());
    }
    co_return co_await scope.join();
  });
}

TEST(ExplorerTest, FollowersComeAndGoWhileTheSourceStops) {
  explore([]() -> Task<Result<void>> {
    StopSource source;
    auto request = [&]() -> Task<> {
      source.request_stop();
      co_return;
    };
    auto follow = [&]() -> Task<Result<void>> {
      Watched<Event> never;
      auto wait = [&]() -> Task<Result<void>> { co_return co_await never->wait(); };
      Scope scope{OnError::keep_going};
      Watched<coro::StopFollower> follower{source, scope};
      scope.spawn(wait());
      CO_TRY(co_await yield_some(3));
      if (random_choice().below(2)) never->set();
      (co_await scope.join()).ignore();
      co_return Result<void>{};
    };
    Scope scope;
    scope.spawn(follow());
    scope.spawn(follow());
    scope.spawn(request());
    co_return co_await scope.join();
  });
}

TEST(ExplorerTest, StopsThatMustGoToTheHomeCore) {
  explore([]() -> Task<Result<void>> {
    Explorer& explorer = Explorer::current();
    std::array<io::HomeSignal, 3> signals;
    auto wait = [](io::HomeSignal& signal, coro::Core& core, int count) -> Task<Result<void>> {
      const io::Stay stay = co_await io::StayOn{core};
      for (int i = 0; i < count; ++i) {
        EXPECT_EQ(coro::this_core(), &core);
        CO_TRY(co_await signal.wait(core));
      }
      co_return Result<void>{};
    };
    auto notify = [](io::HomeSignal& signal, coro::Core& core, int count) -> Task<> {
      const io::Stay stay = co_await io::StayOn{core};
      for (int i = 0; i < count; ++i) {
        signal.notify();
        co_await yield();
      }
    };
    Scope waiting{OnError::keep_going};
    Scope notifying;
    for (unsigned i = 0; i < 3; ++i) {
      coro::Core& core = explorer.core(i % explorer.cores());
      const auto count = static_cast<int>(random_choice().below(3));
      waiting.spawn(wait(signals[i], core, count));
      notifying.spawn(notify(signals[i], core, count));
    }
    CO_TRY(co_await yield_some(8));
    waiting.request_stop();
    (co_await waiting.join()).ignore();
    CO_TRY(co_await notifying.join());
    for (auto& signal : signals) EXPECT_FALSE(signal.has_waiter());
    co_return Result<void>{};
  });
}

// Errors, stops and ends of children meet in their scope.
TEST(ExplorerTest, ScopesOfScopes) {
  struct Tree {
    Event event;
    Mutex mutex;
    Task<Result<void>> grow(int depth) {
      Scope scope{random_choice().below(2) ? OnError::stop_others : OnError::keep_going};
      for (auto n = depth > 0 ? random_choice().below(3) : 0; n > 0; --n)
        scope.spawn(grow(depth - 1));
      auto outcome = co_await wait();
      if (random_choice().below(4) == 0) scope.request_stop();
      auto joined = co_await scope.join();
      co_return outcome ? joined : outcome;
    }
    Task<Result<void>> wait() {
      switch (random_choice().below(6)) {
        case 0: co_return co_await event.wait();
        case 1: {
          auto guard = CO_TRY(co_await mutex.lock());
          co_await yield();
          co_return Result<void>{};
        }
        case 2: co_return co_await sleep_for(Duration{random_choice().below(20'000)});
        case 3: co_await stop_event(); co_return Error::stopped;
        case 4: co_return Error::busy;
        default: co_return (co_await select(event.wait(), sleep_for(10us), grow(0))).error();
      }
    }
  };
  explore([]() -> Task<Result<void>> {
    Watched<Tree> tree;
    Scope scope{OnError::keep_going};
    scope.spawn(tree->grow(3));
    CO_TRY(co_await yield_some(10));
    auto stop = [](Scope& target) -> Task<> {
      target.request_stop();
      co_return;
    };
    Scope stoppers;
    stoppers.spawn(stop(scope));
    stoppers.spawn(stop(scope));
    CO_TRY(co_await stoppers.join());
    (co_await scope.join()).ignore();
    co_return Result<void>{};
  });
}

}  // namespace
}  // namespace lichen
