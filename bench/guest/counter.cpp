// bench_counter: a plugin for QEMU 7.2 to 8.2 (its interface of version 1) that counts the
// instructions of an emulated machine by the place where they are. The counts are in a file that
// others may map and read meanwhile:
//
//   qemu-system-x86_64 -plugin bench_counter.so,counts=PATH[,lines=PATH] ...
//
// QEMU translates code in blocks. Each block has a counter here that is raised by its length
// whenever it is begun, so an interrupted block counts whole, and a halted processor counts
// nothing. The file is an array of Block; those with `length` 0 are free. Written by one thread:
// of several virtual processors counts are lost, unless one after the other runs (thread=single).
//
// `lines`: a file in the same manner with an array of Line: which cache lines atomic
// read-modify-writes have changed, from where, and which processors did it how often. A line that
// several have changed so is what locks and counters shared by cores are made of.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

// What of QEMU's interface is used here.
extern "C" {
using qemu_plugin_id_t = uint64_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info_t;
using qemu_plugin_meminfo_t = uint32_t;
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*callback)(qemu_plugin_id_t, qemu_plugin_tb*));
void qemu_plugin_register_vcpu_tb_exec_inline(qemu_plugin_tb* block, int operation, void* counter,
                                              uint64_t more);
size_t qemu_plugin_tb_n_insns(const qemu_plugin_tb* block);
uint64_t qemu_plugin_tb_vaddr(const qemu_plugin_tb* block);
qemu_plugin_insn* qemu_plugin_tb_get_insn(const qemu_plugin_tb* block, size_t index);
const void* qemu_plugin_insn_data(const qemu_plugin_insn* instruction);
size_t qemu_plugin_insn_size(const qemu_plugin_insn* instruction);
uint64_t qemu_plugin_insn_vaddr(const qemu_plugin_insn* instruction);
void qemu_plugin_register_vcpu_mem_cb(qemu_plugin_insn* instruction,
                                      void (*callback)(unsigned processor, qemu_plugin_meminfo_t,
                                                       uint64_t address, void* data),
                                      int flags, int kinds, void* data);
[[gnu::visibility("default")]] extern const int qemu_plugin_version;
[[gnu::visibility("default")]] int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info,
                                                       int count, char** words);
bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t info);
}

const int qemu_plugin_version = 1;

