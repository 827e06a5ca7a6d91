#include "lichen/hal/linux/unwind.hpp"

#include <link.h>

#include <algorithm>
#include <cstring>

namespace lichen::hal::detail {

namespace {

// Pointers in the tables are encoded as LSB, section 10.5.1 says; compilers for x86-64 use these.
constexpr std::uint8_t omitted = 0xff;
constexpr std::uint8_t format_mask = 0x0f;
constexpr std::uint8_t relative_mask = 0x70;
constexpr std::uint8_t indirect = 0x80;

// Reads within bounds; after the first read beyond them everything is zero and good() false.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, std::uintptr_t at) noexcept : bytes_{bytes}, at_{at} {}

  [[nodiscard]] bool good() const noexcept { return good_; }
  [[nodiscard]] bool empty() const noexcept { return next_ == bytes_.size(); }
  [[nodiscard]] std::uintptr_t address() const noexcept { return at_ + next_; }
  void seek(std::uintptr_t address) noexcept {
    if (address < at_ || address - at_ > bytes_.size()) return fail();
    next_ = address - at_;
  }
  void skip(std::uint64_t size) noexcept {
    if (size > bytes_.size() - next_) return fail();
    next_ += size;
  }
  // What follows, of that size; then behind it.
  Reader part(std::uint64_t size) noexcept {
    const std::size_t begin = next_;
    const std::uintptr_t at = address();
    skip(size);
    return good_ ? Reader{bytes_.subspan(begin, size), at} : Reader{{}, at};
  }

  template <class T>
  T read() noexcept {
    T value{};
    if (sizeof value > bytes_.size() - next_) {
      fail();
      return value;
    }
    std::memcpy(&value, bytes_.data() + next_, sizeof value);
    next_ += sizeof value;
    return value;
  }
  std::uint8_t byte() noexcept { return read<std::uint8_t>(); }

  // LEB128: DWARF 5, section 7.6. More than 63 bits are not read.
  std::uint64_t unsigned_number() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const std::uint8_t piece = byte();
      if (shift > 56) fail();
      if (!good_) return 0;
      value |= std::uint64_t{piece & 0x7fU} << shift;
      if ((piece & 0x80) == 0) return value;
    }
  }
  std::int64_t signed_number() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0;;) {
      const std::uint8_t piece = byte();
      if (shift > 56) fail();
      if (!good_) return 0;
      value |= std::uint64_t{piece & 0x7fU} << shift;
      shift += 7;
      if ((piece & 0x80) != 0) continue;
      if ((piece & 0x40) != 0) value |= ~std::uint64_t{0} << shift;
      return static_cast<std::int64_t>(value);
    }
  }

  // `base` is what pointers of the kind "datarel" count from; 0: there are none.
  std::uintptr_t pointer(std::uint8_t encoding, std::uintptr_t base) noexcept {
    const std::uintptr_t here = address();
    std::uintptr_t value = plain(encoding & format_mask);
    if (value == 0) return 0;
    switch (encoding & relative_mask) {
      case 0x00: break;
      case 0x10: value += here; break;
      case 0x30:
        if (base == 0) fail();
        value += base;
        break;
      default: fail();
    }
    if ((encoding & indirect) != 0) fail();
    return good_ ? value : 0;
  }
  std::uintptr_t plain(std::uint8_t format) noexcept {
    switch (format) {
      case 0x00: return read<std::uint64_t>();
      case 0x02: return read<std::uint16_t>();
      case 0x03: return read<std::uint32_t>();
      case 0x04: return read<std::uint64_t>();
      case 0x0a: return static_cast<std::uintptr_t>(std::intptr_t{read<std::int16_t>()});
      case 0x0b: return static_cast<std::uintptr_t>(std::intptr_t{read<std::int32_t>()});
      case 0x0c: return read<std::uint64_t>();
      default: fail(); return 0;
    }
  }

 private:
  void fail() noexcept {
    good_ = false;
    next_ = bytes_.size();
  }

  std::span<const std::byte> bytes_;
  std::uintptr_t at_;
  std::size_t next_ = 0;
  bool good_ = true;
};

