#include "lichen/io/serve.hpp"

#include <utility>

#include "lichen/coro/scope.hpp"

namespace lichen::io {

Task<Result<void>> serve_connections(Listener& listener, Task<> (*serve)(std::unique_ptr<Stream>)) {
  Scope connections{OnError::keep_going};
  Result<void> outcome;
  while (outcome) {
    if (auto stream = co_await listener.accept())
      connections.spawn(serve(std::move(*stream)), coro::this_core());
    else
      outcome = stream.error();
  }
  connections.request_stop();
  CO_TRY(co_await connections.join());
  co_return outcome;
}

Task<Result<void>> wait_for_stop(System& system) {
  while (CO_TRY(co_await system.next_request()) != Request::stop) {
  }
  co_return Result<void>{};
}

}  // namespace lichen::io
