// The error numbers of the two foreign ABIs that Lichen speaks, as constants of our own: base
// includes no system header, and on bare rock there is none.
#pragma once

#include <cstdint>

namespace lichen::base {

// Linux, asm-generic/errno-base.h and errno.h (the same on x86-64 and riscv64). Lower case, because
// the upper-case names are macros wherever <errno.h> was included.
namespace linux_errno {
inline constexpr int eperm = 1;
inline constexpr int enoent = 2;
inline constexpr int esrch = 3;
inline constexpr int eintr = 4;
inline constexpr int eio = 5;
inline constexpr int enxio = 6;
inline constexpr int e2big = 7;
inline constexpr int ebadf = 9;
inline constexpr int eagain = 11;
inline constexpr int enomem = 12;
inline constexpr int eacces = 13;
inline constexpr int efault = 14;
inline constexpr int ebusy = 16;
inline constexpr int eexist = 17;
inline constexpr int exdev = 18;
inline constexpr int enodev = 19;
inline constexpr int enotdir = 20;
inline constexpr int eisdir = 21;
inline constexpr int einval = 22;
inline constexpr int enfile = 23;
inline constexpr int emfile = 24;
inline constexpr int enotty = 25;
inline constexpr int etxtbsy = 26;
inline constexpr int efbig = 27;
inline constexpr int enospc = 28;
inline constexpr int espipe = 29;
inline constexpr int erofs = 30;
inline constexpr int emlink = 31;
inline constexpr int epipe = 32;
inline constexpr int edom = 33;
inline constexpr int erange = 34;
inline constexpr int edeadlk = 35;
inline constexpr int enametoolong = 36;
inline constexpr int enosys = 38;
inline constexpr int enotempty = 39;
inline constexpr int eloop = 40;
inline constexpr int enodata = 61;
inline constexpr int etime = 62;
inline constexpr int enonet = 64;
inline constexpr int eproto = 71;
inline constexpr int ebadmsg = 74;
inline constexpr int eoverflow = 75;
inline constexpr int ebadfd = 77;
inline constexpr int eilseq = 84;
inline constexpr int eusers = 87;
inline constexpr int enotsock = 88;
inline constexpr int edestaddrreq = 89;
inline constexpr int emsgsize = 90;
inline constexpr int eprototype = 91;
inline constexpr int enoprotoopt = 92;
inline constexpr int eprotonosupport = 93;
inline constexpr int esocktnosupport = 94;
inline constexpr int eopnotsupp = 95;
inline constexpr int epfnosupport = 96;
inline constexpr int eafnosupport = 97;
inline constexpr int eaddrinuse = 98;
inline constexpr int eaddrnotavail = 99;
inline constexpr int enetdown = 100;
inline constexpr int enetunreach = 101;
inline constexpr int enetreset = 102;
inline constexpr int econnaborted = 103;
inline constexpr int econnreset = 104;
inline constexpr int enobufs = 105;
inline constexpr int eisconn = 106;
inline constexpr int enotconn = 107;
inline constexpr int eshutdown = 108;
inline constexpr int etimedout = 110;
inline constexpr int econnrefused = 111;
inline constexpr int ehostdown = 112;
inline constexpr int ehostunreach = 113;
inline constexpr int ealready = 114;
inline constexpr int einprogress = 115;
inline constexpr int edquot = 122;
inline constexpr int ecanceled = 125;
inline constexpr int enotrecoverable = 131;
}  // namespace linux_errno

// Zircon, zircon/errors.h, without what no program sees: the flow control between kernel callbacks
// (STOP, NEXT, ASYNC) and what stays inside the vDSO (INTERNAL_INTR_RETRY, INTERNAL_INTR_KILLED).
namespace zx_status {
inline constexpr std::int32_t ok = 0;
inline constexpr std::int32_t internal = -1;
inline constexpr std::int32_t not_supported = -2;
inline constexpr std::int32_t no_resources = -3;
inline constexpr std::int32_t no_memory = -4;
inline constexpr std::int32_t invalid_args = -10;
inline constexpr std::int32_t bad_handle = -11;
inline constexpr std::int32_t wrong_type = -12;
inline constexpr std::int32_t bad_syscall = -13;
inline constexpr std::int32_t out_of_range = -14;
inline constexpr std::int32_t buffer_too_small = -15;
inline constexpr std::int32_t bad_state = -20;
inline constexpr std::int32_t timed_out = -21;
inline constexpr std::int32_t should_wait = -22;
inline constexpr std::int32_t canceled = -23;
inline constexpr std::int32_t peer_closed = -24;
inline constexpr std::int32_t not_found = -25;
inline constexpr std::int32_t already_exists = -26;
inline constexpr std::int32_t already_bound = -27;
inline constexpr std::int32_t unavailable = -28;
inline constexpr std::int32_t access_denied = -30;
inline constexpr std::int32_t io = -40;
inline constexpr std::int32_t io_refused = -41;
inline constexpr std::int32_t io_data_integrity = -42;
inline constexpr std::int32_t io_data_loss = -43;
inline constexpr std::int32_t io_not_present = -44;
inline constexpr std::int32_t io_overrun = -45;
inline constexpr std::int32_t io_missed_deadline = -46;
inline constexpr std::int32_t io_invalid = -47;
inline constexpr std::int32_t bad_path = -50;
inline constexpr std::int32_t not_dir = -51;
inline constexpr std::int32_t not_file = -52;
inline constexpr std::int32_t file_big = -53;
inline constexpr std::int32_t no_space = -54;
inline constexpr std::int32_t not_empty = -55;
inline constexpr std::int32_t protocol_not_supported = -70;
inline constexpr std::int32_t address_unreachable = -71;
inline constexpr std::int32_t address_in_use = -72;
inline constexpr std::int32_t not_connected = -73;
inline constexpr std::int32_t connection_refused = -74;
inline constexpr std::int32_t connection_reset = -75;
inline constexpr std::int32_t connection_aborted = -76;
}  // namespace zx_status

}  // namespace lichen::base
