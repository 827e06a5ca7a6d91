// Turn: one at a time, for as long as this object lives.
#pragma once

namespace lichen::io {

class Turn {
 public:
  explicit Turn(bool& taken) noexcept : taken_{taken ? nullptr : &taken} { taken = true; }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    if (taken_) *taken_ = false;
  }
  // Whether it was free.
  explicit operator bool() const noexcept { return taken_ != nullptr; }

 private:
  bool* taken_;
};

}  // namespace lichen::io
