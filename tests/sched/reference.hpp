// The order of docs/scheduling.md once more, written down as plainly as it can be: vectors, scans
// and wide integers; no heap, no tree, nothing remembered that can be computed. One core, without
// guarantees and limits. The property tests ask it after each pick whether it would have allowed
// that.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <vector>

#include "lichen/sched/parameters.hpp"

namespace lichen::sched::test {

class Reference {
 public:
  using Time = std::uint64_t;
  using Wide = __int128;

  struct App {
    Wide weight = 128;  // a power of two up to 1024: then all virtual times are whole numbers
    bool foreground = false;
  };
  struct Line {  // a lane
    enum Kind { event, frame, fair } kind = fair;
    int app = 0;
    unsigned qos = 0;
    Time period = 1, budget = 0, jitter = 0;  // of frames

    bool ready = false, running = false, aligned = false;
    Time start = 0, left = 0;
    std::uint64_t turn = 0;
  };

  explicit Reference(const ScheduleParameters& parameters) : p_{parameters} {
    for (unsigned b = 0; b < bucket_count; ++b) buckets_[b].warp = p_.warp_ns[b];
  }

  std::vector<App> apps;
  std::vector<Line> lines;

  void insert(int id, Time now) {
    settle();
    Line& line = lines[id];
    if (line.kind == Line::frame) {
      if (!line.aligned) line.start = now, line.left = line.budget, line.aligned = true;
      roll(line, now);
      if (line.left < line.budget || now > line.start + line.jitter)
        line.left = std::min(line.left,
                             static_cast<Time>(Wide{due(line) - now} * line.budget / line.period));
    }
    line.ready = true;
    line.turn = ++turns_;
    update(now);
  }

  void remove(int id, Time now) {
    settle();
    lines[id].ready = false;
    update(now);
  }

  // True if the running lane has been charged, where it ran.
  bool set_foreground(int app, bool foreground, Time ran, Time now) {
    if (apps[app].foreground == foreground) return false;
    const bool runs = runs_fair() && lines[runs_].app == app;
    if (runs) {
      charge_claim(app, lines[runs_].qos, ran);
      charge_bucket(ran, now);
    }
    for (unsigned q = 0; q < qos_count; ++q) {
      Claim& claim = claim_at(app, q);
      if (claim.active) leave(app, q);
    }
    // As if nobody had waited: a bucket that gets its first claim thereby has just become runnable.
    note_waiting(now);
    apps[app].foreground = foreground;
    if (runs) run_besides(now);
    update(now);
    if (runs) {
      Claim& claim = claim_at(app, lines[runs_].qos);
      claim.deadline = claim.runtime;
    }
    return runs;
  }

  // Budgets come back.
  void look(Time now) {
    for (Line& line : lines)
      if (line.ready && line.kind == Line::frame) roll(line, now);
    update(now);
  }

  // The lanes of which one may be picked now.
  std::set<int> allowed(Time now) {
    look(now);
    std::set<int> set;
    for (int id = 0; id < count(); ++id)
      if (lines[id].ready && lines[id].kind == Line::event) set.insert(id);
    right_ = Right::event;
    if (!set.empty()) return set;

    Time earliest = ~Time{0};
    for (const Line& line : lines)
      if (in_time(line)) earliest = std::min(earliest, due(line));
    for (int id = 0; id < count(); ++id)
      if (in_time(lines[id]) && due(lines[id]) == earliest) set.insert(id);
    right_ = Right::frame;
    if (!set.empty()) return set;

    right_ = Right::none;
    if (waiting().empty()) return set;
    select(now);
    advance(running_);
    Wide best = 0;
    bool found = false;
    for (int app = 0; app < apps_count(); ++app)
      for (unsigned q = 0; q < qos_count; ++q)
        if (const Claim& claim = claim_at(app, q);
            waits(app, q) && bucket(app, q) == running_ && eligible(claim)) {
          if (!found || claim.deadline < best) best = claim.deadline;
          found = true;
        }
    for (int app = 0; app < apps_count(); ++app)
      for (unsigned q = 0; q < qos_count; ++q)
        if (const Claim& claim = claim_at(app, q); waits(app, q) && bucket(app, q) == running_ &&
                                                   eligible(claim) && claim.deadline == best)
          set.insert(front(app, q));
    return set;
  }

