// Seeded integer randomness: the same numbers on every machine.
#pragma once

#include <cstdint>

#include "integer/noise.h"

namespace onebit::integer {

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

using onebit::noise16;

}  // namespace onebit::integer
