// Fixed-point arithmetic: integers only, rounded to nearest, halves to even (docs/file-format.md).
#pragma once

#include <cstdint>

namespace onebit::integer {

// n / d, d > 0.
inline int64_t round_div(int64_t n, int64_t d) {
  int64_t quotient = n / d;
  int64_t rest = n % d;
  if (rest < 0) {
    rest += d;
    --quotient;
  }
  const int64_t other = d - rest;
  return quotient + (rest > other || (rest == other && (quotient & 1)));
}

// v / 2^shift, shift from 0.
inline int64_t round_shift(int64_t v, int shift) {
  if (shift == 0) return v;
  if (shift > 62) return 0;
  const int64_t half = int64_t{1} << (shift - 1);
  const int64_t floor = v >> shift;
  const int64_t rest = v & ((int64_t{1} << shift) - 1);
  return floor + (rest > half || (rest == half && (floor & 1)));
}

template <int64_t low, int64_t high>
inline int64_t clamp(int64_t v) {
  return v < low ? low : v > high ? high : v;
}

inline int16_t saturate16(int64_t v) { return static_cast<int16_t>(clamp<-32768, 32767>(v)); }

// The largest r with r * r <= v.
inline uint32_t integer_sqrt(uint64_t v) {
  uint64_t root = 0;
  for (int bit = 31; bit >= 0; --bit) {
    const uint64_t next = root | (uint64_t{1} << bit);
    if (next * next <= v) root = next;
  }
  return static_cast<uint32_t>(root);
}

// A real factor >= 0 as mantissa * 2^-shift, the mantissa in [2^29, 2^30), or 0. Excess bits are cut off (relative
// error < 2^-29).
struct Factor {
  int32_t mantissa = 0;
  int shift = 0;

  static Factor from(double value);
  Factor times(uint32_t whole) const;
  Factor over(uint32_t whole) const;
};

// v * factor in units of 2^-fraction, saturated to +-2^62. |v| <= 2^32. Rounded to nearest even.
int64_t multiply(int64_t v, Factor factor, int fraction);

}  // namespace onebit::integer