// What functions have in common (LSB, section 10.6.1.1.1, "common information entry").
struct Common {
  std::uint64_t code_step = 0;
  std::int64_t data_step = 0;
  std::uint8_t encoding = 0x00;
  bool has_augmentation = false;
  bool interrupted = false;
  Reader program{{}, 0};
};

// An entry without its length. Nothing: the end, a 64-bit one, or one that reaches beyond.
std::optional<Reader> entry(Reader& reader) noexcept {
  const auto length = reader.read<std::uint32_t>();
  if (length == 0 || length == 0xffffffff) return std::nullopt;
  Reader part = reader.part(length);
  if (!reader.good()) return std::nullopt;
  return part;
}

std::optional<Common> read_common(Reader reader) noexcept {
  std::optional<Reader> found = entry(reader);
  if (!found) return std::nullopt;
  Reader& in = *found;
  Common common;
  if (in.read<std::uint32_t>() != 0) return std::nullopt;  // not a common entry
  const std::uint8_t version = in.byte();
  if (version != 1 && version != 3) return std::nullopt;
  std::array<char, 8> augmentation{};
  std::size_t letters = 0;
  while (const char letter = static_cast<char>(in.byte())) {
    if (letters == augmentation.size()) return std::nullopt;
    augmentation[letters++] = letter;
  }
  common.code_step = in.unsigned_number();
  common.data_step = in.signed_number();
  const std::uint64_t return_address = version == 1 ? in.byte() : in.unsigned_number();
  if (return_address != instruction_register) return std::nullopt;
  if (letters > 0) {
    if (augmentation[0] != 'z') return std::nullopt;
    common.has_augmentation = true;
    Reader data = in.part(in.unsigned_number());
    for (const char letter : std::span{augmentation}.first(letters).subspan(1)) {
      switch (letter) {
        case 'R': common.encoding = data.byte(); break;
        case 'L': data.byte(); break;
        case 'P': data.plain(data.byte() & format_mask); break;
        case 'S': common.interrupted = true; break;
        default: return std::nullopt;
      }
    }
    if (!data.good()) return std::nullopt;
  }
  if (!in.good()) return std::nullopt;
  common.program = in;
  return common;
}

// Runs the program of a common entry or of a function up to an address. DWARF 5, section 6.4.2.
class Program {
 public:
  Program(const Common& common, CallerRules& rules, std::uintptr_t function,
          std::uintptr_t address) noexcept
      : common_{common}, rules_{rules}, at_{function}, address_{address} {}

  // `initial`: what the common entry says, to which the function's rules may return.
  bool run(Reader in, const CallerRules* initial) noexcept {
    while (!in.empty()) {
      if (!execute(in, initial)) return false;
      if (!in.good()) return false;
      if (beyond_) return true;
    }
    return in.good();
  }

 private:
  enum : std::uint8_t {
    nop = 0x00,
    advance_1 = 0x02,
    advance_2 = 0x03,
    advance_4 = 0x04,
    offset_extended = 0x05,
    restore_extended = 0x06,
    undefined = 0x07,
    same_value = 0x08,
    remember_state = 0x0a,
    restore_state = 0x0b,
    def_cfa = 0x0c,
    def_cfa_register = 0x0d,
    def_cfa_offset = 0x0e,
    offset_extended_sf = 0x11,
    def_cfa_sf = 0x12,
    def_cfa_offset_sf = 0x13,
    gnu_args_size = 0x2e,
  };

