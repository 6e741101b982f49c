// What the shared kernels ask of an instruction set, for any CPU: vectors of 128 bits, which SSE2 and NEON have and
// others emulate.
#pragma once

#include "kernels/vector/outside.h"

namespace onebit {
namespace {

struct Portable {
  static constexpr int kLanes = 4;
  static constexpr int kFloatVectors = 2;  // of outputs, in registers, in a float convolution

  template <class T>
  static uint32_t outside(const T* value, const T* interval, int64_t count) {
    return outside_one_by_one(value, interval, 0, count);
  }
};

}  // namespace
}  // namespace onebit
