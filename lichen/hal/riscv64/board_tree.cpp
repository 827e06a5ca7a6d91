#include "lichen/hal/riscv64/board_tree.hpp"

#include <algorithm>

namespace lichen::hal::detail {

namespace {

using Path = std::span<const TreeNode>;

constexpr std::uint64_t address_end = std::uint64_t{1} << 56;

// Of the interrupt controller's binding: causes of a hart's interrupts (privileged architecture
// 1.12, table 4.2).
constexpr std::uint32_t supervisor_external = 9;

BoardRange range(std::uint64_t begin, std::uint64_t size) noexcept {
  if (begin >= address_end || size > address_end - begin) return {};
  return {begin, size};
}

class Reader {
 public:
  Reader(const FlatTree& tree, BoardTree& board) noexcept : tree_{tree}, board_{board} {}

  void take(Path path) noexcept;
  // When all nodes are known: what one of them says of another.
  void finish() noexcept;

 private:
  // Where a node's device waits for its interrupts to be looked at.
  struct Wire {
    std::uint32_t controller = 0;
    std::uint32_t line = 0;
  };

  [[nodiscard]] TreeBytes value(const TreeNode& node, std::string_view name) const noexcept {
    return tree_.value(node, name);
  }
  [[nodiscard]] std::uint32_t number(const TreeNode& node, std::string_view name) const noexcept {
    return cell(value(node, name), 0);
  }
  [[nodiscard]] std::uint64_t from_bus(Path path, std::uint64_t address,
                                       std::uint64_t size) const noexcept;
  [[nodiscard]] BoardRange registers(Path path) const noexcept;
  [[nodiscard]] Wire wire(const TreeNode& node) const noexcept;
  [[nodiscard]] std::uint32_t line_of(Wire wire) const noexcept;
  void take_at_root(const TreeNode& node, const TreeNode& root) noexcept;
  void take_hart(const TreeNode& node, const TreeNode& harts) noexcept;
  void take_device(Path path) noexcept;
  void take_pci(Path path) noexcept;
  void take_pci_lines(const TreeNode& node) noexcept;
  void find_contexts() noexcept;
  void add_ranges(TreeBytes reg, const TreeNode& parent, auto& found) noexcept;

