#include "lichen/hal/riscv64/board_tree.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <initializer_list>
#include <string>
#include <vector>

namespace lichen::hal::detail {
namespace {

// Writes a tree as firmware would.
class Tree {
 public:
  Tree& node(std::string_view name) {
    word(structure_, 1);
    bytes(structure_, name);
    return *this;
  }
  Tree& end() {
    word(structure_, 2);
    return *this;
  }
  Tree& text(std::string_view name, std::string_view value) {
    begin(name, value.size() + 1);
    bytes(structure_, value);
    return *this;
  }
  Tree& cells(std::string_view name, std::initializer_list<std::uint32_t> values) {
    begin(name, 4 * values.size());
    for (const std::uint32_t value : values) word(structure_, value);
    return *this;
  }
  Tree& token(std::uint32_t value) {
    word(structure_, value);
    return *this;
  }
  Tree& reserve(std::uint64_t at, std::uint64_t size) {
    for (const std::uint64_t value : {at, size}) {
      word(reserved_, static_cast<std::uint32_t>(value >> 32));
      word(reserved_, static_cast<std::uint32_t>(value));
    }
    return *this;
  }

  [[nodiscard]] std::vector<std::byte> finish() {
    token(9);
    reserve(0, 0);
    constexpr std::size_t header_size = FlatTree::header_size;
    const std::size_t structure_at = header_size + reserved_.size();
    const std::size_t names_at = structure_at + structure_.size();
    std::vector<std::byte> all;
    for (const std::size_t value :
         {std::size_t{0xd00d'feed}, names_at + names_.size(), structure_at, names_at, header_size,
          std::size_t{17}, std::size_t{16}, std::size_t{0}, names_.size(), structure_.size()})
      word(all, static_cast<std::uint32_t>(value));
    for (const auto* part : {&reserved_, &structure_, &names_})
      all.insert(all.end(), part->begin(), part->end());
    return all;
  }

 private:
  static void word(std::vector<std::byte>& to, std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8)
      to.push_back(static_cast<std::byte>(value >> shift));
  }
  static void bytes(std::vector<std::byte>& to, std::string_view value) {
    for (const char character : value) to.push_back(static_cast<std::byte>(character));
    do to.push_back(std::byte{0});
    while (to.size() % 4 != 0);
  }
  void begin(std::string_view name, std::size_t size) {
    word(structure_, 3);
    word(structure_, static_cast<std::uint32_t>(size));
    word(structure_, static_cast<std::uint32_t>(names_.size()));
    bytes(names_, name);
  }

  std::vector<std::byte> structure_, names_, reserved_;
};

constexpr std::uint32_t plic = 9;

void add_hart(Tree& tree, std::uint32_t id, std::uint32_t controller, const char* isa) {
  tree.node("cpu@" + std::to_string(id))
      .text("device_type", "cpu")
      .cells("reg", {id})
      .text("status", "okay")
      .text("riscv,isa", isa);
  tree.node("interrupt-controller")
      .cells("interrupt-controller", {})
      .cells("phandle", {controller})
      .end();
  tree.end();
}

void add_device(Tree& tree, const char* kind, std::uint32_t at, std::uint32_t size,
                std::uint32_t line) {
  tree.node("device")
      .text("compatible", kind)
      .cells("reg", {0, at, 0, size})
      .cells("interrupts", {line})
      .cells("interrupt-parent", {plic})
      .end();
}

Tree begin_board() {
  Tree tree;
  tree.node("").cells("#address-cells", {2}).cells("#size-cells", {2});
  return tree;
}

void add_harts(Tree& tree, const char* second_isa = "rv64gc_sstc") {
  tree.node("cpus")
      .cells("#address-cells", {1})
      .cells("#size-cells", {0})
      .cells("timebase-frequency", {10'000'000});
  add_hart(tree, 0, 2, "rv64gc_sstc");
  add_hart(tree, 1, 4, second_isa);
  tree.end();
}

void add_plic(Tree& tree) {
  tree.node("plic@c000000")
      .text("compatible", std::string_view{"sifive,plic-1.0.0\0riscv,plic0", 30})
      .cells("reg", {0, 0x0c00'0000, 0, 0x60'0000})
      .cells("riscv,ndev", {96})
      .cells("phandle", {plic})
      .cells("interrupts-extended", {2, 11, 2, 9, 4, 11, 4, 9})
      .end();
}

struct Board {
  std::vector<std::byte> bytes;
  BoardTree board;
  Result<void> outcome;

