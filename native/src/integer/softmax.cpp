#include "integer/softmax.h"

#include <algorithm>

namespace onebit::integer {

int64_t exp2_negative(int64_t t) {
  const int64_t whole = t >> 16;
  if (whole > 31) return 0;
  const int64_t rest = t & 0xFFFF;
  // Chebyshev interpolation of 2^-f on [0, 1], coefficients in units of 2^-30.
  int64_t y = 7339192;
  y = -57137150 + ((y * rest) >> 16);
  y = 257086653 + ((y * rest) >> 16);
  y = -744155626 + ((y * rest) >> 16);
  y = 1073739719 + ((y * rest) >> 16);
  return round_shift(y, static_cast<int>(whole));
}

int64_t softmax_powers(const int32_t* scores, size_t count, Factor factor, int64_t* powers) {
  const int64_t top = *std::max_element(scores, scores + count);
  int64_t sum = 0;
  for (size_t k = 0; k < count; ++k) {
    powers[k] = softmax_power(top - scores[k], factor);
    sum += powers[k];
  }
  return sum;
}

void softmax(const int32_t* scores, size_t count, Factor factor, int64_t* powers, uint32_t* p) {
  const int64_t sum = softmax_powers(scores, count, factor, powers);
  for (size_t k = 0; k < count; ++k) p[k] = static_cast<uint32_t>(round_div(powers[k] * kOne, sum));
}

}  // namespace onebit::integer
