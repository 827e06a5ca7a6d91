// What may be done in part cannot take part in a select: it would happen though it was not first.
// expect: error: static assertion failed .*cannot take part in a select
#include <array>

#include "lichen/coro/channel.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/coro/select.hpp"

lichen::Task<lichen::Result<void>> caller(lichen::coro::Channel<int>& channel,
                                          lichen::Event& event) {
  std::array numbers{1, 2, 3};
#ifdef LICHEN_MISUSE
  CO_TRY(co_await lichen::select(channel.send_all(numbers), event.wait()));
#else
  CO_TRY(co_await lichen::select(channel.send(numbers[0]), event.wait()));
#endif
  co_return lichen::Result<void>{};
}
