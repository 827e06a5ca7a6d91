// Our errors in the words of Linux and Zircon, and theirs in ours.
//
// Laws, tested for every value: an Error that goes out and comes back is the same Error, but for
// the few that the foreign list has no word for, which come back as their nearest relative (below);
// a foreign number that comes in, goes out and comes in again means the same Error both times.
//
//   through both               stopped -> canceled, name_unresolved -> not_found
//   through a Zircon status    end_of_stream -> closed, path_escapes -> access_denied,
//                              read_only -> access_denied, interrupted -> busy,
//                              address_unavailable -> unreachable
#pragma once

#include <cstdint>

#include "lichen/base/error.hpp"

namespace lichen::base {

// The positive Linux error number.
int to_errno(Error error) noexcept;

// From a positive Linux error number (a ring's result is -number). A number with no meaning here is
// the host's failure: io_failed. Zero and below are no errors at all: asking is a bug, internal.
Error from_errno(int number) noexcept;

// The negative zx_status_t.
std::int32_t to_zx_status(Error error) noexcept;

// From a negative zx_status_t. A status not in Zircon's list, and any that is no error: internal.
Error from_zx_status(std::int32_t status) noexcept;

}  // namespace lichen::base

namespace lichen {
using base::from_errno;
using base::from_zx_status;
using base::to_errno;
using base::to_zx_status;
}  // namespace lichen
