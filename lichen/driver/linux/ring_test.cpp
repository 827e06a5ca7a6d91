#include "lichen/driver/linux/ring.hpp"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/time_types.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "lichen/base/log.hpp"

namespace lichen::driver {
namespace {

// Lets io_uring_setup fail in this process, as a container's policy does.
void refuse_io_uring(int error) {
  std::array<sock_filter, 4> program{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
    std::exit(3);
}

// Exits with 0 if creating a ring fails with `expected`; what is logged goes to standard error.
void expect_refusal(Error expected) {
  log::set_sink([](log::Level, std::string_view line) noexcept {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
  });
  std::exit(Ring::create().failed_with(expected) ? 0 : 1);
}

TEST(RingDeathTest, SaysWhatIsWrongWhereThereIsNoIoUring) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT((refuse_io_uring(ENOSYS), expect_refusal(Error::not_supported)),
              testing::ExitedWithCode(0), "no io_uring: Lichen needs Linux 5.11");
  EXPECT_EXIT((refuse_io_uring(EPERM), expect_refusal(Error::access_denied)),
              testing::ExitedWithCode(0),
              "security policy.*allow the calls io_uring_setup|"
              "kernel.io_uring_disabled=0");
  EXPECT_EXIT((refuse_io_uring(EINVAL), expect_refusal(Error::not_supported)),
              testing::ExitedWithCode(0), "too old");
  EXPECT_EXIT((refuse_io_uring(ENOMEM), expect_refusal(Error::no_memory)),
              testing::ExitedWithCode(0), "ulimit -l");
  EXPECT_EXIT((refuse_io_uring(EMFILE), expect_refusal(Error::limit_reached)),
              testing::ExitedWithCode(0), "ulimit -n");
}

TEST(Ring, ExplainsTheSwitch) {
  EXPECT_NE(explain_setup_failure(EPERM, 2).find("kernel.io_uring_disabled=0"),
            std::string_view::npos);
  EXPECT_NE(explain_setup_failure(EPERM, 0).find("security policy"), std::string_view::npos);
  EXPECT_NE(explain_setup_failure(EPERM, -1).find("security policy"), std::string_view::npos);
}

TEST(Ring, OffersWhatIsNotForbidden) {
  const auto all = Ring::create();
  ASSERT_TRUE(all);
  for (unsigned i = 0; i < feature_count; ++i) {
    const auto feature = static_cast<Feature>(i);
    const auto ring = Ring::create({.allowed = Features::all().without(feature)});
    ASSERT_TRUE(ring);
    EXPECT_EQ((*ring)->features(), (*all)->features().without(feature)) << name(feature);
  }
  EXPECT_EQ((*Ring::create({.allowed = Features{}}))->features(), Features{});
}

void submit_and_reap(Ring& ring, unsigned count) {
  std::uint64_t next = 0;
  auto use = [&](const io_uring_cqe& cqe) {
    EXPECT_EQ(cqe.user_data, next++);
    EXPECT_EQ(cqe.res, 0);
  };
  for (unsigned i = 0; i < count; ++i) {
    io_uring_sqe& sqe = ring.prepare();
    sqe.opcode = IORING_OP_NOP;
    sqe.user_data = i;
  }
  while (next < count) {
    ring.submit_and_wait(UINT64_MAX);
    ring.reap(use);
  }
  EXPECT_EQ(ring.prepared(), 0U);
}

// More than both queues hold: nothing is lost and the order is kept.
TEST(Ring, TakesMoreThanItsQueuesHold) {
  for (const Features allowed : {Features::all(), Features{}}) {
    auto ring = Ring::create({.entries = 4, .completions = 8, .allowed = allowed});
    ASSERT_TRUE(ring);
    for (const unsigned count : {1U, 4U, 5U, 8U, 9U, 1000U}) submit_and_reap(**ring, count);
    EXPECT_EQ((*ring)->counters().completions.get(), 1027U);
  }
}

TEST(Ring, KeepsReservedEntriesTogether) {
  auto ring = Ring::create({.entries = 4});
  ASSERT_TRUE(ring);
  for (int i = 0; i < 3; ++i) (*ring)->prepare().opcode = IORING_OP_NOP;
  (*ring)->reserve(2);
  EXPECT_EQ((*ring)->prepared(), 0U);
  (*ring)->reserve(4);
  EXPECT_EQ((*ring)->prepared(), 0U);
}

// The thread that stands in for the ring's own may not submit. What it prepares beyond the queue
// waits, in order; what the ring's own thread prepares comes behind that.
TEST(Ring, KeepsWhatAnotherThreadPreparedBeyondTheQueue) {
  for (const unsigned count : {3U, 4U, 5U, 1000U}) {
    auto ring = Ring::create({.entries = 4, .completions = 8});
    ASSERT_TRUE(ring);
    std::uint64_t prepared = 0;
    auto prepare = [&](unsigned more) {
      for (unsigned i = 0; i < more; ++i) {
        io_uring_sqe& sqe = (*ring)->prepare();
        sqe.opcode = IORING_OP_NOP;
        sqe.user_data = prepared++;
      }
    };
    prepare(2);
    for (int turn = 0; turn < 2; ++turn) std::thread{prepare, count}.join();
    EXPECT_EQ((*ring)->prepared(), prepared);
    prepare(3);
    std::uint64_t next = 0;
    while (next < prepared) {
      (*ring)->submit_and_wait(UINT64_MAX);
      (*ring)->reap([&](const io_uring_cqe& cqe) { EXPECT_EQ(cqe.user_data, next++); });
    }
    EXPECT_EQ((*ring)->prepared(), 0U);
  }
}

TEST(Ring, KeepsLinkedEntriesOfAnotherThreadTogether) {
  static constexpr unsigned chains = 50;
  auto ring = Ring::create({.entries = 4});
  ASSERT_TRUE(ring);
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  char byte = 0;
  __kernel_timespec soon{.tv_sec = 0, .tv_nsec = 1'000'000};
  (*ring)->prepare().opcode = IORING_OP_NOP;
  (*ring)->prepare().opcode = IORING_OP_NOP;
  (*ring)->prepare().opcode = IORING_OP_NOP;
  std::thread{[&] {
    for (unsigned i = 0; i < chains; ++i) {
      if (i % 3 == 0) (*ring)->prepare().opcode = IORING_OP_NOP;
      (*ring)->reserve(2);
      io_uring_sqe& sqe = (*ring)->prepare();
      sqe.opcode = IORING_OP_READ;
      sqe.fd = ends[0];
      sqe.addr = reinterpret_cast<std::uint64_t>(&byte);
      sqe.len = 1;
      sqe.flags = IOSQE_IO_LINK;
      sqe.user_data = 2 * i + 2;  // by which the limit finds it
      io_uring_sqe& limit = (*ring)->prepare();
      limit.opcode = IORING_OP_LINK_TIMEOUT;
      limit.fd = -1;
      limit.addr = reinterpret_cast<std::uint64_t>(&soon);
      limit.len = 1;
      limit.user_data = 2 * i + 3;
    }
  }}.join();
  unsigned ended = 0;
  unsigned timed_out = 0;
  while (ended < chains || timed_out < chains) {
    (*ring)->submit_and_wait(UINT64_MAX);
    (*ring)->reap([&](const io_uring_cqe& cqe) {
      if (cqe.user_data == 0) return;
      if (cqe.user_data % 2 == 0) {
        EXPECT_EQ(cqe.res, -ECANCELED);
        ++ended;
      } else {
        EXPECT_EQ(cqe.res, -ETIME);  // -EINVAL where there is nothing that it is linked to
        ++timed_out;
      }
    });
  }
  close(ends[0]);
  close(ends[1]);
}

TEST(Ring, WaitsNoLongerThanAsked) {
  auto ring = Ring::create();
  ASSERT_TRUE(ring);
  (*ring)->submit_and_wait(1'000'000);
  EXPECT_EQ((*ring)->reap([](const io_uring_cqe&) {}), 0U);
}

}  // namespace
}  // namespace lichen::driver