namespace {

constexpr int add_u64 = 0;       // QEMU_PLUGIN_INLINE_ADD_U64
constexpr int no_registers = 0;  // QEMU_PLUGIN_CB_NO_REGS
constexpr int writes = 2;        // QEMU_PLUGIN_MEM_W

struct Block {
  uint64_t address;
  uint64_t count;  // of instructions
  uint32_t length;
  uint16_t locked;  // instructions that keep others off the memory they change
  // It begins with an instruction that repeats itself (rep movsb and its like). QEMU begins a block
  // of it anew for each further step, where a processor counts one instruction.
  uint16_t repeats;
};
static_assert(sizeof(Block) == 24);

constexpr size_t blocks_size = size_t{1} << 20;
Block* blocks = nullptr;

constexpr size_t most_processors = 4;
struct Line {
  uint64_t at;    // the line's address divided by 64; 0: free
  uint64_t from;  // the instruction
  uint64_t counts[most_processors];
};
static_assert(sizeof(Line) == 48);

constexpr size_t lines_size = size_t{1} << 18;
Line* lines = nullptr;

// A byte string operation behind F2 or F3, whatever other prefixes there are.
bool repeats_itself(const qemu_plugin_insn* instruction) {
  const auto* bytes = static_cast<const uint8_t*>(qemu_plugin_insn_data(instruction));
  const size_t size = qemu_plugin_insn_size(instruction);
  bool prefix = false;
  for (size_t i = 0; i < size; ++i) {
    const uint8_t byte = bytes[i];
    if (byte == 0xF2 || byte == 0xF3) {
      prefix = true;
    } else if ((byte & 0xF0U) != 0x40 && byte != 0x66 && byte != 0x67) {  // not REX, size, address
      return prefix && ((byte >= 0x6C && byte <= 0x6F) || (byte >= 0xA4 && byte <= 0xA7) ||
                        (byte >= 0xAA && byte <= 0xAF));
    }
  }
  return false;
}

// An atomic read-modify-write: behind F0, or an exchange with memory, whatever other prefixes there
// are.
bool is_locked(const qemu_plugin_insn* instruction) {
  const auto* bytes = static_cast<const uint8_t*>(qemu_plugin_insn_data(instruction));
  const size_t size = qemu_plugin_insn_size(instruction);
  for (size_t i = 0; i < size; ++i) {
    const uint8_t byte = bytes[i];
    if (byte == 0xF0) return true;
    if ((byte & 0xF0U) == 0x40 || byte == 0x66 || byte == 0x67 || byte == 0x64 || byte == 0x65 ||
        byte == 0x2E || byte == 0x3E)
      continue;
    return (byte == 0x86 || byte == 0x87) && i + 1 < size && bytes[i + 1] < 0xC0;
  }
  return false;
}

// The place of a block, which keeps it when it is translated anew; null: the table is full.
Block* find(uint64_t address, uint32_t length, uint16_t repeats) {
  size_t at = (address ^ (address >> 17U)) * 0x9E3779B97F4A7C15U >> 44U;
  for (size_t tries = 0; tries < 1000; ++tries, ++at) {
    Block& block = blocks[at % blocks_size];
    if (block.length == 0) block = {address, 0, length, 0, repeats};
    if (block.address == address && block.length == length && block.repeats == repeats)
      return &block;
  }
  return nullptr;
}

void changed(unsigned processor, qemu_plugin_meminfo_t info, uint64_t address, void* data) {
  if (!qemu_plugin_mem_is_store(info)) return;  // what it reads is told, too
  const uint64_t line = address / 64;
  const auto from = reinterpret_cast<uint64_t>(data);
  size_t at = (line ^ from << 20U) * 0x9E3779B97F4A7C15U >> 46U;
  for (size_t tries = 0; tries < 1000; ++tries, ++at) {
    Line& place = lines[at % lines_size];
    if (place.at == 0) place = {line, from, {}};
    if (place.at != line || place.from != from) continue;
    ++place.counts[processor % most_processors];
    return;
  }
  constexpr const char message[] = "bench_counter: too many lines for the table\n";
  static_cast<void>(!write(STDERR_FILENO, message, sizeof message - 1));
  _exit(1);
}

void translated(qemu_plugin_id_t, qemu_plugin_tb* block) {
  const size_t length = qemu_plugin_tb_n_insns(block);
  if (length == 0) return;
  Block* place = find(qemu_plugin_tb_vaddr(block), static_cast<uint32_t>(length),
                      repeats_itself(qemu_plugin_tb_get_insn(block, 0)) ? 1 : 0);
  if (!place) {
    constexpr const char message[] = "bench_counter: too much code for the table\n";
    static_cast<void>(!write(STDERR_FILENO, message, sizeof message - 1));
    _exit(1);
  }
  uint16_t locked = 0;
  for (size_t i = 0; i < length; ++i) {
    qemu_plugin_insn* const instruction = qemu_plugin_tb_get_insn(block, i);
    if (!is_locked(instruction)) continue;
    ++locked;
    if (lines)
      qemu_plugin_register_vcpu_mem_cb(
          instruction, &changed, no_registers, writes,
          reinterpret_cast<void*>(qemu_plugin_insn_vaddr(instruction)));
  }
  place->locked = locked;
  qemu_plugin_register_vcpu_tb_exec_inline(block, add_u64, &place->count, length);
}

// A file of so many entries, all zero, as memory; null: it cannot be had.
template <class Entry>
Entry* map_table(const char* path, size_t entries) {
  const int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return nullptr;
  void* memory = MAP_FAILED;
  if (ftruncate(file, static_cast<off_t>(sizeof(Entry) * entries)) == 0)
    memory = mmap(nullptr, sizeof(Entry) * entries, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  return memory == MAP_FAILED ? nullptr : static_cast<Entry*>(memory);
}

// What stands behind the key; null: it is another word.
const char* value_of(const char* word, const char* key) {
  const size_t size = std::strlen(key);
  return std::strncmp(word, key, size) == 0 ? word + size : nullptr;
}

}  // namespace

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t*, int count, char** words) {
  for (int i = 0; i < count; ++i) {
    const char* const counts_path = value_of(words[i], "counts=");
    const char* const lines_path = value_of(words[i], "lines=");
    if (counts_path && !(blocks = map_table<Block>(counts_path, blocks_size))) return 1;
    if (lines_path && !(lines = map_table<Line>(lines_path, lines_size))) return 1;
    if (!counts_path && !lines_path) return 1;
  }
  if (!blocks) return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, &translated);
  return 0;
}
