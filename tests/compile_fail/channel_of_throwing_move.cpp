// A message whose move may fail: it could be lost between its sender and its receiver.
// expect: error: static assertion failed .*is_nothrow_move_constructible
#include "lichen/coro/channel.hpp"

struct Message {
  Message() = default;
#ifdef LICHEN_MISUSE
  Message(Message&&) {}
#else
  Message(Message&&) noexcept {}
#endif
};

void use() { lichen::coro::Channel<Message> channel{1}; }
