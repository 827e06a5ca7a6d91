// InetCores: io::Network by our own TCP/IP on several cores that share one device. A connection
// lives on one core with all that belongs to it: of an app that listens on several cores (with
// share_port) each core has its share of them; what is opened belongs to the core that opens it,
// and so do sockets for datagrams: a port of theirs is one core's. Names and the conversation with
// the network (DHCP, routers, groups) are the first core's.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "lichen/base/result.hpp"
#include "lichen/coro/task.hpp"
#include "lichen/io/net_device.hpp"
#include "lichen/io/system.hpp"
#include "lichen/net/inet/crossing.hpp"
#include "lichen/net/inet/inet.hpp"

namespace lichen::net::inet {

class InetCores final : public io::Network {
 public:
  // Errors: no_memory, out_of_range (no core, or more than coro::max_cores).
  static Result<std::unique_ptr<InetCores>> create(unsigned cores, const InetOptions& options);
  InetCores(const InetCores&) = delete;
  InetCores& operator=(const InetCores&) = delete;
  // Nobody may use it any more, and run() MUST have ended.
  ~InetCores() override;

  // On each of the cores, one after the other, before run(). `queues`: of each device the one for
  // this core; they MUST outlive this, and any that only sends will do but for the first core. What
  // of a connection comes from a queue of another core is passed on. Errors: as of Inet::create().
  Result<void> add(std::span<io::NetDevice* const> queues);
  Result<void> add(io::NetDevice& queue);

  // As Inet's.
  Task<Result<void>> run();
  Task<Result<void>> up(Duration limit);

  // The listener, and the connections it accepts, belong to the calling core. With share_port other
  // cores may listen there, too, and share what comes; without, all of it comes here.
  Task<Result<std::unique_ptr<io::Listener>>> listen(io::Address at,
                                                     io::ListenOptions options = {}) override;
  Task<Result<std::unique_ptr<io::Stream>>> connect(io::Address to) override;
  Task<Result<std::unique_ptr<io::Datagram>>> bind(io::Address at) override;
  [[nodiscard]] io::Address service_address(std::uint16_t port) const override {
    return inets_[0]->service_address(port);
  }
  [[nodiscard]] io::Address reachable_at(const io::Address& at) const override {
    return inets_[0]->reachable_at(at);
  }
  [[clang::coro_wrapper]] Task<Result<io::Address>> reachable_elsewhere(io::Address at,
                                                                        io::Address seen) override {
    return inets_[0]->reachable_elsewhere(at, seen);
  }
  Task<Result<std::vector<io::Address>>> resolve(std::string_view host,
                                                 std::uint16_t port) override;

  [[nodiscard]] unsigned cores() const noexcept { return static_cast<unsigned>(inets_.size()); }
  // Of one core, for that core.
  [[nodiscard]] Inet& on(unsigned place) noexcept { return *inets_[place]; }
  [[nodiscard]] const CrossingCounters& counters(unsigned place) noexcept {
    return crossing_->counters(place);
  }

 private:
  InetCores(std::unique_ptr<Crossing> crossing, const InetOptions& options)
      : options_{options}, crossing_{std::move(crossing)} {}
  // The calling core's, or the first.
  Inet& here() noexcept;

  const InetOptions options_;
  const std::unique_ptr<Crossing> crossing_;
  std::vector<std::unique_ptr<Inet>> inets_;
  std::array<Inet*, coro::max_cores> by_core_{};
};

}  // namespace lichen::net::inet
