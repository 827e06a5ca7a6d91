#include "lichen/io/block_device.hpp"

#include <array>

namespace lichen::io {

namespace {

template <class Byte>
Result<std::uint64_t> check(const BlockInfo& info, std::uint64_t sector,
                            std::span<const std::span<Byte>> pieces) noexcept {
  std::uint64_t count = 0;
  for (const auto& piece : pieces) {
    if (piece.size() % info.sector_size != 0) return Error::invalid_argument;
    count += piece.size() / info.sector_size;
  }
  TRY(check_block_range(info, sector, count));
  return count;
}

}  // namespace

Result<void> check_block_range(const BlockInfo& info, std::uint64_t sector,
                               std::uint64_t count) noexcept {
  if (count == 0) return Error::invalid_argument;
  if (sector >= info.sectors || count > info.sectors - sector) return Error::out_of_range;
  return {};
}

Result<std::uint64_t> check_blocks(const BlockInfo& info, std::uint64_t sector,
                                   std::span<const std::span<std::byte>> into) noexcept {
  return check(info, sector, into);
}
Result<std::uint64_t> check_blocks(const BlockInfo& info, std::uint64_t sector,
                                   std::span<const std::span<const std::byte>> from) noexcept {
  return check(info, sector, from);
}

Task<Result<void>> BlockDevice::read(std::uint64_t sector, std::span<std::byte> into) {
  const std::array<std::span<std::byte>, 1> pieces{into};
  co_return co_await read_pieces(sector, pieces);
}
Task<Result<void>> BlockDevice::write(std::uint64_t sector, std::span<const std::byte> from) {
  const std::array<std::span<const std::byte>, 1> pieces{from};
  co_return co_await write_pieces(sector, pieces);
}

}  // namespace lichen::io