  void pick(int id) {
    Line& line = lines[id];
    line.ready = false;
    line.running = true;
    runs_ = id;
    alone_ = line.kind == Line::fair &&
             std::ranges::none_of(lines, [](const Line& other) { return other.ready; });
    if (alone_) late_id_ = id;
    if (right_ == Right::event || right_ == Right::frame) running_ = bucket_count;
    waiting_before_ = waiting();
  }

  // It goes on.
  void charge(Time ran, Time now) {
    Line& line = lines[runs_];
    if (right_ == Right::event) return;
    if (right_ == Right::frame) {
      const Time excess = consume(line, ran, now);
      if (excess != 0) {
        join(line.app, line.qos);
        charge_claim(line.app, line.qos, excess);
      }
      roll(line, now);
      if (line.left == 0) run_besides(now);
    } else {
      charge_claim(line.app, line.qos, ran);
      charge_bucket(ran, now);
    }
    update(now);
    if (!runs_fair()) return;
    // If its bucket would be selected again it goes on by that right.
    Reference trial = *this;
    trial.lines[runs_].ready = true;
    trial.runs_ = -1;
    trial.update(now);
    trial.select(now);
    if (trial.running_ != running_) return;
    buckets_ = trial.buckets_;
    window_ = trial.window_;
    window_left_ = trial.window_left_;
    right_ = trial.right_;
  }

  void put_back(Time ran, Time now, bool still_ready) {
    Line& line = lines[runs_];
    if (right_ == Right::frame) {
      const Time excess = consume(line, ran, now);
      if (excess != 0) {
        join(line.app, line.qos);
        charge_claim(line.app, line.qos, excess);
      }
    } else if (right_ != Right::event) {
      charge_bucket(ran, now);
      if (alone_)
        late_ += ran;
      else
        charge_claim(line.app, line.qos, ran);
      if (!still_ready || late_ >= settle_after) settle();
    }
    line.running = false;
    runs_ = -1;
    if (still_ready) {
      if (line.kind == Line::frame) roll(line, now);
      line.ready = true;
      line.turn = ++turns_;
    }
    update(now);
    running_ = bucket_count;
  }

  [[nodiscard]] bool runs_fair() const {
    return runs_ >= 0 && right_ != Right::event && right_ != Right::frame;
  }
  [[nodiscard]] bool waits(unsigned bucket) const { return waiting().contains(bucket); }
  [[nodiscard]] Time deadline(unsigned bucket) const { return buckets_[bucket].deadline; }
  [[nodiscard]] Time warp_left(unsigned bucket) const { return buckets_[bucket].warp; }
  [[nodiscard]] unsigned bucket_of_line(int id) const {
    return bucket(lines[id].app, lines[id].qos);
  }
  // Whether the running lane's request is finished after `ran` more.
  [[nodiscard]] bool request_done(Time ran) {
    const Line& line = lines[runs_];
    const Claim& claim = claim_at(line.app, line.qos);
    return claim.runtime + ticks(line.app, ran) >= claim.deadline;
  }

 private:
  enum class Right { none, event, frame, deadline, warp, window, besides };
  struct Bucket {
    Time deadline = 0, warp = 0;
    Wide time = 0;
  };
  struct Claim {
    bool active = false;
    unsigned home = bucket_count;
    Wide runtime = 0, eligible = 0, deadline = 0;
  };

