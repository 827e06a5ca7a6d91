#include "lichen/driver/virtio/console.hpp"

#include <bit>
#include <cstring>
#include <new>
#include <utility>

#include "lichen/driver/virtio/start.hpp"
#include "lichen/io/operation.hpp"

// Runs seldom and is a large part of an image, so it is made small, not fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

namespace lichen::driver::virtio {

namespace {

// 5.3.3, 5.3.4.
constexpr Features has_size = Features{1} << 0;
constexpr Features has_several_ports = Features{1} << 1;
enum Field : std::size_t { columns = 0, rows = 2, port_limit = 4 };
constexpr std::uint16_t control_queue = 2;

// 5.3.6.2.
enum Event : std::uint16_t {
  device_ready = 0,
  device_add = 1,
  device_remove = 2,
  port_ready = 3,
  console_port = 4,
  resize = 5,
  port_open = 6,
  port_name = 7,
};

std::uint16_t receive_queue_of(unsigned port) noexcept {
  return static_cast<std::uint16_t>(port == 0 ? 0 : 2 * port + 2);
}

template <class T>
T number_at(std::span<const std::byte> bytes, std::size_t at) noexcept {
  T value;
  std::memcpy(&value, &bytes[at], sizeof value);
  return value;
}

}  // namespace

ConsoleDevice::ConsoleDevice(Transport& transport) noexcept
    : transport_{transport}, home_{*coro::this_core()} {}

Task<Result<std::unique_ptr<ConsoleDevice>>> ConsoleDevice::open(Transport& transport,
                                                                 DeviceMemory& memory,
                                                                 ConsoleOptions options) noexcept {
  if (transport.kind() != DeviceKind::console) co_return Error::not_supported;
  if (options.ports == 0 || options.ports > most_ports || options.buffer_size == 0)
    co_return Error::invalid_argument;
  const io::Stay stay = co_await io::StayOn{*coro::this_core()};
  const Features features = CO_TRY(
      co_await begin(transport, {.wanted = feature::packed_ring | feature::event_index | has_size |
                                           (options.several_ports ? has_several_ports : 0)}));
  std::unique_ptr<ConsoleDevice> device{new (std::nothrow) ConsoleDevice{transport}};
  if (!device) co_return Error::no_memory;
  CO_TRY(device->create(memory, features, options));
  CO_TRY(device->enable());
  co_return std::move(device);
}

Result<void> ConsoleDevice::create(DeviceMemory& memory, Features features,
                                   const ConsoleOptions& options) noexcept {
  vector_ = transport_.vectors() != 0 ? Vector{0} : no_vector;
  several_ = (features & has_several_ports) != 0;
  sized_ = (features & has_size) != 0;
  const unsigned limit = several_ ? std::min(transport_.config32(port_limit), options.ports) : 1U;
  if (limit == 0) return Error::not_supported;
  for (unsigned i = 0; i < limit; ++i) {
    auto port = ConsolePort::create(*this, transport_, memory, features,
                                    {.receive_queue = receive_queue_of(i),
                                     .vector = vector_,
                                     .buffer_size = options.buffer_size,
                                     .patience_ns = options.patience_ns});
    // What it does not have, or the bus cannot reach.
    if (i != 0 && port.failed_with(Error::not_found)) break;
    ports_[i].port = TRY(std::move(port));
  }
  if (!several_) return {};
  const auto queue = [&](std::uint16_t index, std::uint16_t size) {
    return Queue::create(transport_, memory, features,
                         {.index = index, .most_descriptors = size, .vector = vector_});
  };
  Queue receive = TRY(queue(control_queue, incoming));
  Queue send = TRY(queue(control_queue + 1, outgoing));
  SharedMemory shared =
      TRY(SharedMemory::allocate(memory, incoming * incoming_size + outgoing * message_size));
  control_.emplace(std::move(receive), std::move(send), std::move(shared));
  return {};
}

Result<void> ConsoleDevice::enable() noexcept {
  TRY(transport_.set_config_vector(vector_));
  for (Port& one : ports_)
    if (one.port) TRY(one.port->enable());
  if (control_) {
    TRY(control_->receive.enable());
    TRY(control_->send.enable());
    control_->send.interrupts_off();
  }
  TRY(finish(transport_));
  for (Port& one : ports_)
    if (one.port) one.port->post_all();
  if (sized_) read_size();
  if (!control_) {
    ports_[0].added = true;
    ports_[0].port->set_open(true);
    return {};
  }
  for (unsigned slot = 0; slot < incoming && control_->receive.has_room(1); ++slot)
    post_message(slot);
  control_->receive.publish();
  // An interrupt for what comes, unless it is here already.
  if (!control_->receive.interrupts_on()) interrupted();
  send(0, device_ready, 1);
  return {};
}

ConsoleDevice::~ConsoleDevice() {
  if (reset_now(transport_)) return;
  for (Port& one : ports_)
    if (one.port) one.port->abandon();
  if (!control_) return;
  control_->receive.abandon();
  control_->send.abandon();
  control_->memory.abandon();
}

ConsolePort* ConsoleDevice::port(unsigned number) noexcept {
  return number < ports_.size() && ports_[number].added ? ports_[number].port.get() : nullptr;
}

Task<Result<ConsolePort*>> ConsoleDevice::find(std::string_view name) noexcept {
  if (!several_) co_return Error::not_supported;
  const io::Stay stay = co_await io::StayOn{home_};
  for (;;) {
    if (broken_) co_return Error::io_failed;
    changed_.reset();
    for (Port& one : ports_) {
      if (!one.added || one.port->name() != name) continue;
      one.owed |= open_here;
      send_owed();
      co_return one.port.get();
    }
    CO_TRY(co_await changed_.wait());
  }
}

// Nobody but the ports' users may go on with what it was.
void ConsoleDevice::port_failed() noexcept {
  broken_ = true;
  begin_reset(transport_);
  for (Port& one : ports_)
    if (one.port) one.port->fail();
  changed_.set();
}

void ConsoleDevice::read_size() noexcept {
  const io::ConsoleSize size = read_config(transport_, [](Transport& from) {
    return io::ConsoleSize{.columns = from.config16(columns), .rows = from.config16(rows)};
  });
  ports_[0].port->set_size(size);
}

void ConsoleDevice::post_message(unsigned slot) noexcept {
  const std::array<Segment, 1> room{
      Segment{control_->memory.address(slot * incoming_size), incoming_size}};
  control_->receive.add({.read = {}, .written = room}, static_cast<std::uint16_t>(slot));
}

// A device that never ends to talk gets no more than this at a time.
void ConsoleDevice::take_messages() noexcept {
  for (unsigned count = 0; count < 2 * incoming; ++count) {
    const Result<Used> used = control_->receive.take();
    if (used) {
      take_message(
          control_->memory.bytes().subspan(used->token * incoming_size).first(used->written));
      post_message(used->token);
      continue;
    }
    if (!used.failed_with(Error::would_block)) return port_failed();
    control_->receive.publish();
    if (control_->receive.interrupts_on()) return;
  }
  control_->receive.publish();
  interrupted();
}

void ConsoleDevice::take_message(std::span<const std::byte> message) noexcept {
  if (message.size() < message_size) return void(++bad_messages_);
  const auto number = number_at<std::uint32_t>(message, 0);
  const auto event = number_at<std::uint16_t>(message, 4);
  const auto value = number_at<std::uint16_t>(message, 6);
  const std::span<const std::byte> rest = message.subspan(message_size);
  if (number >= ports_.size() || !ports_[number].port) {
    // 5.3.6.2: one that cannot be used is refused. Those beyond are not told of; there may be many.
    if (event != device_add) return void(++bad_messages_);
    if (number < ports_.size()) ports_[number].owed |= refused;
    return;
  }
  Port& one = ports_[number];
  if (event != device_add && !one.added) return void(++bad_messages_);
  switch (event) {
    case device_add:
      one.added = true;
      one.owed |= ready;
      break;
    case device_remove:
      one.added = false;
      one.owed = 0;
      one.port->is_console_ = false;
      one.port->set_name({});
      one.port->set_open(false);
      break;
    case console_port:
      one.port->is_console_ = true;
      one.owed |= open_here;
      break;
    case resize:
      if (rest.size() < 4) return void(++bad_messages_);
      one.port->set_size({.columns = number_at<std::uint16_t>(rest, 0),
                          .rows = number_at<std::uint16_t>(rest, 2)});
      break;
    case port_open: one.port->set_open(value != 0); break;
    case port_name: one.port->set_name(rest); break;
    default: ++bad_messages_; return;
  }
  changed_.set();
}

bool ConsoleDevice::send(std::uint32_t port, std::uint16_t event, std::uint16_t value) noexcept {
  if (free_messages_ == 0 || !control_->send.has_room(1)) return false;
  const auto slot = static_cast<unsigned>(std::countr_zero(free_messages_));
  const std::size_t at = incoming * incoming_size + slot * message_size;
  std::byte* const to = &control_->memory.bytes()[at];
  std::memcpy(to, &port, sizeof port);
  std::memcpy(to + 4, &event, sizeof event);
  std::memcpy(to + 6, &value, sizeof value);
  const std::array<Segment, 1> piece{Segment{control_->memory.address(at), message_size}};
  control_->send.add({.read = piece, .written = {}}, static_cast<std::uint16_t>(slot));
  control_->send.publish();
  free_messages_ &= ~(1U << slot);
  return true;
}

void ConsoleDevice::send_owed() noexcept {
  for (;;) {
    const Result<Used> used = control_->send.take();
    if (used.failed_with(Error::would_block)) break;
    if (!used) return port_failed();
    free_messages_ |= 1U << used->token;
  }
  bool all = true;
  for (std::uint32_t i = 0; i < ports_.size(); ++i) {
    const auto settle = [&](Owed what, std::uint16_t event, std::uint16_t value) {
      if ((ports_[i].owed & what) == 0) return;
      if (send(i, event, value))
        ports_[i].owed &= static_cast<std::uint8_t>(~what);
      else
        all = false;
    };
    settle(refused, port_ready, 0);
    settle(ready, port_ready, 1);
    settle(open_here, port_open, 1);
  }
  if (!all && !control_->send.interrupts_on()) interrupted();
}

bool ConsoleDevice::deliver() noexcept {
  if (!told_.take()) return false;
  if (broken_) return true;
  if ((transport_.status() & status::needs_reset) != 0) {
    port_failed();
    return true;
  }
  if (sized_) read_size();
  if (control_) {
    take_messages();
    if (!broken_) send_owed();
  }
  for (Port& one : ports_)
    if (one.port) one.port->wake();
  return true;
}

}  // namespace lichen::driver::virtio

#pragma clang attribute pop
