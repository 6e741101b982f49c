// What the two files of the tail's backward half share.
#pragma once

#include <cmath>
#include <cstdint>

namespace onebit::learner {

enum Parameter { kM, kN, kA, kP, kParameters };

inline int bit_length(int64_t v) {
  int bits = 0;
  for (; v > 0; v >>= 1) ++bits;
  return bits;
}

// Units of real networks are far from the ends of binary64; those of made-up ones must not leave it.
inline bool usable(double unit) { return unit > 0 && unit < HUGE_VAL; }

}  // namespace onebit::learner