  [[nodiscard]] int count() const { return static_cast<int>(lines.size()); }
  [[nodiscard]] int apps_count() const { return static_cast<int>(apps.size()); }
  static Time due(const Line& line) { return line.start + line.period; }
  // Ordered by deadline, not fair.
  static bool in_time(const Line& line) {
    return line.ready && line.kind == Line::frame && line.left > 0;
  }
  static bool is_fair(const Line& line) {
    return line.kind == Line::fair || (line.kind == Line::frame && line.left == 0);
  }
  [[nodiscard]] unsigned bucket(int app, unsigned qos) const {
    return sched::bucket_of(apps[app].foreground, static_cast<Qos>(qos));
  }
  // A lane that is alone is charged when its time comes to a millisecond or somebody joins it, not
  // before: that decides where its next request begins.
  void settle() {
    alone_ = false;
    if (late_ == 0) return;
    charge_claim(lines[late_id_].app, lines[late_id_].qos, late_);
    late_ = 0;
  }
  // One in each place.
  Claim& claim_at(int app, unsigned qos) {
    claims_.resize(apps.size());
    return claims_[app][apps[app].foreground ? qos : qos_count + qos];
  }
  [[nodiscard]] bool runs(int app, unsigned qos) const {
    return runs_fair() && lines[runs_].app == app && lines[runs_].qos == qos;
  }
  [[nodiscard]] bool has_ready(int app, unsigned qos) const {
    for (const Line& line : lines)
      if (line.ready && is_fair(line) && line.app == app && line.qos == qos) return true;
    return false;
  }
  [[nodiscard]] bool waits(int app, unsigned qos) const {
    return has_ready(app, qos) && !runs(app, qos);
  }
  [[nodiscard]] int front(int app, unsigned qos) const {
    int best = -1;
    for (int id = 0; id < count(); ++id)
      if (lines[id].ready && is_fair(lines[id]) && lines[id].app == app && lines[id].qos == qos)
        if (best < 0 || lines[id].turn < lines[best].turn) best = id;
    return best;
  }
  [[nodiscard]] std::set<unsigned> waiting() const {
    std::set<unsigned> set;
    for (int app = 0; app < apps_count(); ++app)
      for (unsigned q = 0; q < qos_count; ++q)
        if (waits(app, q)) set.insert(bucket(app, q));
    return set;
  }

  // --- fair shares ---

  [[nodiscard]] Wide ticks(int app, Time ns) const { return Wide{ns} * 1024 / apps[app].weight; }
  static Wide floor_div(Wide a, Wide b) { return a / b - (a % b < 0 ? 1 : 0); }
  void advance(unsigned b) {
    Wide sum = 0, weight = 0;
    for (int app = 0; app < apps_count(); ++app)
      for (unsigned q = 0; q < qos_count; ++q)
        if (const Claim& claim = claim_at(app, q); claim.active && claim.home == b) {
          sum += apps[app].weight * claim.runtime;
          weight += apps[app].weight;
        }
    if (weight != 0) buckets_[b].time = std::max(buckets_[b].time, floor_div(sum, weight));
  }
  [[nodiscard]] bool eligible(const Claim& claim) const {
    return claim.eligible <= buckets_[claim.home].time;
  }
  void begin_request(int app, Claim& claim) {
    claim.eligible = claim.runtime;
    claim.deadline = claim.runtime + ticks(app, p_.slice_ns);
  }
  void join(int app, unsigned qos) {
    Claim& claim = claim_at(app, qos);
    if (claim.active) return;
    const unsigned b = bucket(app, qos);
    advance(b);
    const Wide time = buckets_[b].time;
    if (claim.home != b) claim.runtime = time;
    claim.runtime = std::clamp(claim.runtime, time, time + ticks(app, p_.debt_limit_ns));
    claim.home = b;
    claim.active = true;
    begin_request(app, claim);
    advance(b);
  }
  // The bucket's time moves when somebody comes, is served or is looked for. So those who leave in
  // between do so at once, in whatever order this file happens to visit them.
  void leave(int app, unsigned qos) { claim_at(app, qos).active = false; }
  void charge_claim(int app, unsigned qos, Time ran) {
    Claim& claim = claim_at(app, qos);
    claim.runtime += ticks(app, ran);
    advance(claim.home);
    claim.runtime =
        std::min(claim.runtime, buckets_[claim.home].time + ticks(app, p_.debt_limit_ns));
    if (claim.runtime >= claim.deadline) begin_request(app, claim);
  }

  // --- buckets ---

