// Registers of a device: memory-mapped, PCI configuration space, or a test's.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lichen::driver::virtio {

// Little-endian numbers, naturally aligned; each call is one access of that width. A write MUST NOT
// be seen by the device before what was written to memory earlier, and memory MUST NOT be read
// before an earlier read of a register. An offset at or beyond size() is not passed.
class Registers {
 public:
  [[nodiscard]] virtual std::size_t size() const noexcept = 0;
  virtual std::uint8_t read8(std::size_t offset) noexcept = 0;
  virtual std::uint16_t read16(std::size_t offset) noexcept = 0;
  virtual std::uint32_t read32(std::size_t offset) noexcept = 0;
  virtual void write8(std::size_t offset, std::uint8_t value) noexcept = 0;
  virtual void write16(std::size_t offset, std::uint16_t value) noexcept = 0;
  virtual void write32(std::size_t offset, std::uint32_t value) noexcept = 0;

 protected:
  ~Registers() = default;
};

// The same six by two of the class's own, for each width: get<T>(offset) and set<T>(offset, value).
template <class Self>
class RegistersOf : public Registers {
 public:
  std::uint8_t read8(std::size_t offset) noexcept override { return read<std::uint8_t>(offset); }
  std::uint16_t read16(std::size_t offset) noexcept override { return read<std::uint16_t>(offset); }
  std::uint32_t read32(std::size_t offset) noexcept override { return read<std::uint32_t>(offset); }
  void write8(std::size_t offset, std::uint8_t value) noexcept override { write(offset, value); }
  void write16(std::size_t offset, std::uint16_t value) noexcept override { write(offset, value); }
  void write32(std::size_t offset, std::uint32_t value) noexcept override { write(offset, value); }

 protected:
  ~RegistersOf() = default;

 private:
  template <class T>
  T read(std::size_t offset) noexcept {
    return static_cast<Self&>(*this).template get<T>(offset);
  }
  template <class T>
  void write(std::size_t offset, T value) noexcept {
    static_cast<Self&>(*this).template set<T>(offset, value);
  }
};

}  // namespace lichen::driver::virtio