  const FlatTree& tree_;
  BoardTree& board_;
  BoardHart* hart_ = nullptr;    // whose node is being read
  bool timer_registers_ = true;  // of all harts until now
  std::uint32_t hart_timebase_ = 0;
  TreeBytes contexts_;
  std::array<Wire, 32> virtio_wires_{};
  Wire serial_wire_;
  Wire calendar_wire_;
  std::uint32_t pci_controller_ = 0;
};

constexpr std::uint64_t nowhere = UINT64_MAX;

// What a processor uses for `address` on the bus that the last but one of the path is.
std::uint64_t Reader::from_bus(Path path, std::uint64_t address,
                               std::uint64_t size) const noexcept {
  for (std::size_t i = path.size() - 1; i > 1; --i) {
    const TreeNode& bus = path[i - 1];
    const TreeNode& above = path[i - 2];
    const auto ranges = tree_.property(bus, "ranges");
    if (!ranges) return nowhere;
    if (ranges->empty()) continue;  // the same
    const std::uint32_t step = bus.address_cells + above.address_cells + bus.size_cells;
    std::uint64_t there = nowhere;
    for (std::size_t at = 0; step != 0 && (at + step) * 4 <= ranges->size(); at += step) {
      const std::uint64_t begin = cells(*ranges, at, bus.address_cells);
      const std::uint64_t length =
          cells(*ranges, at + bus.address_cells + above.address_cells, bus.size_cells);
      if (address < begin || address - begin > length || size > length - (address - begin))
        continue;
      there = cells(*ranges, at + bus.address_cells, above.address_cells) + (address - begin);
      break;
    }
    if (there == nowhere) return nowhere;
    address = there;
  }
  return address;
}

BoardRange Reader::registers(Path path) const noexcept {
  if (path.size() < 2) return {};
  const TreeNode& parent = path[path.size() - 2];
  const TreeBytes reg = value(path.back(), "reg");
  if (reg.size() / 4 < parent.address_cells + parent.size_cells) return {};
  const std::uint64_t size = cells(reg, parent.address_cells, parent.size_cells);
  const std::uint64_t begin = from_bus(path, cells(reg, 0, parent.address_cells), size);
  return begin == nowhere ? BoardRange{} : range(begin, size);
}

// The first interrupt, if the number of it is one cell.
Reader::Wire Reader::wire(const TreeNode& node) const noexcept {
  if (const TreeBytes both = value(node, "interrupts-extended"); both.size() >= 8)
    return {cell(both, 0), cell(both, 1)};
  return {node.interrupt_parent, number(node, "interrupts")};
}

std::uint32_t Reader::line_of(Wire wire) const noexcept {
  const BoardPlic& plic = board_.plic;
  return plic.registers && wire.controller == plic.phandle && wire.line <= plic.lines ? wire.line
                                                                                      : 0;
}

void Reader::add_ranges(TreeBytes reg, const TreeNode& parent, auto& found) noexcept {
  const std::uint32_t step = parent.address_cells + parent.size_cells;
  for (std::size_t at = 0; step != 0 && (at + step) * 4 <= reg.size(); at += step) {
    const BoardRange one = range(cells(reg, at, parent.address_cells),
                                 cells(reg, at + parent.address_cells, parent.size_cells));
    if (one) found.add(one);
  }
}

void Reader::take_at_root(const TreeNode& node, const TreeNode& root) noexcept {
  if (tree_text(value(node, "device_type")) == "memory")
    add_ranges(value(node, "reg"), root, board_.memory);
  if (node.name == "chosen") {
    board_.words = tree_text(value(node, "bootargs"));
    board_.seed = value(node, "rng-seed");
  }
  if (node.name == "cpus") board_.clock_hertz = number(node, "timebase-frequency");
}

void Reader::take_hart(const TreeNode& node, const TreeNode& harts) noexcept {
  hart_ = nullptr;
  if (tree_text(value(node, "device_type")) != "cpu") return;
  if (hart_timebase_ == 0) hart_timebase_ = number(node, "timebase-frequency");
  if (tree_text(value(node, "status")) == "disabled") return;
  const auto id = static_cast<std::uint32_t>(cells(value(node, "reg"), 0, harts.address_cells));
  if (!board_.harts.add({.id = id})) return;
  hart_ = &board_.harts.all().back();
  timer_registers_ = timer_registers_ && tree_text(value(node, "riscv,isa")).contains("_sstc");
}

void Reader::take_device(Path path) noexcept {
  const TreeNode& node = path.back();
  const TreeBytes kinds = value(node, "compatible");
  if (kinds.empty() || tree_text(value(node, "status")) == "disabled") return;
  const auto is = [kinds](std::string_view kind) { return tree_lists(kinds, kind); };
  if (is("virtio,mmio")) {
    const std::size_t index = board_.virtio.all().size();
    if (const BoardRange where = registers(path); where && board_.virtio.add({where, 0}))
      virtio_wires_[index] = wire(node);
  } else if (is("riscv,plic0") || is("sifive,plic-1.0.0")) {
    if (board_.plic.registers) return;  // of several the first
    board_.plic = {registers(path), std::min(number(node, "riscv,ndev"), BoardPlic::most_lines),
                   number(node, "phandle")};
    contexts_ = value(node, "interrupts-extended");
  } else if (is("ns16550a")) {
    const std::uint32_t shift = number(node, "reg-shift");
    const BoardRange where = registers(path);
    if (board_.serial.device || shift > 3 || where.size < 8U << shift) return;
    board_.serial = {{where, 0}, shift};
    serial_wire_ = wire(node);
  } else if (is("google,goldfish-rtc")) {
    const BoardRange where = registers(path);
    if (where.size < 8) return;
    board_.calendar = {where, 0};
    calendar_wire_ = wire(node);
  } else if (is("sifive,test1")) {
    board_.test_device = registers(path).begin;
  } else if (is("pci-host-ecam-generic")) {
    take_pci(path);
  }
}

// PCI Bus Binding to IEEE 1275: an address has three cells, of which the first says what it is.
void Reader::take_pci(Path path) noexcept {
  constexpr std::uint32_t pci_cells = 3;
  constexpr std::uint32_t size_cells = 2;
  constexpr unsigned bus_shift = 20;
  enum : std::uint32_t { memory_32 = 2, memory_64 = 3 };
  const TreeNode& node = path.back();
  if (board_.pci.configuration || path.size() < 2) return;
  if (node.address_cells != pci_cells || node.size_cells != size_cells) return;
  const BoardRange configuration = registers(path);
  const TreeBytes buses = value(node, "bus-range");
  const std::uint32_t first = cell(buses, 0);
  const std::uint32_t last = buses.empty() ? 255 : cell(buses, 1);
  if (first > last || last > 255) return;
  if (configuration.size >> bus_shift < last - first + 1) return;
  board_.pci.configuration = configuration;
  board_.pci.first_bus = first;
  board_.pci.last_bus = last;
  const TreeNode& parent = path[path.size() - 2];
  const TreeBytes ranges = value(node, "ranges");
  const std::uint32_t step = pci_cells + parent.address_cells + size_cells;
  for (std::size_t at = 0; (at + step) * 4 <= ranges.size(); at += step) {
    const std::uint32_t kind = cell(ranges, at) >> 24 & 3;
    if (kind != memory_32 && kind != memory_64) continue;
    const std::uint64_t size = cells(ranges, at + pci_cells + parent.address_cells, size_cells);
    const std::uint64_t begin =
        from_bus(path, cells(ranges, at + pci_cells, parent.address_cells), size);
    if (const BoardRange memory = begin == nowhere ? BoardRange{} : range(begin, size))
      board_.pci.windows.add(
          {.bus = cells(ranges, at + 1, 2), .memory = memory, .wide = kind == memory_64});
  }
  take_pci_lines(node);
}

// Entries of an address (its first cell has the device's number from bit 11 on), a pin from 1, and
// a line of a controller without addresses.
void Reader::take_pci_lines(const TreeNode& node) noexcept {
  const TreeBytes map = value(node, "interrupt-map");
  pci_controller_ = cell(map, 4);
  constexpr std::size_t step = 6;
  for (std::size_t at = 0; (at + step) * 4 <= map.size(); at += step) {
    const std::uint32_t device = cell(map, at) >> 11 & 31;
    const std::uint32_t pin = cell(map, at + 3);
    if (cell(map, at + 4) == pci_controller_ && device < 4 && pin >= 1 && pin <= 4)
      board_.pci.lines[device][pin - 1] = cell(map, at + 5);
  }
}

void Reader::take(Path path) noexcept {
  const TreeNode& node = path.back();
  const TreeNode root{};
  const TreeNode& parent = path.size() > 1 ? path[path.size() - 2] : root;
  if (path.size() == 2) take_at_root(node, parent);
  if (path.size() == 3 && parent.name == "reserved-memory")
    add_ranges(value(node, "reg"), parent, board_.reserved);
  if (path.size() == 3 && parent.name == "cpus") take_hart(node, parent);
  if (path.size() == 4 && path[1].name == "cpus" && hart_ &&
      tree_.property(node, "interrupt-controller"))
    hart_->controller = number(node, "phandle");
  take_device(path);
}

// The PLIC's contexts are numbered as the interrupts that it pulls are listed: pairs of a hart's
// controller and a cause.
void Reader::find_contexts() noexcept {
  const std::uint64_t size = board_.plic.registers.size;
  if (size < BoardPlic::first_context) return;
  const std::uint64_t count =
      std::min(contexts_.size() / 8, (size - BoardPlic::first_context) / BoardPlic::context_size);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t controller = cell(contexts_, 2 * i);
    if (controller == 0 || cell(contexts_, 2 * i + 1) != supervisor_external) continue;
    for (BoardHart& hart : board_.harts.all())
      if (hart.controller == controller) hart.context = static_cast<std::uint32_t>(i);
  }
}

void Reader::finish() noexcept {
  if (hart_timebase_ != 0 && board_.clock_hertz == 0) board_.clock_hertz = hart_timebase_;
  board_.has_timer_register = timer_registers_ && !board_.harts.all().empty();
  tree_.each_reserved([this](std::uint64_t begin, std::uint64_t size) {
    if (const BoardRange one = range(begin, size)) board_.reserved.add(one);
  });
  find_contexts();
  const std::span<BoardDevice> virtio = board_.virtio.all();
  for (std::size_t i = 0; i < virtio.size(); ++i) virtio[i].line = line_of(virtio_wires_[i]);
  std::ranges::sort(virtio, {}, [](const BoardDevice& one) { return one.registers.begin; });
  board_.serial.device.line = line_of(serial_wire_);
  board_.calendar.line = line_of(calendar_wire_);
  for (auto& device : board_.pci.lines)
    for (std::uint32_t& line : device) line = line_of({pci_controller_, line});
}

}  // namespace

Result<void> read_board(const FlatTree& tree, BoardTree& board) noexcept {
  Reader reader{tree, board};
  TRY(tree.each_node([&reader](Path path) { reader.take(path); }));
  reader.finish();
  return {};
}

}  // namespace lichen::hal::detail