  bool execute(Reader& in, const CallerRules* initial) noexcept {
    const std::uint8_t operation = in.byte();
    const std::uint8_t low = operation & 0x3f;
    switch (operation >> 6) {
      case 1: return advance(low);
      case 2: return save(low, scaled(in.unsigned_number()));
      case 3: return initial && restore(low, *initial);
      default: break;
    }
    switch (operation) {
      case nop: return true;
      case advance_1: return advance(in.byte());
      case advance_2: return advance(in.read<std::uint16_t>());
      case advance_4: return advance(in.read<std::uint32_t>());
      case offset_extended: {
        const std::uint64_t which = in.unsigned_number();
        return save(which, scaled(in.unsigned_number()));
      }
      case offset_extended_sf: {
        const std::uint64_t which = in.unsigned_number();
        return save(which, scaled(static_cast<std::uint64_t>(in.signed_number())));
      }
      case restore_extended: return initial && restore(in.unsigned_number(), *initial);
      // A caller's register that is lost is of no use to the caller, nor to us.
      case undefined:
      case same_value: return save(in.unsigned_number(), CallerRules::unchanged);
      case remember_state:
        if (depth_ == remembered_.size()) return false;
        remembered_[depth_++] = rules_;
        return true;
      case restore_state:
        if (depth_ == 0) return false;
        rules_ = remembered_[--depth_];
        return true;
      case def_cfa: return base(in.unsigned_number()) && offset(in.unsigned_number());
      case def_cfa_sf: return base(in.unsigned_number()) && signed_offset(in.signed_number());
      case def_cfa_register: return base(in.unsigned_number());
      case def_cfa_offset: return offset(in.unsigned_number());
      case def_cfa_offset_sf: return signed_offset(in.signed_number());
      case gnu_args_size: in.unsigned_number(); return true;
      default: return false;
    }
  }

  bool advance(std::uint64_t steps) noexcept {
    at_ += steps * common_.code_step;
    beyond_ = at_ > address_;
    return true;
  }
  // Wraps as the arithmetic of addresses does.
  [[nodiscard]] std::int64_t scaled(std::uint64_t number) const noexcept {
    return static_cast<std::int64_t>(number * static_cast<std::uint64_t>(common_.data_step));
  }
  bool save(std::uint64_t which, std::int64_t where) noexcept {
    // Those beyond are vector registers, which nobody needs to find a frame.
    if (which < rules_.saved.size()) rules_.saved[which] = where;
    return true;
  }
  bool restore(std::uint64_t which, const CallerRules& initial) noexcept {
    return which >= rules_.saved.size() || save(which, initial.saved[which]);
  }
  bool base(std::uint64_t which) noexcept {
    if (which >= instruction_register) return false;
    rules_.base = which;
    return true;
  }
  bool offset(std::uint64_t distance) noexcept {
    rules_.offset = static_cast<std::int64_t>(distance);
    return true;
  }
  bool signed_offset(std::int64_t distance) noexcept {
    return offset(static_cast<std::uint64_t>(scaled(static_cast<std::uint64_t>(distance))));
  }

  const Common& common_;
  CallerRules& rules_;
  std::uintptr_t at_;
  const std::uintptr_t address_;
  bool beyond_ = false;
  std::size_t depth_ = 0;
  std::array<CallerRules, 4> remembered_;
};

std::optional<CallerRules> rules_of(Reader reader, std::uintptr_t entry_at,
                                    std::uintptr_t address) noexcept {
  Reader all = reader;
  reader.seek(entry_at);
  std::optional<Reader> found = entry(reader);
  if (!found) return std::nullopt;
  Reader& in = *found;
  const std::uintptr_t pointer_at = in.address();
  all.seek(pointer_at - in.read<std::uint32_t>());
  if (!all.good()) return std::nullopt;
  const std::optional<Common> common = read_common(all);
  if (!common) return std::nullopt;
  const std::uintptr_t begin = in.pointer(common->encoding, 0);
  const std::uintptr_t size = in.plain(common->encoding & format_mask);
  if (!in.good() || address < begin || address - begin >= size) return std::nullopt;
  if (common->has_augmentation) in.skip(in.unsigned_number());
  if (!in.good()) return std::nullopt;

  CallerRules rules{.saved = {}, .interrupted = common->interrupted, .function = begin};
  rules.saved.fill(CallerRules::unchanged);
  if (!Program{*common, rules, begin, ~std::uintptr_t{0}}.run(common->program, nullptr))
    return std::nullopt;
  const CallerRules initial = rules;
  if (!Program{*common, rules, begin, address}.run(in, &initial)) return std::nullopt;
  return rules;
}

}  // namespace

bool Module::can_read(std::uintptr_t address, std::size_t size) const noexcept {
  return std::ranges::any_of(data, [&](const Range& part) { return part.holds(address, size); });
}

