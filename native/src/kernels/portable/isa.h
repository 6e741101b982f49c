// What the shared kernels ask of an instruction set, for any CPU: vectors of 128 bits, which SSE2 and NEON have and
// others emulate.
#pragma once

#include "kernels/vector/outside.h"
#include "kernels/vector/simd.h"

namespace onebit {
namespace {

struct Portable {
  static constexpr int kLanes = 4;
  static constexpr int kFloatVectors = 2;  // vectors of outputs in registers, in a float convolution

  static uint32_t outside(Vector<kLanes>::Float value, Vector<kLanes>::Float low, Vector<kLanes>::Float high) {
    uint32_t bits = 0;
    for (int i = 0; i < kLanes; ++i) bits |= static_cast<uint32_t>(!(low[i] <= value[i] && value[i] <= high[i])) << i;
    return bits;
  }

  // Where it is above the limit.
  static uint32_t outside(Vector<kLanes>::Unsigned value, Vector<kLanes>::Unsigned limit) {
    uint32_t bits = 0;
    for (int i = 0; i < kLanes; ++i) bits |= static_cast<uint32_t>(value[i] > limit[i]) << i;
    return bits;
  }

  template <class T>
  static uint32_t outside(const T* value, const T* interval, int64_t count) {
    return outside_one_by_one(value, interval, 0, count);
  }
};

}  // namespace
}  // namespace onebit
