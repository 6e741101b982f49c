#pragma once

#include "kernels/shape.h"

namespace onebit {
namespace {

// Bits [first, min(count, 32)): 1, that is -1, where a value is outside its interval (two inclusive bounds per channel;
// NaN is outside).
template <class T>
uint32_t outside_one_by_one(const T* value, const T* interval, int64_t first, int64_t count) {
  uint32_t bits = 0;
  for (int64_t i = first; i < count && i < 32; ++i) {
    const bool plus = interval[2 * i] <= value[i] && value[i] <= interval[2 * i + 1];
    bits |= static_cast<uint32_t>(!plus) << i;
  }
  return bits;
}

}  // namespace
}  // namespace onebit
