#include "lichen/hal/riscv64/board_tree.hpp"

#include <algorithm>
#include <bit>

namespace lichen::hal::detail {

namespace {

using Path = std::span<const TreeNode>;

constexpr std::uint64_t address_end = std::uint64_t{1} << 56;

// Of the interrupt controller's binding: causes of a hart's interrupts (privileged architecture
// 1.12, table 4.2).
constexpr std::uint32_t supervisor_external = 9;

// A controller's list of the interrupts that it pulls: pairs of a hart's controller and a cause.
std::size_t pairs(TreeBytes list) noexcept { return list.size() / 8; }
bool pulls_supervisor(TreeBytes list, std::size_t index) noexcept {
  return cell(list, 2 * index) != 0 && cell(list, 2 * index + 1) == supervisor_external;
}
bool pulls_supervisors(TreeBytes list) noexcept {
  for (std::size_t i = 0; i < pairs(list); ++i)
    if (pulls_supervisor(list, i)) return true;
  return false;
}

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
    std::uint32_t trigger = 0;  // if its specifier has it
  };
  // Of the machine's mode, too; which of them is ours is known in the end.
  struct Aplic {
    BoardRange registers;
    std::uint32_t lines = 0;
    std::uint32_t phandle = 0;
    std::uint32_t message_parent = 0;
    TreeBytes harts;
  };
  struct Imsic {
    Found<BoardRange, 8> files{};
    std::uint32_t phandle = 0;
    std::uint32_t identities = 0;
    // What an address tells of a hart: bits above that of a page.
    std::uint32_t guest_bits = 0;
    std::uint32_t hart_bits = 0;
    std::uint32_t group_bits = 0;
    std::uint32_t group_shift = 0;
    TreeBytes harts;
  };

