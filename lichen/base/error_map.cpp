#include "lichen/base/error_map.hpp"

#include <array>
#include <cstddef>

#include "lichen/base/foreign_errors.hpp"

namespace lichen::base {

namespace {

using enum Error;
using namespace linux_errno;
namespace zx = zx_status;

struct Row {
  Error error;
  int number;
  std::int32_t status;
};

// What each error is called outside, in the order of the list.
constexpr Row rows[] = {
    {no_memory, enomem, zx::no_memory},
    {stopped, ecanceled, zx::canceled},
    {timed_out, etimedout, zx::timed_out},
    {closed, epipe, zx::peer_closed},
    {end_of_stream, enodata, zx::peer_closed},
    {invalid_argument, einval, zx::invalid_args},
    {invalid_state, ebadfd, zx::bad_state},
    {not_supported, eopnotsupp, zx::not_supported},
    {not_found, enoent, zx::not_found},
    {already_exists, eexist, zx::already_exists},
    {access_denied, eacces, zx::access_denied},
    {busy, ebusy, zx::unavailable},
    {would_block, eagain, zx::should_wait},
    {out_of_range, erange, zx::out_of_range},
    {buffer_too_small, eoverflow, zx::buffer_too_small},
    {too_large, efbig, zx::file_big},
    {limit_reached, emfile, zx::no_resources},
    {no_space, enospc, zx::no_space},
    {io_failed, eio, zx::io},
    {protocol_error, eproto, zx::io_invalid},
    {address_in_use, eaddrinuse, zx::address_in_use},
    {address_unavailable, eaddrnotavail, zx::address_unreachable},
    {connection_refused, econnrefused, zx::connection_refused},
    {connection_reset, econnreset, zx::connection_reset},
    {not_connected, enotconn, zx::not_connected},
    {unreachable, ehostunreach, zx::address_unreachable},
    {name_unresolved, enoent, zx::not_found},
    {not_a_folder, enotdir, zx::not_dir},
    {is_a_folder, eisdir, zx::not_file},
    {not_empty, enotempty, zx::not_empty},
    {path_escapes, exdev, zx::access_denied},  // openat2(2) says EXDEV when a path escapes
    {link_loop, eloop, zx::bad_path},
    {read_only, erofs, zx::access_denied},
    {bad_handle, ebadf, zx::bad_handle},
    {wrong_type, enotsock, zx::wrong_type},
    {canceled, ecanceled, zx::canceled},
    {interrupted, eintr, zx::unavailable},
    {internal, enotrecoverable, zx::internal},
};

struct Alias {
  int foreign;
  Error error;
};

// What the rows leave open: numbers of which Lichen needs no error of their own, and numbers that
// two errors share.
constexpr Alias linux_aliases[] = {
    {enoent, not_found},
    {ecanceled, canceled},
    {enobufs, no_memory},
    {etime, timed_out},
    {eshutdown, closed},
    {efault, invalid_argument},
    {edestaddrreq, invalid_argument},
    {edeadlk, invalid_state},
    {eisconn, invalid_state},
    {enosys, not_supported},
    {enotty, not_supported},
    {espipe, not_supported},
    {eprototype, not_supported},
    {enoprotoopt, not_supported},
    {eprotonosupport, not_supported},
    {esocktnosupport, not_supported},
    {epfnosupport, not_supported},
    {eafnosupport, not_supported},
    {esrch, not_found},
    {enxio, not_found},
    {enodev, not_found},
    {eperm, access_denied},
    {etxtbsy, busy},
    {ealready, busy},
    {einprogress, would_block},
    {edom, out_of_range},
    {e2big, too_large},
    {emsgsize, too_large},
    {enametoolong, too_large},
    {enfile, limit_reached},
    {emlink, limit_reached},
    {eusers, limit_reached},
    {edquot, no_space},
    {ebadmsg, protocol_error},
    {eilseq, protocol_error},
    {econnaborted, connection_reset},
    {enetreset, connection_reset},
    {ehostdown, unreachable},
    {enetunreach, unreachable},
    {enetdown, unreachable},
    {enonet, unreachable},
};

constexpr Alias zircon_aliases[] = {
    {zx::canceled, canceled},
    {zx::peer_closed, closed},
    {zx::not_found, not_found},
    {zx::access_denied, access_denied},
    {zx::address_unreachable, unreachable},
    {zx::unavailable, busy},
    {zx::already_bound, busy},
    {zx::bad_syscall, not_supported},
    {zx::protocol_not_supported, not_supported},
    {zx::io_refused, io_failed},
    {zx::io_data_integrity, io_failed},
    {zx::io_data_loss, io_failed},
    {zx::io_not_present, io_failed},
    {zx::io_overrun, io_failed},
    {zx::io_missed_deadline, timed_out},
    {zx::bad_path, too_large},
    {zx::connection_aborted, connection_reset},
};

constexpr const Row& row_of(Error error) noexcept {
  const auto index = static_cast<std::size_t>(error) - 1;
  return rows[index < std::size(rows) ? index : static_cast<std::size_t>(internal) - 1];
}

static_assert(std::size(rows) == error_count);
static_assert([] {
  for (const Row& row : rows)
    if (row_of(row.error).error != row.error) return false;
  return true;
}());

// Our errors by a foreign number's magnitude; `unlisted` stands where nothing is known.
template <std::size_t size>
consteval std::array<Error, size> inverse(auto Row::* column, const auto& aliases, Error unlisted) {
  const auto index = [](int foreign) -> std::size_t { return foreign < 0 ? -foreign : foreign; };
  std::array<Error, size> errors;
  errors.fill(unlisted);
  for (const Row& row : rows) errors[index(row.*column)] = row.error;
  for (const Alias& alias : aliases) errors[index(alias.foreign)] = alias.error;
  return errors;
}

constexpr auto by_errno = inverse<enotrecoverable + 1>(&Row::number, linux_aliases, io_failed);
constexpr auto by_status =
    inverse<-zx::connection_aborted + 1>(&Row::status, zircon_aliases, internal);

}  // namespace

int to_errno(Error error) noexcept { return row_of(error).number; }

std::int32_t to_zx_status(Error error) noexcept { return row_of(error).status; }

Error from_errno(int number) noexcept {
  if (number <= 0) return internal;
  const auto index = static_cast<std::size_t>(number);
  return index < by_errno.size() ? by_errno[index] : io_failed;
}

Error from_zx_status(std::int32_t status) noexcept {
  if (status >= 0) return internal;
  const auto index = static_cast<std::size_t>(-static_cast<std::int64_t>(status));
  return index < by_status.size() ? by_status[index] : internal;
}

}  // namespace lichen::base