std::optional<Module> module_of(std::uintptr_t address) noexcept {
  struct Search {
    std::uintptr_t address;
    Module module{};
    bool found = false;
  } search{.address = address};
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* argument) {
        auto& wanted = *static_cast<Search*>(argument);
        Module module;
        std::size_t count = 0;
        for (const ElfW(Phdr) & part : std::span{info->dlpi_phdr, info->dlpi_phnum}) {
          const Range range{info->dlpi_addr + part.p_vaddr,
                            info->dlpi_addr + part.p_vaddr + part.p_memsz};
          if (part.p_type == PT_GNU_EH_FRAME) module.table = range.begin;
          if (part.p_type != PT_LOAD || (part.p_flags & PF_R) == 0) continue;
          if (count < Module::max_segments) module.data[count++] = range;
          if ((part.p_flags & PF_X) != 0 && range.holds(wanted.address)) {
            module.code = range;
            wanted.found = true;
          }
        }
        if (!wanted.found) return 0;
        for (const Range& part : module.data)
          if (part.holds(module.table)) module.tables = part;
        wanted.module = module;
        return 1;
      },
      &search);
  if (!search.found || search.module.tables.begin == 0) return std::nullopt;
  return search.module;
}

// The header is a sorted table of all functions (LSB, section 10.6.2).
std::optional<CallerRules> find_rules(std::span<const std::byte> tables, std::uintptr_t at,
                                      std::uintptr_t header, std::uintptr_t address) noexcept {
  constexpr std::uint8_t number = 0x03;       // unsigned, 4 bytes
  constexpr std::uint8_t table_entry = 0x3b;  // signed, 4 bytes, from the header
  struct Entry {
    std::int32_t function;
    std::int32_t description;
  };
  Reader in{tables, at};
  in.seek(header);
  if (in.byte() != 1) return std::nullopt;
  const std::uint8_t frame_encoding = in.byte();
  const std::uint8_t count_encoding = in.byte();
  const std::uint8_t table_encoding = in.byte();
  if (frame_encoding == omitted || count_encoding != number || table_encoding != table_entry)
    return std::nullopt;
  in.plain(frame_encoding & format_mask);
  const std::uint64_t count = in.read<std::uint32_t>();
  const std::uintptr_t first = in.address();
  in.skip(count * sizeof(Entry));
  if (!in.good() || count == 0) return std::nullopt;
  auto nth = [&](std::uint64_t index) {
    Reader there{tables, at};
    there.seek(first + index * sizeof(Entry));
    return there.read<Entry>();
  };
  auto absolute = [&](std::int32_t distance) {
    return header + static_cast<std::uintptr_t>(std::intptr_t{distance});
  };
  // The last function that begins at or before the address.
  std::uint64_t low = 0;
  for (std::uint64_t high = count; high - low > 1;) {
    const std::uint64_t middle = low + (high - low) / 2;
    (absolute(nth(middle).function) <= address ? low : high) = middle;
  }
  return rules_of(Reader{tables, at}, absolute(nth(low).description), address);
}

bool Frames::step(const Module& module) noexcept {
  // Behind a call that does not return the next instruction may be another function's.
  const std::uintptr_t address = called_ ? instruction() - 1 : instruction();
  const auto* bytes = reinterpret_cast<const std::byte*>(module.tables.begin);
  const std::optional<CallerRules> rules = find_rules(
      {bytes, module.tables.end - module.tables.begin}, module.tables.begin, module.table, address);
  if (!rules) return false;
  const std::uintptr_t frame = registers_[rules->base] + static_cast<std::uintptr_t>(rules->offset);
  // Frames lie ever higher.
  if (frame <= registers_[stack_pointer_register]) return false;
  Registers next = registers_;
  for (std::size_t i = 0; i < register_count; ++i) {
    const std::int64_t where = rules->saved[i];
    if (where == CallerRules::unchanged) {
      if (i == instruction_register) return false;
      continue;
    }
    const std::uintptr_t slot = frame + static_cast<std::uintptr_t>(where);
    if (slot % sizeof(std::uintptr_t) != 0 || !stack_.holds(slot, sizeof(std::uintptr_t)))
      return false;
    std::memcpy(&next[i], reinterpret_cast<const void*>(slot), sizeof next[i]);
  }
  next[stack_pointer_register] = frame;
  registers_ = next;
  called_ = !rules->interrupted;
  callee_ = rules->function;
  return true;
}

}  // namespace lichen::hal::detail