  [[nodiscard]] TreeBytes value(const TreeNode& node, std::string_view name) const noexcept {
    return tree_.value(node, name);
  }
  [[nodiscard]] std::uint32_t number(const TreeNode& node, std::string_view name) const noexcept {
    return cell(value(node, name), 0);
  }
  [[nodiscard]] std::uint64_t from_bus(Path path, std::uint64_t address,
                                       std::uint64_t size) const noexcept;
  [[nodiscard]] BoardRange registers(Path path, std::size_t index = 0) const noexcept;
  [[nodiscard]] Wire wire(const TreeNode& node) const noexcept;
  std::uint32_t line_of(Wire wire) noexcept;
  void take_at_root(const TreeNode& node, const TreeNode& root) noexcept;
  void take_hart(const TreeNode& node, const TreeNode& harts) noexcept;
  void take_device(Path path) noexcept;
  void take_pci(Path path) noexcept;
  void take_imsic(Path path) noexcept;
  void find_contexts() noexcept;
  void find_files() noexcept;
  void find_aplic() noexcept;
  void place_files(const Imsic& imsic) noexcept;
  void find_pci_lines() noexcept;
  template <class Use>
  void each_hart_of(TreeBytes list, Use use) noexcept;
  void number_harts(TreeBytes list, std::uint64_t count) noexcept;
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
  TreeBytes pci_map_;
  Found<Aplic, 8> aplics_;
  Found<Imsic, 4> imsics_;
  const Imsic* files_ = nullptr;  // the harts'; null: they have none
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

BoardRange Reader::registers(Path path, std::size_t index) const noexcept {
  if (path.size() < 2) return {};
  const TreeNode& parent = path[path.size() - 2];
  const TreeBytes reg = value(path.back(), "reg");
  const std::size_t step = parent.address_cells + parent.size_cells;
  const std::size_t at = index * step;
  if (reg.size() / 4 < at + step) return {};
  const std::uint64_t size = cells(reg, at + parent.address_cells, parent.size_cells);
  const std::uint64_t begin = from_bus(path, cells(reg, at, parent.address_cells), size);
  return begin == nowhere ? BoardRange{} : range(begin, size);
}

// The first interrupt. What follows its number is for some controllers a part of it.
Reader::Wire Reader::wire(const TreeNode& node) const noexcept {
  if (const TreeBytes all = value(node, "interrupts-extended"); all.size() >= 8)
    return {cell(all, 0), cell(all, 1), cell(all, 2)};
  const TreeBytes specifier = value(node, "interrupts");
  return {node.interrupt_parent, cell(specifier, 0), cell(specifier, 1)};
}

std::uint32_t Reader::line_of(Wire wire) noexcept {
  const BoardPlic& plic = board_.plic;
  if (plic.registers && wire.controller == plic.phandle && wire.line <= plic.lines)
    return wire.line;
  BoardAplic& aplic = board_.aplic;
  if (!aplic.registers || wire.controller != aplic.phandle || wire.line > aplic.lines) return 0;
  using enum BoardAplic::Trigger;
  switch (wire.trigger) {
    case rising_edge:
    case falling_edge:
    case high_level:
    case low_level: aplic.trigger[wire.line] = static_cast<std::uint8_t>(wire.trigger); break;
    default: return 0;
  }
  return wire.line;
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
  } else if (is("riscv,aplic")) {
    aplics_.add({.registers = registers(path),
                 .lines = std::min(number(node, "riscv,num-sources"), BoardAplic::most_lines),
                 .phandle = number(node, "phandle"),
                 .message_parent = number(node, "msi-parent"),
                 .harts = value(node, "interrupts-extended")});
  } else if (is("riscv,imsics")) {
    take_imsic(path);
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
  pci_map_ = value(node, "interrupt-map");
}

// Entries of an address (its first cell has the device's number from bit 11 on), a pin from 1, and
// a line of a controller without addresses, which says how many cells that has.
void Reader::find_pci_lines() noexcept {
  constexpr std::size_t before_line = 5;
  const std::uint32_t controller = cell(pci_map_, 4);
  const std::size_t step =
      before_line + (board_.aplic.registers && controller == board_.aplic.phandle ? 2 : 1);
  for (std::size_t at = 0; (at + step) * 4 <= pci_map_.size(); at += step) {
    const std::uint32_t device = cell(pci_map_, at) >> 11 & 31;
    const std::uint32_t pin = cell(pci_map_, at + 3);
    if (cell(pci_map_, at + 4) == controller && device < 4 && pin >= 1 && pin <= 4)
      board_.pci.lines[device][pin - 1] = line_of(
          {controller, cell(pci_map_, at + before_line), cell(pci_map_, at + before_line + 1)});
  }
}

// Binding riscv,imsics.
void Reader::take_imsic(Path path) noexcept {
  constexpr std::uint32_t most_identities = 2047;
  const TreeNode& node = path.back();
  Imsic imsic{.phandle = number(node, "phandle"),
              .identities = std::min(number(node, "riscv,num-ids"), most_identities),
              .guest_bits = number(node, "riscv,guest-index-bits"),
              .group_bits = number(node, "riscv,group-index-bits"),
              .harts = value(node, "interrupts-extended")};
  const auto or_else = [&](std::string_view name, std::size_t usual) {
    const auto given = tree_.property(node, name);
    return given ? cell(*given, 0) : static_cast<std::uint32_t>(usual);
  };
  const std::size_t harts = pairs(imsic.harts);
  imsic.hart_bits = or_else("riscv,hart-index-bits", harts < 2 ? 0 : std::bit_width(harts - 1));
  imsic.group_shift = or_else("riscv,group-index-shift", 24);
  if (imsic.guest_bits > 7 || imsic.hart_bits > 15 || imsic.group_bits > 7 ||
      imsic.group_shift > 55)
    return;
  for (std::size_t i = 0; const BoardRange files = registers(path, i); ++i)
    if (!imsic.files.add(files)) break;
  imsics_.add(imsic);
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

// Calls use(hart, its place in the list).
template <class Use>
void Reader::each_hart_of(TreeBytes list, Use use) noexcept {
  for (std::size_t i = 0; i < pairs(list); ++i) {
    if (!pulls_supervisor(list, i)) continue;
    for (BoardHart& hart : board_.harts.all())
      if (hart.controller == cell(list, 2 * i)) use(hart, i);
  }
}

// Their contexts are their places in the list, of which the controller has so many.
void Reader::number_harts(TreeBytes list, std::uint64_t count) noexcept {
  each_hart_of(list, [count](BoardHart& hart, std::size_t at) {
    if (at < count) hart.context = static_cast<std::uint32_t>(at);
  });
}

// The PLIC's contexts are numbered as the interrupts that it pulls are listed.
void Reader::find_contexts() noexcept {
  const std::uint64_t size = board_.plic.registers.size;
  if (size < BoardPlic::first_context) return;
  const std::uint64_t count = (size - BoardPlic::first_context) / BoardPlic::context_size;
  number_harts(contexts_, count);
}

// The harts' interrupt files lie side by side, as the interrupts that they pull are listed.
void Reader::place_files(const Imsic& imsic) noexcept {
  constexpr std::uint64_t page_bits = 12;
  constexpr std::uint64_t page = std::uint64_t{1} << page_bits;
  each_hart_of(imsic.harts, [&](BoardHart& hart, std::size_t at) {
    std::uint64_t offset = at << (page_bits + imsic.guest_bits);
    for (const BoardRange& files : imsic.files.all()) {
      if (offset >= files.size) {
        offset -= files.size;
        continue;
      }
      const std::uint64_t where = files.begin + offset;
      if (files.size - offset >= page && where % page == 0) hart.messages = where;
      return;
    }
  });
}

// Of several that are for supervisor mode the first.
void Reader::find_files() noexcept {
  for (const Imsic& imsic : imsics_.all()) {
    if (!pulls_supervisors(imsic.harts) || imsic.identities == 0) continue;
    board_.message_identities = imsic.identities;
    files_ = &imsic;
    place_files(imsic);
    return;
  }
}

// Its domain for supervisor mode either pulls the harts' interrupts, or sends messages to their
// files.
void Reader::find_aplic() noexcept {
  for (const Aplic& aplic : aplics_.all()) {
    const bool by_messages = files_ && aplic.message_parent == files_->phandle;
    if (aplic.registers.size < BoardAplic::first_hart) continue;
    if (!by_messages && !pulls_supervisors(aplic.harts)) continue;
    board_.aplic.registers = aplic.registers;
    board_.aplic.lines = aplic.lines;
    board_.aplic.phandle = aplic.phandle;
    board_.aplic.by_messages = by_messages;
    if (!by_messages) {
      const std::uint64_t count =
          std::min((aplic.registers.size - BoardAplic::first_hart) / BoardAplic::hart_size,
                   std::uint64_t{BoardAplic::most_harts});
      number_harts(aplic.harts, count);
      return;
    }
    // AIA, 4.9.1: the number of a hart is what of its file's address differs from others'.
    const auto bits = [](std::uint64_t address, std::uint32_t shift, std::uint32_t width) {
      return static_cast<std::uint32_t>(address >> shift & ((std::uint64_t{1} << width) - 1));
    };
    for (BoardHart& hart : board_.harts.all()) {
      if (hart.messages == 0) continue;
      const std::uint32_t number = bits(hart.messages, 12 + files_->guest_bits, files_->hart_bits) |
                                   bits(hart.messages, files_->group_shift, files_->group_bits)
                                       << files_->hart_bits;
      if (number < BoardAplic::most_harts) hart.context = number;
    }
    return;
  }
}

void Reader::finish() noexcept {
  if (hart_timebase_ != 0 && board_.clock_hertz == 0) board_.clock_hertz = hart_timebase_;
  board_.has_timer_register = timer_registers_ && !board_.harts.all().empty();
  tree_.each_reserved([this](std::uint64_t begin, std::uint64_t size) {
    if (const BoardRange one = range(begin, size)) board_.reserved.add(one);
  });
  find_contexts();
  if (!board_.plic.registers) {
    find_files();
    find_aplic();
  }
  const std::span<BoardDevice> virtio = board_.virtio.all();
  for (std::size_t i = 0; i < virtio.size(); ++i) virtio[i].line = line_of(virtio_wires_[i]);
  std::ranges::sort(virtio, {}, [](const BoardDevice& one) { return one.registers.begin; });
  board_.serial.device.line = line_of(serial_wire_);
  board_.calendar.line = line_of(calendar_wire_);
  find_pci_lines();
}

}  // namespace

Result<void> read_board(const FlatTree& tree, BoardTree& board) noexcept {
  Reader reader{tree, board};
  TRY(tree.each_node([&reader](Path path) { reader.take(path); }));
  reader.finish();
  return {};
}

}  // namespace lichen::hal::detail
