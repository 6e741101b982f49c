// What the shared kernels ask of an instruction set, for NEON.
#pragma once

#include <arm_neon.h>

#include "kernels/vector/outside.h"

namespace onebit {
namespace {

struct Neon {
  static constexpr int kLanes = 4;
  static constexpr int kFloatVectors = 2;  // of outputs, in registers, in a float convolution

  // One bit a value, first value lowest: 1 where it is outside its interval.
  template <class T>
  static uint32_t outside(const T* value, const T* interval, int64_t count) {
    constexpr uint32_t first[] = {1, 2, 4, 8};
    uint32x4_t here = vld1q_u32(first), bits = vdupq_n_u32(0);
    int64_t i = 0;
    for (; i + 4 <= count && i < 32; i += 4, here = vshlq_n_u32(here, 4)) {
      bits = vorrq_u32(bits, vbicq_u32(here, within(value + i, interval + 2 * i)));
    }
    return lanes_sum(bits) | outside_one_by_one(value, interval, i, count);
  }

 private:
  static uint32x4_t within(const int32_t* value, const int32_t* interval) {
    const int32x4_t x = vld1q_s32(value);
    const int32x4x2_t bounds = vld2q_s32(interval);
    return vandq_u32(vcleq_s32(bounds.val[0], x), vcleq_s32(x, bounds.val[1]));
  }

#ifdef __aarch64__
  static uint32x4_t within(const float* value, const float* interval) {
    const float32x4_t x = vld1q_f32(value);
    const float32x4x2_t bounds = vld2q_f32(interval);
    return vandq_u32(vcleq_f32(bounds.val[0], x), vcleq_f32(x, bounds.val[1]));
  }

  static uint32_t lanes_sum(uint32x4_t bits) { return vaddvq_u32(bits); }
#else
  // The NEON of 32-bit ARM takes subnormal floats for zero, so floats are compared as integers.
  static uint32x4_t within(const float* value, const float* interval) {
    const int32x4_t x = vld1q_s32(reinterpret_cast<const int32_t*>(value));
    const int32x4x2_t bounds = vld2q_s32(reinterpret_cast<const int32_t*>(interval));
    const uint32x4_t between =
        vandq_u32(vcleq_s32(ordered(bounds.val[0]), ordered(x)), vcleq_s32(ordered(x), ordered(bounds.val[1])));
    constexpr int32_t infinity = 0x7f800000;
    return vandq_u32(between, vcleq_s32(magnitude(x), vdupq_n_s32(infinity)));  // a NaN's is larger
  }

  static int32x4_t magnitude(int32x4_t x) { return vandq_s32(x, vdupq_n_s32(0x7fffffff)); }

  // Integers in the order of the floats whose bits x are; +0 and -0 are equal.
  static int32x4_t ordered(int32x4_t x) {
    const int32x4_t minus = vshrq_n_s32(x, 31);
    return vsubq_s32(veorq_s32(magnitude(x), minus), minus);
  }

  static uint32_t lanes_sum(uint32x4_t bits) {
    const uint32x2_t half = vadd_u32(vget_low_u32(bits), vget_high_u32(bits));
    return vget_lane_u32(vpadd_u32(half, half), 0);
  }
#endif
};

}  // namespace
}  // namespace onebit
