#include "integer/fixed.h"

#include <cmath>

namespace onebit::integer {
namespace {

Factor normalized(uint64_t mantissa, int shift) {
  if (mantissa == 0) return {};
  for (; mantissa >= (uint64_t{1} << 30); --shift) mantissa >>= 1;
  for (; mantissa < (uint64_t{1} << 29); ++shift) mantissa <<= 1;
  return {static_cast<int32_t>(mantissa), shift};
}

}  // namespace

Factor Factor::from(double value) {
  if (!(value > 0)) return {};
  int exponent;
  const double mantissa = std::frexp(value, &exponent);  // in [0.5, 1)
  return {static_cast<int32_t>(std::ldexp(mantissa, 30)), 30 - exponent};
}

Factor Factor::times(uint32_t whole) const { return normalized(static_cast<uint64_t>(mantissa) * whole, shift); }

Factor Factor::over(uint32_t whole) const {
  return normalized((static_cast<uint64_t>(mantissa) << 32) / whole, shift + 32);
}

int64_t multiply(int64_t v, Factor factor, int fraction) {
  constexpr int64_t limit = int64_t{1} << 62;
  const int64_t product = v * factor.mantissa;  // at most 2^32 * 2^30
  const int shift = factor.shift - fraction;
  if (shift >= 0) return round_shift(product, shift);
  if (product == 0) return 0;
  if (-shift > 62 || product > (limit >> -shift) || product < -(limit >> -shift)) return product > 0 ? limit : -limit;
  return product * (int64_t{1} << -shift);
}

}  // namespace onebit::integer
