// Bytes as a series of choices: of a fuzzer, so that it can change one of them, or of a seed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace onebit::fuzz {

class Choices {
 public:
  Choices(const uint8_t* bytes, size_t size) : bytes_(bytes, bytes + size) {}
  Choices(uint32_t seed, size_t size) : bytes_(size) {
    std::mt19937 random(seed);
    for (uint8_t& byte : bytes_) byte = static_cast<uint8_t>(random());
  }

  bool any_left() const { return next_ < bytes_.size(); }

  // 0 to bound - 1, at most 255; 0 when no byte is left.
  uint32_t below(size_t bound) { return any_left() ? static_cast<uint32_t>(bytes_[next_++] % bound) : 0; }
  int32_t between(int32_t low, int32_t high) {
    return low + static_cast<int32_t>(below(static_cast<size_t>(high - low) + 1));
  }
  bool one_in(size_t count) { return below(count) == count - 1; }

 private:
  std::vector<uint8_t> bytes_;
  size_t next_ = 0;
};

}  // namespace onebit::fuzz
