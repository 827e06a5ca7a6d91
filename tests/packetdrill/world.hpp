// World: our TCP/IP in virtual time, with packets and calls as its only inputs. Time moves when
// somebody waits: in usleep() and netdev_receive(), by exactly as much as is waited for. It stands
// still while code runs, but for a microsecond each time it is asked for, as its readers expect
// that waiting in a loop comes to an end.
//
// A blocking call comes on a second thread. So that nothing depends on how threads are scheduled,
// time never moves while another thread of the process runs: whoever is about to move it waits
// until all others sleep, which is in a blocking call here or in a lock outside.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "lichen/net/ip/stack.hpp"
#include "lichen/net/tcp/engine.hpp"

namespace lichen::packetdrill {

namespace ip = net::ip;
namespace tcp = net::tcp;
namespace wire = net::wire;

struct Setup {
  tcp::EngineConfig tcp;
  wire::IpAddress local4 = *wire::IpAddress::parse("192.168.0.1");
  wire::IpAddress local6 = *wire::IpAddress::parse("fd3d:a0b:17d6::1");
  std::uint16_t mtu = 1'500;
};

class World final : tcp::Output,
                    tcp::Observer,
                    tcp::Memory,
                    ip::Transport,
                    ip::FrameOutput,
                    io::BufferOwner {
 public:
  using Lock = std::unique_lock<std::mutex>;

  World() = default;
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();

  // All that follows wants it.
  std::mutex mutex;

  // Until then there is nothing but time.
  void start(const Setup& setup);
  [[nodiscard]] bool started() const noexcept { return engine_ != nullptr; }

  [[nodiscard]] std::uint64_t now() const noexcept { return now_; }
  [[nodiscard]] tcp::Engine& engine() noexcept { return *engine_; }
  [[nodiscard]] ip::Stack& stack() noexcept { return *stack_; }

  // Time goes on by a microsecond.
  std::uint64_t ask_time(Lock& lock);
  void sleep(Lock& lock, std::uint64_t ns);
  // An IP packet for the stack. An address that it is for becomes ours.
  void send(Lock& lock, std::span<const std::byte> packet);
  struct Packet {
    std::vector<std::byte> bytes;
    std::uint64_t at;
  };
  // The next packet of the stack; moves time until there is one. Without bytes: none will ever
  // come.
  Packet receive(Lock& lock);
  // Waits for `ready`, or for the time. Whether it is ready.
  bool wait(Lock& lock, std::uint64_t deadline, const std::function<bool()>& ready);
  // After each call: what it made possible for a waiter happens now.
  void called(Lock& lock);
  // The address becomes ours.
  void own(const wire::IpAddress& address);

 private:
  struct Waiter {
    const std::function<bool()>& ready;
    std::uint64_t deadline;
    std::condition_variable wake = {};
  };

  // tcp::Output, Observer, Memory
  bool transmit(const tcp::Outgoing& segment) noexcept override;
  void changed(tcp::Connection&, std::uint8_t) noexcept override {}
  void acceptable(tcp::Listener&) noexcept override {}
  void* allocate(std::size_t size) noexcept override { return std::malloc(size); }
  void free(void* memory, std::size_t) noexcept override { std::free(memory); }
  // ip::Transport, FrameOutput
  ip::Verdict receive(const ip::Arrival& arrival, std::uint64_t now) noexcept override;
  bool failed(const wire::Quote& quote, const ip::Failure& failure,
              std::uint64_t now) noexcept override;
  bool transmit(const ip::Frame& frame) noexcept override;
  void give_back(std::span<std::byte> whole) noexcept override { delete[] whole.data(); }

  void input(std::uint16_t type, std::span<const std::byte> payload);
  void answer_arp(std::span<const std::byte> payload);
  bool answer_solicitation(const wire::Ipv6Packet& packet);
  io::Buffer copy_of(std::span<const std::byte> bytes);
  [[nodiscard]] std::uint64_t next_event() const noexcept;
  // Does what is due until then, and is there.
  void move_to(std::uint64_t time);
  void settle();
  void wake_ready(Lock& lock);
  static void let_others_run(Lock& lock);

  std::uint64_t now_ = 1'000 * tcp::second;
  std::unique_ptr<ip::Stack> stack_;
  ip::Interface* interface_ = nullptr;
  std::unique_ptr<tcp::Engine> engine_;
  std::deque<Packet> sent_;
  std::vector<std::vector<std::byte>> answers_;  // of neighbours, to be received
  std::vector<Waiter*> waiters_;
  int movers_ = 0;  // threads that are about to move time
};

}  // namespace lichen::packetdrill