  explicit Board(Tree& tree) : bytes{tree.finish()}, outcome{read()} {}
  Result<void> read() { return read_board(TRY(FlatTree::create(bytes)), board); }
};

TEST(BoardTree, TellsTheMachine) {
  Tree tree = begin_board();
  tree.reserve(0x8000'0000, 0x8'0000);
  tree.node("chosen").text("bootargs", "one two").cells("rng-seed", {1, 2, 3, 4}).end();
  tree.node("memory@80000000")
      .text("device_type", "memory")
      .cells("reg", {0, 0x8000'0000, 1, 0, 4, 0, 0, 0x1000})
      .end();
  add_harts(tree);
  tree.node("reserved-memory").cells("#address-cells", {2}).cells("#size-cells", {2});
  tree.node("firmware@0").cells("reg", {0, 0x8010'0000, 0, 0x2000}).end().end();
  tree.end();
  const Board read{tree};
  ASSERT_TRUE(read.outcome);
  const BoardTree& board = read.board;
  ASSERT_EQ(board.memory.all().size(), 2);
  EXPECT_EQ(board.memory.all()[0].begin, 0x8000'0000);
  EXPECT_EQ(board.memory.all()[0].size, 0x1'0000'0000);
  EXPECT_EQ(board.memory.all()[1].begin, 0x4'0000'0000);
  ASSERT_EQ(board.reserved.all().size(), 2);
  EXPECT_EQ(board.reserved.all()[0].begin, 0x8010'0000);
  EXPECT_EQ(board.reserved.all()[1].size, 0x8'0000);
  EXPECT_EQ(board.words, "one two");
  EXPECT_EQ(board.seed.size(), 16);
  EXPECT_EQ(board.clock_hertz, 10'000'000);
  EXPECT_TRUE(board.has_timer_register);
  ASSERT_EQ(board.harts.all().size(), 2);
  EXPECT_EQ(board.harts.all()[1].id, 1);
  EXPECT_EQ(board.harts.all()[1].controller, 4);
  EXPECT_FALSE(board.plic.registers);
}

TEST(BoardTree, OneHartWithoutTimerIsEnough) {
  Tree tree = begin_board();
  add_harts(tree, "rv64gc");
  tree.end();
  const Board read{tree};
  ASSERT_TRUE(read.outcome);
  EXPECT_FALSE(read.board.has_timer_register);
}

TEST(BoardTree, TellsTheDevices) {
  Tree tree = begin_board();
  add_harts(tree);
  tree.node("soc").cells("#address-cells", {2}).cells("#size-cells", {2}).cells("ranges", {});
  add_device(tree, "virtio,mmio", 0x1000'2000, 0x1000, 2);
  add_device(tree, "virtio,mmio", 0x1000'1000, 0x1000, 1);
  add_device(tree, "virtio,mmio", 0x1000'3000, 0x1000, 97);  // the controller has no such line
  add_device(tree, "virtio,mmio", 0x1000'4000, 0, 4);        // no registers
  add_device(tree, "ns16550a", 0x1000'0000, 0x100, 10);
  add_device(tree, "google,goldfish-rtc", 0x10'1000, 0x1000, 11);
  add_device(tree, "sifive,test1", 0x10'0000, 0x1000, 0);
  add_plic(tree);
  tree.end().end();
  const Board read{tree};
  ASSERT_TRUE(read.outcome);
  const BoardTree& board = read.board;
  ASSERT_EQ(board.virtio.all().size(), 3);
  EXPECT_EQ(board.virtio.all()[0].registers.begin, 0x1000'1000);
  EXPECT_EQ(board.virtio.all()[0].line, 1);
  EXPECT_EQ(board.virtio.all()[1].registers.size, 0x1000);
  EXPECT_EQ(board.virtio.all()[1].line, 2);
  EXPECT_EQ(board.virtio.all()[2].line, 0);
  EXPECT_EQ(board.serial.device.registers.begin, 0x1000'0000);
  EXPECT_EQ(board.serial.device.line, 10);
  EXPECT_EQ(board.calendar.line, 11);
  EXPECT_EQ(board.test_device, 0x10'0000);
  EXPECT_EQ(board.plic.registers.begin, 0x0c00'0000);
  EXPECT_EQ(board.plic.lines, 96);
  EXPECT_EQ(board.harts.all()[0].context, 1);
  EXPECT_EQ(board.harts.all()[1].context, 3);
}

TEST(BoardTree, TranslatesThroughBuses) {
  Tree tree = begin_board();
  add_plic(tree);
  tree.node("soc").cells("#address-cells", {1}).cells("#size-cells", {1});
  tree.cells("ranges", {0x1000, 0, 0x4000'0000, 0x1000, 0x8000, 0, 0x5000'0000, 0x1000});
  tree.cells("interrupt-parent", {plic});
  tree.node("a").text("compatible", "virtio,mmio").cells("reg", {0x8200, 0x200});
  tree.cells("interrupts", {7}).end();
  tree.node("b").text("compatible", "virtio,mmio").cells("reg", {0x2000, 0x200}).end();
  tree.node("c").text("compatible", "virtio,mmio").cells("reg", {0x1f00, 0x200}).end();
  tree.end();
  tree.node("closed").cells("#address-cells", {1}).cells("#size-cells", {1});
  tree.node("d").text("compatible", "virtio,mmio").cells("reg", {0x1000, 0x200}).end();
  tree.end().end();
  const Board read{tree};
  ASSERT_TRUE(read.outcome);
  ASSERT_EQ(read.board.virtio.all().size(), 1);
  EXPECT_EQ(read.board.virtio.all()[0].registers.begin, 0x5000'0200);
  EXPECT_EQ(read.board.virtio.all()[0].line, 7);
}

TEST(BoardTree, TellsOfPci) {
  Tree tree = begin_board();
  add_plic(tree);
  tree.node("pci@30000000")
      .text("compatible", "pci-host-ecam-generic")
      .cells("#address-cells", {3})
      .cells("#size-cells", {2})
      .cells("reg", {0, 0x3000'0000, 0, 0x1000'0000})
      .cells("bus-range", {0, 255})
      .cells("ranges", {0x0100'0000, 0, 0,           0, 0x0300'0000, 0, 0x1'0000,     //
                        0x0200'0000, 0, 0x4000'0000, 0, 0x4000'0000, 0, 0x4000'0000,  //
                        0x0300'0000, 4, 0,           4, 0,           4, 0})
      .cells("interrupt-map",
             {0, 0, 0, 1, plic, 32, 0x800, 0, 0, 2, plic, 34, 0x800, 0, 0, 3, 7, 35})
      .end()
      .end();
  const Board read{tree};
  ASSERT_TRUE(read.outcome);
  const BoardPci& pci = read.board.pci;
  EXPECT_EQ(pci.configuration.begin, 0x3000'0000);
  EXPECT_EQ(pci.last_bus, 255);
  ASSERT_EQ(pci.windows.all().size(), 2);
  EXPECT_EQ(pci.windows.all()[0].memory.begin, 0x4000'0000);
  EXPECT_FALSE(pci.windows.all()[0].wide);
  EXPECT_EQ(pci.windows.all()[1].bus, 0x4'0000'0000);
  EXPECT_TRUE(pci.windows.all()[1].wide);
  EXPECT_EQ(pci.lines[0][0], 32);
  EXPECT_EQ(pci.lines[1][1], 34);
  EXPECT_EQ(pci.lines[1][2], 0);
}

// A board with the APLIC's two domains and the files of both modes, as far as they are asked for.
struct Advanced {
  bool messages = true;
  std::uint32_t own_size = 0x8000;  // of the domain of supervisor mode
  std::uint32_t guest_bits = 0;
  std::uint32_t trigger = 4;
  std::uint32_t files_size = 0x2000;

  static constexpr std::uint32_t machine = 11, own = 12, machine_files = 13, own_files = 14;

  void add_domain(Tree& tree, std::uint32_t at, std::uint32_t size, std::uint32_t phandle,
                  std::uint32_t files, std::uint32_t cause) const {
    tree.node("aplic").text("compatible", "riscv,aplic").cells("reg", {0, at, 0, size});
    tree.cells("riscv,num-sources", {96}).cells("phandle", {phandle});
    if (messages)
      tree.cells("msi-parent", {files});
    else
      tree.cells("interrupts-extended", {2, cause, 4, cause});
    tree.end();
  }
  void add_files(Tree& tree, std::uint32_t at, std::uint32_t phandle, std::uint32_t cause) const {
    tree.node("imsics").text("compatible", "riscv,imsics");
    tree.cells("reg", {0, at, 0, files_size, 0, at + 0x10'0000, 0, files_size});
    tree.cells("riscv,num-ids", {255}).cells("phandle", {phandle});
    tree.cells("riscv,guest-index-bits", {guest_bits});
    tree.cells("interrupts-extended", {2, cause, 4, cause}).end();
  }
  [[nodiscard]] Tree tree() const {
    Tree tree = begin_board();
    add_harts(tree);
    tree.node("pci@30000000")
        .text("compatible", "pci-host-ecam-generic")
        .cells("#address-cells", {3})
        .cells("#size-cells", {2})
        .cells("reg", {0, 0x3000'0000, 0, 0x1000'0000})
        .cells("interrupt-map", {0, 0, 0, 1, own, 32, trigger, 0x800, 0, 0, 2, own, 34, trigger})
        .end();
    tree.node("a").text("compatible", "virtio,mmio").cells("reg", {0, 0x1000'1000, 0, 0x1000});
    tree.cells("interrupts-extended", {own, 7, trigger}).end();
    add_domain(tree, 0x0c00'0000, 0x8000, machine, machine_files, 11);
    add_domain(tree, 0x0d00'0000, own_size, own, own_files, 9);
    if (messages) {
      add_files(tree, 0x2400'0000, machine_files, 11);
      add_files(tree, 0x2800'0000, own_files, 9);
    }
    tree.end();
    return tree;
  }
};

TEST(BoardTree, TellsOfAnAplicThatPullsTheHarts) {
  Tree tree = Advanced{.messages = false}.tree();
  const Board read{tree};
  ASSERT_TRUE(read.outcome);
  const BoardTree& board = read.board;
  EXPECT_EQ(board.aplic.registers.begin, 0x0d00'0000);
  EXPECT_EQ(board.aplic.lines, 96);
  EXPECT_FALSE(board.aplic.by_messages);
  EXPECT_EQ(board.message_identities, 0);
  EXPECT_EQ(board.harts.all()[0].context, 0);
  EXPECT_EQ(board.harts.all()[1].context, 1);
  EXPECT_EQ(board.harts.all()[1].messages, 0);
  EXPECT_EQ(board.virtio.all()[0].line, 7);
  EXPECT_EQ(board.pci.lines[0][0], 32);
  EXPECT_EQ(board.pci.lines[1][1], 34);
  EXPECT_EQ(board.aplic.trigger[7], BoardAplic::high_level);
  EXPECT_EQ(board.aplic.trigger[34], BoardAplic::high_level);
  EXPECT_EQ(board.aplic.trigger[8], 0);
}

TEST(BoardTree, TellsOfAnAplicThatSendsMessages) {
  Tree tree = Advanced{.trigger = 1}.tree();
  const Board read{tree};
  ASSERT_TRUE(read.outcome);
  const BoardTree& board = read.board;
  EXPECT_EQ(board.aplic.registers.begin, 0x0d00'0000);
  EXPECT_TRUE(board.aplic.by_messages);
  EXPECT_EQ(board.message_identities, 255);
  EXPECT_EQ(board.harts.all()[0].messages, 0x2800'0000);
  EXPECT_EQ(board.harts.all()[1].messages, 0x2800'1000);
  EXPECT_EQ(board.harts.all()[0].context, 0);
  EXPECT_EQ(board.harts.all()[1].context, 1);
  EXPECT_EQ(board.virtio.all()[0].line, 7);
  EXPECT_EQ(board.aplic.trigger[7], BoardAplic::rising_edge);
}

// Files of guests lie between those of the harts, and what does not fit lies in the next range.
TEST(BoardTree, PlacesTheFilesOfHarts) {
  const auto second = [](const Advanced& how) {
    Tree tree = how.tree();
    const Board read{tree};
    EXPECT_TRUE(read.outcome);
    return read.board.harts.all()[1];
  };
  EXPECT_EQ(second({.guest_bits = 2, .files_size = 0x8000}).messages, 0x2800'4000);
  EXPECT_EQ(second({.guest_bits = 2, .files_size = 0x8000}).context, 1);
  EXPECT_EQ(second({.files_size = 0x1000}).messages, 0x2810'0000);
  EXPECT_EQ(second({.files_size = 0x800}).messages, 0) << "half a page is none";
  EXPECT_EQ(second({.guest_bits = 1, .files_size = 0x1800}).messages, 0) << "nor is one across two";
  EXPECT_EQ(second({.guest_bits = 8}).messages, 0) << "no such hart has so many guests";
}

TEST(BoardTree, BelievesNoAplic) {
  const auto lines = [](const Advanced& how) {
    Tree tree = how.tree();
    const Board read{tree};
    EXPECT_TRUE(read.outcome);
    return read.board.aplic.lines;
  };
  EXPECT_EQ(lines({.own_size = 0x3fff}), 0);
  EXPECT_EQ(lines({.messages = false, .own_size = 0x3fff}), 0);
  Tree short_one = Advanced{.messages = false, .own_size = 0x4020}.tree();
  const Board few{short_one};
  EXPECT_EQ(few.board.harts.all()[0].context, 0);
  EXPECT_EQ(few.board.harts.all()[1].context, BoardHart::no_context);
  Tree strange = Advanced{.trigger = 3}.tree();
  const Board no_trigger{strange};
  EXPECT_EQ(no_trigger.board.virtio.all()[0].line, 0);
  EXPECT_EQ(no_trigger.board.pci.lines[0][0], 0);
}

TEST(BoardTree, RefusesWhatIsNone) {
  Tree tree = begin_board();
  tree.end();
  const std::vector<std::byte> whole = tree.finish();
  ASSERT_TRUE(FlatTree::create(whole));
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_TRUE(FlatTree::create(TreeBytes{whole}.first(size)).failed_with(Error::protocol_error));
  auto huge = whole;
  huge[5] = std::byte{0xff};
  EXPECT_TRUE(FlatTree::create(huge).failed_with(Error::too_large));
  auto old = whole;
  old[23] = std::byte{16};
  EXPECT_TRUE(FlatTree::create(old).failed_with(Error::not_supported));
}

// A structure that ends anywhere: the header says so, or the token is another one.
TEST(BoardTree, RefusesABrokenStructure) {
  Tree tree = begin_board();
  add_harts(tree);
  add_plic(tree);
  tree.end();
  const std::vector<std::byte> whole = tree.finish();
  const std::uint32_t structure = cell(whole, 2);
  const std::uint32_t size = cell(whole, 9);
  for (std::uint32_t at = 0; at < size; at += 4) {
    auto cut = whole;
    for (unsigned i = 0; i < 4; ++i) cut[36 + i] = static_cast<std::byte>(at >> (24 - 8 * i));
    BoardTree board;
    EXPECT_TRUE(read_board(*FlatTree::create(cut), board).failed_with(Error::protocol_error)) << at;
  }
  auto wrong = whole;
  wrong[structure + 3] = std::byte{7};
  BoardTree board;
  EXPECT_TRUE(read_board(*FlatTree::create(wrong), board).failed_with(Error::protocol_error));
}

TEST(BoardTree, RefusesTooMuch) {
  Tree deep;
  for (std::size_t i = 0; i <= FlatTree::deepest; ++i) deep.node("x");
  EXPECT_TRUE(Board{deep}.outcome.failed_with(Error::limit_reached));
  Tree wide = begin_board();
  wide.node("bus").cells("#address-cells", {0xffff'ffff}).end().end();
  EXPECT_TRUE(Board{wide}.outcome.failed_with(Error::protocol_error));
  Tree many = begin_board();
  for (std::uint32_t i = 0; i < 40; ++i) add_device(many, "virtio,mmio", i * 0x1000, 0x1000, 1);
  many.end();
  const Board read{many};
  ASSERT_TRUE(read.outcome);
  EXPECT_EQ(read.board.virtio.all().size(), 32);
}

// A hart that may not be used must not lend its controller to the one before it.
TEST(BoardTree, LeavesOutDisabledHarts) {
  Tree tree = begin_board();
  tree.node("cpus").cells("#address-cells", {1}).cells("#size-cells", {0});
  add_hart(tree, 0, 2, "rv64gc");
  tree.node("cpu@1").text("device_type", "cpu").cells("reg", {1}).text("status", "disabled");
  tree.node("interrupt-controller").cells("interrupt-controller", {}).cells("phandle", {4}).end();
  tree.end().end();
  add_plic(tree);
  tree.end();
  const Board read{tree};
  ASSERT_TRUE(read.outcome);
  ASSERT_EQ(read.board.harts.all().size(), 1);
  EXPECT_EQ(read.board.harts.all()[0].controller, 2);
  EXPECT_EQ(read.board.harts.all()[0].context, 1);
}

}  // namespace
}  // namespace lichen::hal::detail
