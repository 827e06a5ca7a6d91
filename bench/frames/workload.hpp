// The work that every contestant of the frames benchmark does, and how its outcome is written.
// Nothing of any runtime; the Rust and the Go peer say the same in their languages.
#pragma once

#include <time.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/frames/reason.hpp"

namespace bench::frames {

inline std::uint64_t now_ns(clockid_t clock = CLOCK_MONOTONIC) {
  timespec time;
  clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

// One chain of dependent instructions (xorshift64), so that an iteration costs the same whoever
// compiled it, and no other thread of the same processor can speed it up or slow it down by much.
[[gnu::noinline]] inline std::uint64_t spin(std::uint64_t iterations) {
  std::uint64_t x = 88172645463325252;
  while (iterations-- > 0) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
  }
  asm volatile("" : : "r"(x));
  return x;
}

// Iterations that this thread spins in a microsecond of processor time: the median of 21 times 5
// ms.
inline double calibrate() {
  std::vector<double> rates;
  constexpr std::uint64_t slice = 100'000;
  for (int i = 0; i < 22; ++i) {
    const std::uint64_t start = now_ns(CLOCK_THREAD_CPUTIME_ID);
    std::uint64_t spun = 0, elapsed = 0;
    for (; elapsed < 5'000'000; spun += slice) {
      spin(slice);
      elapsed = now_ns(CLOCK_THREAD_CPUTIME_ID) - start;
    }
    if (i > 0) rates.push_back(static_cast<double>(spun) / static_cast<double>(elapsed) * 1000);
  }
  std::ranges::sort(rates);
  return rates[rates.size() / 2];
}

// `NAME --param value ...`
class Args {
 public:
  Args(int count, char** words) : words_{words + std::min(count, 1), words + count} {}
  [[nodiscard]] std::string_view name() const {
    return words_.empty() ? std::string_view{} : std::string_view{words_.front()};
  }
  [[nodiscard]] std::string text(std::string_view key, const char* otherwise) const {
    for (std::size_t i = 1; i + 1 < words_.size(); i += 2)
      if (words_[i].starts_with("--") && words_[i].substr(2) == key) return words_[i + 1];
    return otherwise;
  }
  [[nodiscard]] double number(std::string_view key, double otherwise) const {
    const std::string word = text(key, "");
    return word.empty() ? otherwise : std::strtod(word.c_str(), nullptr);
  }
  [[nodiscard]] unsigned count(std::string_view key, unsigned otherwise) const {
    return static_cast<unsigned>(number(key, otherwise));
  }

 private:
  std::vector<std::string> words_;
};

struct Plan {
  unsigned cores, tracks, frames /* of each track */, hogs;
  double work_us, hz, io_hz, iterations_per_us,
      io_us /* processor time of a round trip, known before */;

  explicit Plan(const Args& args, unsigned processors)
      : cores{args.count("cores", processors)},
        tracks{args.count("tracks", 4)},
        frames{args.count("frames", 600)},
        hogs{args.count("hogs", cores + 2)},
        work_us{args.number("work-us", 1000)},
        hz{args.number("hz", 120)},
        io_hz{args.number("io-hz", 1000)},
        iterations_per_us{args.number("iterations-per-us", 0)},
        io_us{args.number("io-us", 0)} {
    if (iterations_per_us == 0) iterations_per_us = calibrate();
  }
  [[nodiscard]] std::uint64_t period_ns() const { return static_cast<std::uint64_t>(1e9 / hz); }
  // The pause of the echo pair; who is late does not make up for it.
  [[nodiscard]] std::uint64_t io_period_ns() const {
    return static_cast<std::uint64_t>(1e9 / io_hz);
  }
  [[nodiscard]] std::uint64_t work() const {
    return static_cast<std::uint64_t>(work_us * iterations_per_us);
  }
  [[nodiscard]] std::uint64_t slice() const {  // between two looks of a hog at the stop flag
    return static_cast<std::uint64_t>(slice_us * iterations_per_us);
  }
  static constexpr double slice_us = 50;
  static constexpr std::uint64_t lead_ns = 300'000'000;  // from the start to the first frame
};

// The frames of one track, each with what became of it.
class Track {
 public:
  Track(const Plan& plan, unsigned number, std::uint64_t start)
      : period_{plan.period_ns()},
        first_{start + Plan::lead_ns + number * period_ / plan.tracks},
        frames_{plan.frames} {
    wake_.reserve(frames_);
    done_.reserve(frames_);
  }
  // The tracks are due in turn, evenly spread over the period.
  [[nodiscard]] std::uint64_t due(std::uint64_t frame) const { return first_ + frame * period_; }
  [[nodiscard]] std::uint64_t end() const { return due(frames_); }
  [[nodiscard]] std::uint64_t frames() const { return frames_; }
  [[nodiscard]] std::uint64_t period() const { return period_; }

