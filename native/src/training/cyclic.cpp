#include "training/cyclic.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace onebit {
namespace {

// Integers in the order of the floats.
float float_at(int64_t place) {
  const auto bits = static_cast<uint32_t>(place < 0 ? INT64_C(0x80000000) - place - 1 : place);
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

}  // namespace

float cyclic_threshold(float deviation, float minimum, float step, float levels) {
  const auto positive = [=](float x) {
    const float q = std::rint(std::clamp((x / deviation - minimum) / step, 0.0f, levels));
    return q * step + minimum >= 0.0f;
  };
  int64_t below = -INT64_C(0x7f800001), above = 0x7f800000;  // minus and plus infinity
  if (!positive(float_at(above))) return INFINITY;
  while (above - below > 1) {
    const int64_t middle = below + (above - below) / 2;
    (positive(float_at(middle)) ? above : below) = middle;
  }
  return float_at(above);
}

}  // namespace onebit
