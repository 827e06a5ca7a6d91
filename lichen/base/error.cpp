#include "lichen/base/error.hpp"

namespace lichen::base {

namespace {

struct Text {
  std::string_view name;
  std::string_view sentence;
};

// A switch and not an array, so that an enumerator without a text does not compile.
constexpr Text text_of(Error error) noexcept {
  using enum Error;
  switch (error) {
    case no_memory: return {"no_memory", "out of memory"};
    case stopped: return {"stopped", "stopped on request"};
    case timed_out: return {"timed_out", "the deadline passed"};
    case closed: return {"closed", "closed"};
    case end_of_stream: return {"end_of_stream", "the data ended too early"};
    case invalid_argument: return {"invalid_argument", "invalid argument"};
    case invalid_state: return {"invalid_state", "not possible in the present state"};
    case not_supported: return {"not_supported", "not supported here"};
    case not_found: return {"not_found", "not found"};
    case already_exists: return {"already_exists", "already exists"};
    case access_denied: return {"access_denied", "access denied"};
    case busy: return {"busy", "in use by another"};
    case would_block: return {"would_block", "nothing to be had without waiting"};
    case out_of_range: return {"out_of_range", "out of range"};
    case buffer_too_small: return {"buffer_too_small", "the buffer is too small"};
    case too_large: return {"too_large", "too large"};
    case limit_reached: return {"limit_reached", "a limit on their number was reached"};
    case no_space: return {"no_space", "no space left"};
    case io_failed: return {"io_failed", "input or output failed"};
    case protocol_error: return {"protocol_error", "malformed input"};
    case address_in_use: return {"address_in_use", "the address is in use"};
    case address_unavailable:
      return {"address_unavailable", "the address does not belong to this machine"};
    case connection_refused: return {"connection_refused", "connection refused"};
    case connection_reset: return {"connection_reset", "the connection was cut"};
    case not_connected: return {"not_connected", "not connected"};
    case unreachable: return {"unreachable", "no route to the address"};
    case name_unresolved: return {"name_unresolved", "the host name has no address"};
    case not_a_folder: return {"not_a_folder", "not a folder"};
    case is_a_folder: return {"is_a_folder", "is a folder"};
    case not_empty: return {"not_empty", "the folder is not empty"};
    case path_escapes: return {"path_escapes", "the path leads out of its folder"};
    case link_loop: return {"link_loop", "too many symbolic links on the way"};
    case read_only: return {"read_only", "cannot be written"};
    case bad_handle: return {"bad_handle", "the handle names nothing"};
    case wrong_type: return {"wrong_type", "the handle names an object of another type"};
    case canceled: return {"canceled", "canceled by its owner"};
    case interrupted: return {"interrupted", "interrupted, try again"};
    case internal: return {"internal", "an internal fault, please report it"};
  }
  return {"unknown", "no known error"};
}

}  // namespace

std::string_view name(Error error) noexcept { return text_of(error).name; }

std::string_view describe(Error error) noexcept { return text_of(error).sentence; }

}  // namespace lichen::base
