// bench_disk_floor: what bench_disk does, straight on io_uring with nothing of a runtime above it.
// Plain C++ on Linux. Everything on the disk is lost.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <random>
#include <string_view>
#include <vector>

#include "bench/raw/ring.hpp"

namespace {

using bench::raw::die;

struct Work {
  const char* name;
  bool write;
  bool random;
  unsigned depth;
  uint32_t bytes;
};

constexpr std::array<Work, 4> works{{{"4 KB random read, depth 1", false, true, 1, 4'096},
                                     {"4 KB random read, depth 32", false, true, 32, 4'096},
                                     {"128 KB read in order, depth 4", false, false, 4, 131'072},
                                     {"128 KB write in order, depth 4", true, false, 4, 131'072}}};
constexpr uint64_t writes_to_a_flush = 32;

struct Options {
  const char* disk = nullptr;
  uint64_t seconds = 1;
  uint64_t requests = 0;  // 0: so many seconds
  std::string_view only;
  bool wait = false;
  bool registered = false;  // buffers and file
  bool cached = false;      // through the kernel's cache of pages
};

uint64_t now_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

class Disk {
 public:
  explicit Disk(const Options& options) : options_{options}, ring_{256} {
    fd_ = open(options.disk, O_RDWR | O_CLOEXEC | (options.cached ? 0 : O_DIRECT));
    if (fd_ < 0 && errno == EINVAL) fd_ = open(options.disk, O_RDWR | O_CLOEXEC);
    if (fd_ < 0) die(options.disk);
    size_ = static_cast<uint64_t>(lseek(fd_, 0, SEEK_END));
    for (iovec& buffer : buffers_) {
      buffer = {aligned_alloc(4'096, most_bytes), most_bytes};
      if (!buffer.iov_base) die("memory");
      memset(buffer.iov_base, 0x5A, most_bytes);
    }
    if (!options.registered) return;
    if (syscall(SYS_io_uring_register, ring_.fd(), IORING_REGISTER_BUFFERS, buffers_.data(),
                buffers_.size()) < 0 ||
        syscall(SYS_io_uring_register, ring_.fd(), IORING_REGISTER_FILES, &fd_, 1) < 0)
      die("io_uring_register");
  }

  void measure(const Work& work) {
    const uint64_t began = now_ns(CLOCK_MONOTONIC);
    const uint64_t busy = now_ns(CLOCK_THREAD_CPUTIME_ID);
    const uint64_t until = began + options_.seconds * 1'000'000'000;
    const uint64_t places = size_ / work.bytes;
    std::minstd_rand random{1};
    uint64_t begun = 0;
    uint64_t next = 0;
    unsigned in_flight = 0;
    std::array<bool, most_depth> to_flush{};
    const auto begin = [&](unsigned slot) {
      io_uring_sqe& entry = ring_.entry();
      entry.user_data = slot;
      name_file(entry);
      if (to_flush[slot]) {
        to_flush[slot] = false;
        entry.opcode = IORING_OP_FSYNC;
        entry.fsync_flags = IORING_FSYNC_DATASYNC;
        ++in_flight;
        return;
      }
      const uint64_t place = (work.random ? random() : next++) % places;
      to_flush[slot] = work.write && (place + 1) % writes_to_a_flush == 0;
      entry.opcode = work.write ? (options_.registered ? IORING_OP_WRITE_FIXED : IORING_OP_WRITE)
                                : (options_.registered ? IORING_OP_READ_FIXED : IORING_OP_READ);
      entry.addr = reinterpret_cast<uint64_t>(buffers_[slot].iov_base);
      entry.len = work.bytes;
      entry.off = place * work.bytes;
      entry.buf_index = static_cast<uint16_t>(options_.registered ? slot : 0);
      ++begun;
      ++in_flight;
    };
    const auto another = [&] {
      return options_.requests != 0 ? begun < options_.requests : now_ns(CLOCK_MONOTONIC) < until;
    };
    for (unsigned slot = 0; slot < work.depth && another(); ++slot) begin(slot);
    while (in_flight != 0) {
      ring_.submit_and_wait(1);
      ring_.reap([&](const io_uring_cqe& done) {
        if (done.res < 0) {
          errno = -done.res;
          die(work.name);
        }
        --in_flight;
        const auto slot = static_cast<unsigned>(done.user_data);
        if (to_flush[slot] || another()) begin(slot);
      });
    }
    const uint64_t spent = now_ns(CLOCK_THREAD_CPUTIME_ID) - busy;
    const uint64_t took = now_ns(CLOCK_MONOTONIC) - began;
    printf(
        "{\"name\": \"disk\", \"variant\": \"%s\", \"requests\": %llu, "
        "\"requests_per_second\": %llu, \"busy_ns_per_request\": %llu}\n",
        work.name, static_cast<unsigned long long>(begun),
        static_cast<unsigned long long>(begun * 1'000'000'000 / std::max<uint64_t>(took, 1)),
        static_cast<unsigned long long>(spent / std::max<uint64_t>(begun, 1)));
    fflush(stdout);
  }

 private:
  static constexpr unsigned most_depth = 32;
  static constexpr size_t most_bytes = 131'072;

  void name_file(io_uring_sqe& entry) const {
    entry.fd = options_.registered ? 0 : fd_;
    entry.flags = options_.registered ? static_cast<uint8_t>(IOSQE_FIXED_FILE) : uint8_t{0};
  }

  const Options& options_;
  bench::raw::Ring ring_;
  int fd_ = -1;
  uint64_t size_ = 0;
  std::array<iovec, most_depth> buffers_{};
};

[[noreturn]] void explain() {
  fputs(
      "usage: bench_disk_floor --disk FILE [--seconds S | --requests N] [--only NAME] [--wait] "
      "[--registered] [--cached]\n",
      stderr);
  exit(2);
}

uint64_t number(const char* word) {
  uint64_t value = 0;
  const char* const end = word + strlen(word);
  const auto read = std::from_chars(word, end, value);
  if (read.ec != std::errc{} || read.ptr != end || value == 0) explain();
  return value;
}

Options parse(int count, char** words) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == "--wait") {
      options.wait = true;
    } else if (word == "--registered") {
      options.registered = true;
    } else if (word == "--cached") {
      options.cached = true;
    } else if (i + 1 == count) {
      explain();
    } else if (word == "--disk") {
      options.disk = words[++i];
    } else if (word == "--only") {
      options.only = words[++i];
      if (std::ranges::find(works, options.only, &Work::name) == works.end()) explain();
    } else if (word == "--seconds") {
      options.seconds = number(words[++i]);
    } else if (word == "--requests") {
      options.requests = number(words[++i]);
    } else {
      explain();
    }
  }
  if (!options.disk) explain();
  return options;
}

}  // namespace

int main(int count, char** words) {
  const Options options = parse(count, words);
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  if (options.wait) sigprocmask(SIG_BLOCK, &interrupt, nullptr);
  Disk disk{options};
  if (options.wait) puts("{\"ready\": true}");
  fflush(stdout);
  do {
    for (const Work& work : works) {
      if (!options.only.empty() && options.only != work.name) continue;
      int signal = 0;
      if (options.wait) sigwait(&interrupt, &signal);
      disk.measure(work);
    }
  } while (options.wait);
  return 0;
}
