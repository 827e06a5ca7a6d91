// The one list of errors. Every fallible operation in Lichen reports one of these, by value.
#pragma once

#include <cstdint>
#include <string_view>

namespace lichen::base {

// Zero is reserved for "no error" inside Result; no enumerator has that value.
enum class [[nodiscard]] Error : std::uint8_t {
  no_memory = 1,        // a memory budget or the machine's memory is exhausted
  stopped,              // a stop was requested of the task that waited
  timed_out,            // a deadline passed first
  closed,               // the other end (or this one) closed it in an orderly way
  end_of_stream,        // no more data will come, and part of what was asked for is missing
  invalid_argument,     // the caller passed something the contract forbids
  invalid_state,        // the object cannot do that now
  not_supported,        // this build, kernel or device does not offer it
  not_found,            // no such name
  already_exists,       // the name is taken
  access_denied,        // rights or permissions do not allow it
  busy,                 // in use by another
  would_block,          // nothing to be had without waiting
  out_of_range,         // an offset, index or number outside its domain
  buffer_too_small,     // the result does not fit
  too_large,            // a limit on the size of an input was passed
  limit_reached,        // a count limit was reached (descriptors, connections, tasks)
  no_space,             // the medium is full
  io_failed,            // the device or medium reported a failure
  protocol_error,       // the peer or the input broke the format
  address_in_use,       // another listener has the address
  address_unavailable,  // the address is not one of this machine's
  connection_refused,   // nobody listens there
  connection_reset,     // the peer or the network cut the connection
  not_connected,        // no connection exists (any more)
  unreachable,          // no route to the address
  name_unresolved,      // a host name has no address
  not_a_folder,         // a path component is not a folder
  is_a_folder,          // a file was expected
  not_empty,            // a folder still has entries
  path_escapes,         // a path leads out of the folder that was granted
  link_loop,            // symbolic links lead to each other, or a path holds too many of them
  read_only,            // the medium cannot be written
  bad_handle,           // the handle names nothing
  wrong_type,           // the handle names an object of another type
  canceled,             // the operation was withdrawn by its owner
  interrupted,          // a host interrupt cut the call short; try again
  internal,             // a bug in Lichen; report it
};

inline constexpr int error_count = static_cast<int>(Error::internal);

// The enumerator's own name, e.g. "no_memory".
std::string_view name(Error error) noexcept;
// A sentence for people: what was wrong, in plain words and lower case, e.g. "out of memory".
std::string_view describe(Error error) noexcept;

}  // namespace lichen::base

namespace lichen {
using base::Error;
}  // namespace lichen
