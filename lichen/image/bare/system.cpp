#include "lichen/image/bare/system.hpp"

#include "lichen/hal/hal.hpp"

namespace lichen::image {

Task<Result<std::unique_ptr<io::Listener>>> NoNetwork::listen(io::Address, io::ListenOptions) {
  co_return Error::not_supported;
}
Task<Result<std::unique_ptr<io::Stream>>> NoNetwork::connect(io::Address) {
  co_return Error::not_supported;
}
Task<Result<std::unique_ptr<io::Datagram>>> NoNetwork::bind(io::Address) {
  co_return Error::not_supported;
}
Task<Result<std::vector<io::Address>>> NoNetwork::resolve(std::string_view, std::uint16_t) {
  co_return Error::not_supported;
}

Task<Result<void>> BareSystem::start() {
  if (&open_files) files_ = CO_TRY(co_await open_files(*this));
  co_return Result<void>{};
}

Task<Result<std::unique_ptr<io::Folder>>> BareSystem::open_folder(std::string_view path) {
  if (!files_) co_return Error::not_supported;
  co_return co_await files_->open_folder(path);
}

Result<io::Pipe> BareSystem::make_pipe() {
  constexpr std::size_t capacity = std::size_t{64} * 1024;  // as a pipe of Linux
  return io::make_memory_pipe(capacity);
}

Task<Result<io::Request>> BareSystem::next_request() { co_return co_await requests_.next(); }

std::int64_t BareSystem::wall_clock_ns() const noexcept { return hal::wall_clock_ns(); }

}  // namespace lichen::image
