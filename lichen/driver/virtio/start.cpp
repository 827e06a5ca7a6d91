#include "lichen/driver/virtio/start.hpp"

#include <algorithm>
#include <chrono>

#include "lichen/coro/sleep.hpp"

// Runs seldom, and is made small.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::driver::virtio {

namespace {

using namespace std::chrono_literals;

constexpr unsigned reset_tries = 1'000;
constexpr auto reset_pause = 1ms;

constexpr Features common = feature::version_1 | feature::access_platform | feature::order_platform;

}  // namespace

bool begin_reset(Transport& transport) noexcept {
  transport.set_status(0);
  return transport.status() == 0;
}

bool reset_now(Transport& transport) noexcept {
  constexpr unsigned looks = 1'000;
  bool done = begin_reset(transport);
  for (unsigned i = 0; !done && i < looks; ++i) done = transport.status() == 0;
  return done;
}

Task<Result<void>> reset(Transport& transport) noexcept {
  if (begin_reset(transport)) co_return Result<void>{};
  for (unsigned tries = 0; tries < reset_tries; ++tries) {
    CO_TRY(co_await sleep_for(reset_pause));
    if (transport.status() == 0) co_return Result<void>{};
  }
  co_return Error::timed_out;
}

Task<Result<Features>> begin(Transport& transport, FeatureWishes wishes) noexcept {
  CO_TRY(co_await reset(transport));
  transport.set_status(status::acknowledge);
  transport.set_status(status::acknowledge | status::driver);
  const Features required = wishes.required | feature::version_1;
  Features features = transport.offered() & (wishes.wanted | required | common);
  for (const auto& [feature, needs] : wishes.needs)
    if ((features & needs) != needs) features &= ~feature;
  if ((features & required) != required) {
    fail(transport);
    co_return Error::not_supported;
  }
  transport.accept(features);
  constexpr std::uint8_t so_far = status::acknowledge | status::driver | status::features_ok;
  transport.set_status(so_far);
  if ((transport.status() & status::features_ok) == 0) {
    fail(transport);
    co_return Error::not_supported;
  }
  co_return features;
}

Result<void> finish(Transport& transport) noexcept {
  const std::uint8_t so_far = transport.status();
  if ((so_far & (status::needs_reset | status::failed)) != 0 || (so_far & status::features_ok) == 0)
    return Error::io_failed;
  transport.set_status(so_far | status::driver_ok);
  return {};
}

void fail(Transport& transport) noexcept {
  transport.set_status(transport.status() | status::failed);
}

Task<Result<void>> RestartPause::wait() noexcept {
  if (next_ != next_.zero()) CO_TRY(co_await sleep_for(next_));
  next_ = std::clamp(next_ * 2, first, longest);
  co_return Result<void>{};
}

}  // namespace lichen::driver::virtio

#pragma clang attribute pop
