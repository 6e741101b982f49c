// Seeded integer randomness: the same numbers on every machine.
#pragma once

#include <cstdint>

namespace onebit::learner {

// PCG-XSH-RR 64/32 (O'Neill 2014), one fixed stream. The state is what the store keeps.
struct Random {
  uint64_t state;

  uint32_t next() {
    const uint64_t old = state;
    state = old * 6364136223846793005u + 1442695040888963407u;
    const auto shifted = static_cast<uint32_t>(((old >> 18) ^ old) >> 27);
    const auto turn = static_cast<uint32_t>(old >> 59);
    return (shifted >> turn) | (shifted << ((32 - turn) & 31));
  }

  // In [0, bound), without bias: the low end that would favour small numbers is drawn again.
  uint32_t below(uint32_t bound) {
    const uint32_t uneven = (0u - bound) % bound;
    for (;;) {
      const uint32_t drawn = next();
      if (drawn >= uneven) return drawn % bound;
    }
  }
};

// 16 random bits for entry `index` under `key`, in any order of entries (a 32-bit finaliser of the murmur family).
inline uint32_t noise16(uint32_t key, uint32_t index) {
  uint32_t x = key + index * 0x9E3779B9u;
  x ^= x >> 16;
  x *= 0x7FEB352Du;
  x ^= x >> 15;
  x *= 0x846CA68Bu;
  return x >> 16;
}

}  // namespace onebit::learner
