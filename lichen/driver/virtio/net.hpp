// A virtio network card (virtio 1.2, 5.1): one or several pairs of queues, each the io::NetDevice
// of a core, with interrupts of its own there; and what they have in common. The card as a whole is
// its first pair.
//
// Which pair a frame comes in by the device chooses: by a hash of addresses and ports, with a key
// of ours (5.1.6.5.6.4), where it can; else a flow stays with the pair that sends it (automatic
// steering, 5.1.6.5.6.1).
//
// When the device breaks down, says so, lies, or stops sending without a word, it is reset at once:
// what it had is dropped and counted, and the task that receives by the first pair brings it up
// again, after it has seen to it on each core that nobody uses the rings. Meanwhile what is sent is
// dropped and counted, too: to the stack above it is a link on which frames get lost.
//
//            fault()                                            restart()
//   up ─────────────────> stopping ──> (resetting) ──> stopped ────────────> up
//     its lies, its silence,     reset             it is   each pair: stop();
//     needs_reset                                          3.1.1; each pair: start()
//
// Until the device has confirmed the reset, which most do at once, it may still read what was lent
// to it; one that has not done so for a second is taken for dead.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lichen/base/result.hpp"
#include "lichen/coro/core.hpp"
#include "lichen/coro/event.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/driver/virtio/memory.hpp"
#include "lichen/driver/virtio/net_bits.hpp"
#include "lichen/driver/virtio/net_control.hpp"
#include "lichen/driver/virtio/net_pair.hpp"
#include "lichen/driver/virtio/start.hpp"
#include "lichen/driver/virtio/transport.hpp"
#include "lichen/io/net_device.hpp"

namespace lichen::driver::virtio {

// 5.1.6.5.7: how long, and for how many frames, the device may hold an interrupt back. 0: not at
// all.
struct Coalescing {
  std::uint32_t frames = 0;
  std::uint32_t microseconds = 0;
};

struct NetOptions {
  // One pair for each, as far as the device has so many. The calling core comes first; none: it
  // alone. What this refers to is used by open() only.
  std::span<coro::Core* const> cores{};
  // Each pair's interrupts go to its core. Null: the first three go wherever they are taken.
  InterruptRouter* router = nullptr;
  // Random, for several pairs: what comes is steered by it where the device can
  // (VIRTIO_NET_F_RSS). All zero: the device steers as it likes.
  std::array<std::uint8_t, io::Steering::key_size> steering_key{};
  bool offload = true;  // checksums and segmentation
  // Forms of the ring, if the device knows them.
  bool packed_ring = true;
  bool event_index = true;
  bool indirect_descriptors = true;
  std::uint16_t queue_size = 256;
  unsigned receive_buffers = 512;  // of each pair, at most 65,536
  std::size_t buffer_size = 2048;  // of both directions
  unsigned assembled_frames = 8;   // see NetReceive
  std::uint16_t send_frames = 128;
  std::size_t mtu = 1500;  // where the device has none of its own
  Polling polling{};
  // Where the device can (VIRTIO_NET_F_NOTF_COAL).
  Coalescing received{};
  Coalescing sent{};
};

// Which interrupt is whose.
class VectorPlan {
 public:
  VectorPlan(unsigned pairs, Vector vectors) noexcept
      : per_pair_{vectors > 2 * pairs ? 2U
                  : vectors > pairs   ? 1U
                                      : 0U},
        any_{vectors != 0} {}

  static constexpr Vector configuration = 0;
  // The same as the other's, or as that of the configuration, if there are too few.
  [[nodiscard]] Vector receive(unsigned pair) const noexcept {
    if (!any_) return no_vector;
    return static_cast<Vector>(per_pair_ == 0 ? 0 : 1 + per_pair_ * pair);
  }
  [[nodiscard]] Vector send(unsigned pair) const noexcept {
    return static_cast<Vector>(receive(pair) + (per_pair_ == 2 ? 1 : 0));
  }
  [[nodiscard]] unsigned per_pair() const noexcept { return per_pair_; }

 private:
  unsigned per_pair_;
  bool any_;
};

struct NetCounters {
  std::uint64_t faults = 0;  // the device lied, broke down or stopped
  std::uint64_t starts = 0;
  std::uint64_t link_changes = 0;
};

class NetCard final : public io::NetDevice {
 public:
  // For the calling core. Transport and memory MUST outlive it; buffers lent MUST be given back
  // before it ends. Errors: not_supported (no network card, or one without what we need: version 1,
  // an address), invalid_argument (options), no_memory, timed_out (it does not answer), io_failed.
  static Task<Result<std::unique_ptr<NetCard>>> open(Transport& transport, DeviceMemory& memory,
                                                     NetOptions options = {}) noexcept;
  // Of several pairs close() MUST have ended.
  ~NetCard() override;
  // On the card's core, when nobody uses it any more: no core has anything of it any more.
  Task<Result<void>> close() noexcept;

