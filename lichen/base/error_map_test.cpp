#include "lichen/base/error_map.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <limits>
#include <map>

#include "lichen/base/foreign_errors.hpp"

namespace lichen::base {
namespace {

const std::map<Error, Error> relatives_in_errno = {
    {Error::stopped, Error::canceled},
    {Error::name_unresolved, Error::not_found},
};

const std::map<Error, Error> relatives_in_zx_status = {
    {Error::stopped, Error::canceled},        {Error::name_unresolved, Error::not_found},
    {Error::end_of_stream, Error::closed},    {Error::path_escapes, Error::access_denied},
    {Error::read_only, Error::access_denied}, {Error::address_unavailable, Error::unreachable},
    {Error::interrupted, Error::busy},        {Error::link_loop, Error::too_large},
};

Error relative(const std::map<Error, Error>& relatives, Error error) {
  const auto found = relatives.find(error);
  return found == relatives.end() ? error : found->second;
}

TEST(ErrorMap, EveryErrorSurvivesErrnoOrComesBackAsItsRelative) {
  for (int value = 1; value <= error_count; ++value) {
    const auto error = static_cast<Error>(value);
    EXPECT_GT(to_errno(error), 0) << name(error);
    EXPECT_EQ(from_errno(to_errno(error)), relative(relatives_in_errno, error)) << name(error);
  }
}

TEST(ErrorMap, EveryErrorSurvivesZirconOrComesBackAsItsRelative) {
  for (int value = 1; value <= error_count; ++value) {
    const auto error = static_cast<Error>(value);
    EXPECT_LT(to_zx_status(error), 0) << name(error);
    EXPECT_EQ(from_zx_status(to_zx_status(error)), relative(relatives_in_zx_status, error))
        << name(error);
  }
}

TEST(ErrorMap, AForeignNumberKeepsItsMeaning) {
  for (int number = -300; number <= 300; ++number) {
    const Error by_errno = from_errno(number);
    EXPECT_EQ(from_errno(to_errno(by_errno)), by_errno) << number;
    const Error by_status = from_zx_status(number);
    EXPECT_EQ(from_zx_status(to_zx_status(by_status)), by_status) << number;
  }
}

TEST(ErrorMap, WhatHasNoMeaningHereGetsTheDocumentedDefault) {
  EXPECT_EQ(from_errno(ENOSTR), Error::io_failed);
  EXPECT_EQ(from_errno(4000), Error::io_failed);
  EXPECT_EQ(from_errno(std::numeric_limits<int>::max()), Error::io_failed);
  EXPECT_EQ(from_errno(0), Error::internal);
  EXPECT_EQ(from_errno(-EAGAIN), Error::internal);
  EXPECT_EQ(from_errno(std::numeric_limits<int>::min()), Error::internal);
  EXPECT_EQ(from_zx_status(zx_status::ok), Error::internal);
  EXPECT_EQ(from_zx_status(-60), Error::internal);
  EXPECT_EQ(from_zx_status(-502), Error::internal);
  EXPECT_EQ(from_zx_status(7), Error::internal);
  EXPECT_EQ(from_zx_status(std::numeric_limits<std::int32_t>::min()), Error::internal);
  EXPECT_EQ(to_errno(Error{}), to_errno(Error::internal));
  EXPECT_EQ(to_zx_status(static_cast<Error>(255)), zx_status::internal);
}

TEST(ErrorMap, NumbersThatShareAMeaning) {
  EXPECT_EQ(from_errno(EWOULDBLOCK), Error::would_block);
  EXPECT_EQ(from_errno(ETIME), Error::timed_out);  // a ring's linked timeout
  EXPECT_EQ(from_errno(ENFILE), Error::limit_reached);
  EXPECT_EQ(from_errno(ECONNABORTED), Error::connection_reset);
  EXPECT_EQ(from_errno(EPERM), Error::access_denied);
  EXPECT_EQ(from_zx_status(zx_status::already_bound), Error::busy);
  EXPECT_EQ(from_zx_status(zx_status::connection_aborted), Error::connection_reset);
}

TEST(ForeignErrors, AreTheHostsNumbers) {
  EXPECT_EQ(linux_errno::eperm, EPERM);
  EXPECT_EQ(linux_errno::enoent, ENOENT);
  EXPECT_EQ(linux_errno::esrch, ESRCH);
  EXPECT_EQ(linux_errno::eintr, EINTR);
  EXPECT_EQ(linux_errno::eio, EIO);
  EXPECT_EQ(linux_errno::enxio, ENXIO);
  EXPECT_EQ(linux_errno::e2big, E2BIG);
  EXPECT_EQ(linux_errno::ebadf, EBADF);
  EXPECT_EQ(linux_errno::eagain, EAGAIN);
  EXPECT_EQ(linux_errno::enomem, ENOMEM);
  EXPECT_EQ(linux_errno::eacces, EACCES);
  EXPECT_EQ(linux_errno::efault, EFAULT);
  EXPECT_EQ(linux_errno::ebusy, EBUSY);
  EXPECT_EQ(linux_errno::eexist, EEXIST);
  EXPECT_EQ(linux_errno::exdev, EXDEV);
  EXPECT_EQ(linux_errno::enodev, ENODEV);
  EXPECT_EQ(linux_errno::enotdir, ENOTDIR);
  EXPECT_EQ(linux_errno::eisdir, EISDIR);
  EXPECT_EQ(linux_errno::einval, EINVAL);
  EXPECT_EQ(linux_errno::enfile, ENFILE);
  EXPECT_EQ(linux_errno::emfile, EMFILE);
  EXPECT_EQ(linux_errno::enotty, ENOTTY);
  EXPECT_EQ(linux_errno::etxtbsy, ETXTBSY);
  EXPECT_EQ(linux_errno::efbig, EFBIG);
  EXPECT_EQ(linux_errno::enospc, ENOSPC);
  EXPECT_EQ(linux_errno::espipe, ESPIPE);
  EXPECT_EQ(linux_errno::erofs, EROFS);
  EXPECT_EQ(linux_errno::emlink, EMLINK);
  EXPECT_EQ(linux_errno::epipe, EPIPE);
  EXPECT_EQ(linux_errno::edom, EDOM);
  EXPECT_EQ(linux_errno::erange, ERANGE);
  EXPECT_EQ(linux_errno::edeadlk, EDEADLK);
  EXPECT_EQ(linux_errno::enametoolong, ENAMETOOLONG);
  EXPECT_EQ(linux_errno::enosys, ENOSYS);
  EXPECT_EQ(linux_errno::enotempty, ENOTEMPTY);
  EXPECT_EQ(linux_errno::eloop, ELOOP);
  EXPECT_EQ(linux_errno::enodata, ENODATA);
  EXPECT_EQ(linux_errno::etime, ETIME);
  EXPECT_EQ(linux_errno::enonet, ENONET);
  EXPECT_EQ(linux_errno::eproto, EPROTO);
  EXPECT_EQ(linux_errno::ebadmsg, EBADMSG);
  EXPECT_EQ(linux_errno::eoverflow, EOVERFLOW);
  EXPECT_EQ(linux_errno::ebadfd, EBADFD);
  EXPECT_EQ(linux_errno::eilseq, EILSEQ);
  EXPECT_EQ(linux_errno::eusers, EUSERS);
  EXPECT_EQ(linux_errno::enotsock, ENOTSOCK);
  EXPECT_EQ(linux_errno::edestaddrreq, EDESTADDRREQ);
  EXPECT_EQ(linux_errno::emsgsize, EMSGSIZE);
  EXPECT_EQ(linux_errno::eprototype, EPROTOTYPE);
  EXPECT_EQ(linux_errno::enoprotoopt, ENOPROTOOPT);
  EXPECT_EQ(linux_errno::eprotonosupport, EPROTONOSUPPORT);
  EXPECT_EQ(linux_errno::esocktnosupport, ESOCKTNOSUPPORT);
  EXPECT_EQ(linux_errno::eopnotsupp, EOPNOTSUPP);
  EXPECT_EQ(linux_errno::epfnosupport, EPFNOSUPPORT);
  EXPECT_EQ(linux_errno::eafnosupport, EAFNOSUPPORT);
  EXPECT_EQ(linux_errno::eaddrinuse, EADDRINUSE);
  EXPECT_EQ(linux_errno::eaddrnotavail, EADDRNOTAVAIL);
  EXPECT_EQ(linux_errno::enetdown, ENETDOWN);
  EXPECT_EQ(linux_errno::enetunreach, ENETUNREACH);
  EXPECT_EQ(linux_errno::enetreset, ENETRESET);
  EXPECT_EQ(linux_errno::econnaborted, ECONNABORTED);
  EXPECT_EQ(linux_errno::econnreset, ECONNRESET);
  EXPECT_EQ(linux_errno::enobufs, ENOBUFS);
  EXPECT_EQ(linux_errno::eisconn, EISCONN);
  EXPECT_EQ(linux_errno::enotconn, ENOTCONN);
  EXPECT_EQ(linux_errno::eshutdown, ESHUTDOWN);
  EXPECT_EQ(linux_errno::etimedout, ETIMEDOUT);
  EXPECT_EQ(linux_errno::econnrefused, ECONNREFUSED);
  EXPECT_EQ(linux_errno::ehostdown, EHOSTDOWN);
  EXPECT_EQ(linux_errno::ehostunreach, EHOSTUNREACH);
  EXPECT_EQ(linux_errno::ealready, EALREADY);
  EXPECT_EQ(linux_errno::einprogress, EINPROGRESS);
  EXPECT_EQ(linux_errno::edquot, EDQUOT);
  EXPECT_EQ(linux_errno::ecanceled, ECANCELED);
  EXPECT_EQ(linux_errno::enotrecoverable, ENOTRECOVERABLE);
}

}  // namespace
}  // namespace lichen::base