  // Claims compete while they have work; buckets that have somebody who waits after they had nobody
  // get a deadline, except the one that was served until now.
  void update(Time now) {
    for (int app = 0; app < apps_count(); ++app)
      for (unsigned q = 0; q < qos_count; ++q) {
        const bool competes = has_ready(app, q) || runs(app, q);
        if (competes) join(app, q);
        if (!competes && claim_at(app, q).active) leave(app, q);
      }
    const std::set<unsigned> now_waiting = waiting();
    for (unsigned b : now_waiting)
      if (!waiting_before_.contains(b) && b != running_)
        buckets_[b].deadline = now + p_.latency_ns[b];
    waiting_before_ = now_waiting;
  }
  void note_waiting(Time) {
    std::set<unsigned> set;
    for (int app = 0; app < apps_count(); ++app)
      for (unsigned q = 0; q < qos_count; ++q)
        if (waits(app, q) && claim_at(app, q).active) set.insert(bucket(app, q));
    waiting_before_ = set;
  }

  // The running lane goes on in a bucket that was not selected, and that becomes runnable by this
  // if nobody waits there.
  void run_besides(Time now) {
    const unsigned b = bucket_of_line(runs_);
    if (!waiting().contains(b)) buckets_[b].deadline = now + p_.latency_ns[b];
    right_ = Right::besides;
    running_ = b;
  }

  void select(Time now) {
    const std::set<unsigned> set = waiting();
    if (window_ != bucket_count) {
      if (set.contains(window_) && window_left_ > 0) {
        running_ = window_;
        right_ = Right::window;
        return;
      }
      window_ = bucket_count;
    }
    unsigned earliest = *set.begin();
    for (unsigned b : set)
      if (buckets_[b].deadline < buckets_[earliest].deadline) earliest = b;
    if (earliest != *set.begin()) {
      for (unsigned b : set) {
        if (b < earliest && buckets_[b].warp > 0) {
          running_ = b;
          right_ = Right::warp;
          return;
        }
      }
      window_ = earliest;
      window_left_ = p_.window_ns[earliest];
    }
    running_ = earliest;
    right_ = window_ == earliest ? Right::window : Right::deadline;
    buckets_[earliest].deadline = now + p_.latency_ns[earliest];
    buckets_[earliest].warp = p_.warp_ns[earliest];
  }

  void charge_bucket(Time ran, Time now) {
    Bucket& bucket = buckets_[running_];
    if (right_ == Right::window) window_left_ -= std::min(window_left_, ran);
    if (right_ == Right::warp) bucket.warp -= std::min(bucket.warp, ran);
    if (right_ != Right::deadline) return;
    bucket.deadline = now + p_.latency_ns[running_];
    for (Time t = now; const unsigned b : waiting()) {
      if (b <= running_ || buckets_[b].deadline >= bucket.deadline) continue;
      // It has warped since its own deadline passed this one.
      const Time since =
          buckets_[b].deadline - std::min(buckets_[b].deadline, p_.latency_ns[running_]);
      if (since < t) {
        const Time before = std::min(ran, now - t), after = std::min(ran, now - since);
        bucket.warp -= std::min(bucket.warp, after - before);
        t = since;
      }
    }
  }

  // --- frames ---

  void roll(Line& line, Time now) {
    while (now >= due(line)) line.start += line.period, line.left = line.budget;
  }
  Time consume(Line& line, Time ran, Time now) {
    Time at = now - ran, excess = 0;
    while (true) {
      roll(line, at);
      const Time until = std::min(now, due(line));
      const Time taken = std::min(until - at, line.left);
      line.left -= taken;
      excess += until - at - taken;
      at = until;
      if (at == now) return excess;
    }
  }

  ScheduleParameters p_;
  std::array<Bucket, bucket_count> buckets_;
  std::vector<std::array<Claim, 2 * qos_count>> claims_;
  std::set<unsigned> waiting_before_;
  unsigned running_ = bucket_count;  // the bucket that runs
  unsigned window_ = bucket_count;
  Time window_left_ = 0;
  Right right_ = Right::none;
  int runs_ = -1;
  static constexpr Time settle_after = 1'000'000;
  bool alone_ = false;  // the running lane has been the only one with work since its pick
  Time late_ = 0;       // not charged yet, of
  int late_id_ = 0;
  std::uint64_t turns_ = 0;
};

}  // namespace lichen::sched::test
