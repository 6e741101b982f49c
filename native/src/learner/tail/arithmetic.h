// What the files of the tail's backward half share.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "integer/fixed.h"

namespace onebit::learner {

using namespace integer;

enum Parameter { kM, kN, kA, kP, kParameters };

inline int bit_length(int64_t v) {
  int bits = 0;
  for (; v > 0; v >>= 1) ++bits;
  return bits;
}

// The shift that leaves 15 bits and a sign.
inline int to_16_bits(int64_t most) { return std::max(0, bit_length(most) - 15); }

inline int64_t most_of(const int32_t* sums, int64_t count) {
  int64_t most = 0;
  for (int64_t i = 0; i < count; ++i) most = std::max(most, std::abs(int64_t{sums[i]}));
  return most;
}

inline void narrow(const int32_t* sums, int64_t count, int shift, int16_t* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = static_cast<int16_t>(clamp<-32767, 32767>(round_shift(sums[i], shift)));
}

// How integers up to `most`, above 0, become 8 bits, -128 to 127: ((v >> shift) * inverse) >> 39, which is worth
// `worth` of them. The first shift rounds down, so -most may become -128.
struct EightBits {
  explicit EightBits(int64_t most) : shift(bit_length(most) - 30) {
    const int64_t scaled = shift < 0 ? most * (int64_t{1} << -shift) : most >> shift;
    inverse = static_cast<int32_t>((int64_t{127} << 39) / scaled);
    worth = std::ldexp(std::ldexp(1.0, 39) / inverse, shift);
  }

  int shift;
  int32_t inverse;
  double worth;
};

// Units of real networks are far from the ends of binary64; those of made-up ones must not leave it.
inline bool usable(double unit) { return unit > 0 && unit < HUGE_VAL; }

inline Factor factor_of(double value) { return usable(value) ? Factor::from(value) : Factor{}; }

}  // namespace onebit::learner