  // True when it is not worth beginning: its period is over already. Counts as late.
  bool dropped(std::uint64_t due, std::uint64_t now) {
    if (now < due + period_) return false;
    wake_.push_back(now - due);
    done_.push_back(now - due);
    ++late_;
    ++dropped_;
    return true;
  }
  // True when it was late.
  bool ran(std::uint64_t due, std::uint64_t began, std::uint64_t ended) {
    wake_.push_back(began > due ? began - due : 0);
    done_.push_back(ended - due);
    work_.push_back(ended - began);
    if (ended <= due + period_) return false;
    ++late_;
    return true;
  }
  // Of who knows: why a frame was late, and how long after its timer's signal one ran.
  void late_for(Reason reason) { ++reasons_[static_cast<unsigned>(reason)]; }
  void ran_after_signal(std::uint64_t ns) { after_signal_.push_back(ns); }
  // By how much a piece of plain computing took too long, right after that.
  void ran_piece(std::uint64_t ns) { piece_.push_back(ns); }

 private:
  friend class Report;

  std::uint64_t period_, first_, frames_, late_ = 0, dropped_ = 0;
  std::array<std::uint64_t, reasons.size()> reasons_{};
  std::vector<std::uint64_t> wake_, done_, work_, after_signal_, piece_;
};

// What background tasks share with whoever watches them.
struct Background {
  explicit Background(const Plan& plan) : hogs{plan.hogs} {}
  struct alignas(64) Counter {
    std::atomic<std::uint64_t> value{0};
    void add() {
      value.store(value.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
  };
  std::vector<Counter> hogs;  // slices done
  Counter round_trips;
  alignas(64) std::atomic<bool> stop{false};
  [[nodiscard]] bool stopped() const { return stop.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t slices() const {
    std::uint64_t sum = 0;
    for (const Counter& hog : hogs) sum += hog.value.load(std::memory_order_relaxed);
    return sum;
  }
};

// Watches the run from outside: what the background did between the first and the last frame.
// Blocks the calling thread until then, and stops the background.
struct Observed {
  double seconds, slices, round_trips;
};
inline Observed observe(const Plan& plan, std::uint64_t start, Background& background) {
  const auto until = [](std::uint64_t when) {
    const timespec time{static_cast<time_t>(when / 1'000'000'000),
                        static_cast<long>(when % 1'000'000'000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr) != 0) {
    }
  };
  const auto trips = [&] { return background.round_trips.value.load(std::memory_order_relaxed); };
  until(start + Plan::lead_ns);
  const std::uint64_t began = now_ns(), slices = background.slices(), trips_before = trips();
  until(start + Plan::lead_ns + (plan.frames + 1) * plan.period_ns());
  const Observed seen{static_cast<double>(now_ns() - began) / 1e9,
                      static_cast<double>(background.slices() - slices),
                      static_cast<double>(trips() - trips_before)};
  background.stop.store(true, std::memory_order_relaxed);
  return seen;
}

// One JSON line; bench/README.md says what each name means.
class Report {
 public:
  static void print(const char* variant, const Plan& plan, std::vector<Track>& tracks,
                    const Observed& seen) {
    std::vector<std::uint64_t> wake, done, work, after_signal, piece;
    std::uint64_t late = 0, dropped = 0;
    std::array<std::uint64_t, reasons.size()> late_for{};
    for (Track& track : tracks) {
      wake.insert(wake.end(), track.wake_.begin(), track.wake_.end());
      done.insert(done.end(), track.done_.begin(), track.done_.end());
      work.insert(work.end(), track.work_.begin(), track.work_.end());
      late += track.late_;
      after_signal.insert(after_signal.end(), track.after_signal_.begin(),
                          track.after_signal_.end());
      piece.insert(piece.end(), track.piece_.begin(), track.piece_.end());
      for (std::size_t i = 0; i < reasons.size(); ++i) late_for[i] += track.reasons_[i];
      dropped += track.dropped_;
    }
    for (auto* values : {&wake, &done, &work, &after_signal, &piece}) std::ranges::sort(*values);
    const double hogs_us = seen.slices * Plan::slice_us;
    const double left_us = seen.seconds * 1e6 * plan.cores -
                           static_cast<double>(work.size()) * plan.work_us -
                           seen.round_trips * plan.io_us;
    std::string known;
    if (!after_signal.empty()) {
      for (std::size_t i = 0; i < reasons.size(); ++i)
        known +=
            std::string{"\"late_for_"} + reasons[i] + "\":" + std::to_string(late_for[i]) + ',';
      known += "\"after_signal_histogram\":" + histogram(after_signal) + ',';
      known += "\"piece_histogram\":" + histogram(piece) + ',';
    }
    std::printf(
        "{\"name\":\"frames\",\"variant\":\"%s\",\"frames\":%zu,\"late\":%llu,"
        "\"late_by_host\":%llu,\"dropped\":%llu,%s"
        "\"wake_p50_us\":%.1f,\"wake_p99_us\":%.1f,\"wake_p999_us\":%.1f,\"wake_max_us\":%.1f,"
        "\"work_p50_us\":%.1f,\"hog_share\":%.4f,\"hog_us\":%.0f,\"left_us\":%.0f,"
        "\"seconds\":%.3f,\"io_per_second\":%.0f,\"histogram\":%s,\"done_histogram\":%s}\n",
        variant, wake.size(), static_cast<unsigned long long>(late),
        static_cast<unsigned long long>(late_for[static_cast<unsigned>(Reason::host)] +
                                        late_for[static_cast<unsigned>(Reason::unseen)]),
        static_cast<unsigned long long>(dropped), known.c_str(), at(wake, 0.5), at(wake, 0.99),
        at(wake, 0.999), at(wake, 1), at(work, 0.5), hogs_us / left_us, hogs_us, left_us,
        seen.seconds, seen.round_trips / seen.seconds, histogram(wake).c_str(),
        histogram(done).c_str());
  }

  static double at(const std::vector<std::uint64_t>& sorted, double quantile) {
    if (sorted.empty()) return 0;
    const double rank = std::ceil(quantile * static_cast<double>(sorted.size()));
    return static_cast<double>(sorted[static_cast<std::size_t>(std::max(rank, 1.0)) - 1]) / 1000;
  }

  // [[us, count],...]: 32 buckets in each octave; us is a bucket's upper bound.
  static std::string histogram(const std::vector<std::uint64_t>& values) {
    std::map<int, std::uint64_t> buckets;
    for (const std::uint64_t ns : values)
      ++buckets[static_cast<int>(32 *
                                 std::log2(static_cast<double>(std::max<std::uint64_t>(ns, 1))))];
    std::string text;
    char word[64];
    for (const auto& [bucket, count] : buckets) {
      std::snprintf(word, sizeof word, "%s[%.4g,%llu]", text.empty() ? "" : ",",
                    std::exp2((bucket + 1) / 32.0) / 1000, static_cast<unsigned long long>(count));
      text += word;
    }
    return '[' + text + ']';
  }
};

}  // namespace bench::frames
