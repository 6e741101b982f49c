// The number formats of the tail's backward half: 16 bits for the gradient of a value, 8 for those of a convolution's
// sums.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "integer/fixed.h"

namespace onebit::learner {

using namespace integer;

inline int bit_length(int64_t v) {
  int bits = 0;
  for (; v > 0; v >>= 1) ++bits;
  return bits;
}

// The shift that leaves 15 bits and a sign.
inline int to_16_bits(int64_t max) { return std::max(0, bit_length(max) - 15); }

inline int64_t max_abs(const int32_t* values, int64_t count) {
  int64_t max = 0;
  for (int64_t i = 0; i < count; ++i) max = std::max(max, std::abs(int64_t{values[i]}));
  return max;
}

inline void narrow(const int32_t* values, int64_t count, int shift, int16_t* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = static_cast<int16_t>(clamp<-32767, 32767>(round_shift(values[i], shift)));
}

// How integers up to `max`, which is above 0, become 8 bits, -128 to 127: ((v >> shift) * inverse) >> 39, in units of
// `scale`. The first shift rounds down, so -max may become -128.
struct EightBits {
  explicit EightBits(int64_t max) : shift(bit_length(max) - 30) {
    const int64_t scaled = shift < 0 ? max * (int64_t{1} << -shift) : max >> shift;
    inverse = static_cast<int32_t>((int64_t{127} << 39) / scaled);
    scale = std::ldexp(std::ldexp(1.0, 39) / inverse, shift);
  }

  int shift;
  int32_t inverse;
  double scale;
};

// Units of real networks are far from the ends of binary64; those of made-up ones must not leave it.
inline bool usable(double unit) { return unit > 0 && unit < HUGE_VAL; }

inline Factor factor_of(double value) { return usable(value) ? Factor::from(value) : Factor{}; }

}  // namespace onebit::learner