  [[nodiscard]] unsigned pairs() const noexcept { return static_cast<unsigned>(pairs_.size()); }
  [[nodiscard]] NetPair& pair(unsigned index) noexcept { return *pairs_[index]; }
  [[nodiscard]] VectorPlan plan() const noexcept { return plan_; }

  // In a handler, on any core: takes note. Then deliver() is to be called on the card's core, and
  // that of each other pair that has news on its.
  void interrupted(Vector vector) noexcept;
  void interrupted_by_line() noexcept;
  // Between two tasks on the card's core: wakes those who wait for what interrupts told. True if
  // there was anything.
  bool deliver() noexcept;

  // As those of the first pair.
  [[clang::coro_wrapper]] Task<Result<std::size_t>> receive(
      std::span<io::ReceivedFrame> into) override {
    return pairs_[0]->receive(into);
  }
  [[clang::coro_wrapper]] Task<Result<std::size_t>> send(
      std::span<const io::OutgoingFrame> frames) override {
    return pairs_[0]->send(frames);
  }
  bool is_short_of_buffers() noexcept override { return pairs_[0]->is_short_of_buffers(); }
  Task<Result<io::LinkState>> link_changed(io::LinkState seen) override;
  std::array<std::byte, 6> address() const noexcept override { return address_; }
  std::size_t mtu() const noexcept override { return mtu_; }
  io::NetFeatures features() const noexcept override { return offloads_; }
  const io::Steering* steering() const noexcept override {
    return steering_.queues != 0 ? &steering_ : nullptr;
  }

  // On any core.
  [[nodiscard]] bool link_is_up() const noexcept {
    return link_is_up_.load(std::memory_order_relaxed);
  }

  // On the card's core, and kept through resets once it is done. Errors: not_supported (by this
  // device), and those of NetControl::command().
  Task<Result<void>> set_address(std::array<std::byte, 6> address) noexcept;
  // Frames for others come in, too. A device that cannot be asked does as it likes.
  Task<Result<void>> set_promiscuous(bool on) noexcept;

  // On the card's core.
  [[nodiscard]] NetCounters counters() const noexcept {
    return {.faults = faults_.load(std::memory_order_relaxed),
            .starts = starts_,
            .link_changes = link_changes_};
  }
  [[nodiscard]] Features agreed() const noexcept { return agreed_; }

 private:
  friend class NetPair;
  enum class State : std::uint8_t { up, stopping, resetting, stopped };

  NetCard(Transport& transport, DeviceMemory& memory, const NetOptions& options,
          Features agreed) noexcept;
  Result<void> read_configuration() noexcept;
  Result<void> create_queues(std::span<coro::Core* const> cores) noexcept;
  Task<Result<void>> steer() noexcept;
  void plan_vectors(std::span<coro::Core* const> cores) noexcept;
  Result<void> enable() noexcept;
  // What the device forgets at a reset, and the pairs on their cores.
  Task<Result<void>> configure() noexcept;
  Task<Result<void>> start_pairs() noexcept;
  Task<Result<void>> restart() noexcept;
  void look_at_link() noexcept;

  [[nodiscard]] State state() const noexcept { return state_.load(std::memory_order_acquire); }
  // On the core of any pair.
  void fault() noexcept;

  Transport& transport_;
  DeviceMemory& memory_;
  const NetOptions options_;  // without the cores
  const Features agreed_;
  const io::NetFeatures offloads_;
  coro::Core& home_;
  std::array<std::byte, 6> address_{};
  std::size_t mtu_ = 0;
  unsigned most_pairs_ = 1;       // of the device
  std::uint32_t hash_types_ = 0;  // by which it can steer
  io::Steering steering_;
  VectorPlan plan_{1, 0};
  std::vector<std::unique_ptr<NetPair>> pairs_;
  std::unique_ptr<NetControl> control_;
  bool address_is_set_ = false;
  bool promiscuous_is_set_ = false;
  bool promiscuous_ = false;
  std::atomic<bool> configuration_told_{false};  // by interrupts
  std::atomic<State> state_{State::stopped};
  RestartPause restart_pause_;
  std::atomic<bool> link_is_up_{true};
  bool announce_ = false;  // the device waits for that
  io::LinkState link_;
  coro::Event link_news_;
  std::atomic<std::uint64_t> faults_{0};
  std::uint64_t starts_ = 0;
  std::uint64_t link_changes_ = 0;
};

}  // namespace lichen::driver::virtio
