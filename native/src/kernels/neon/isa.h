// What the shared kernels ask of an instruction set, for NEON.
#pragma once

#include <arm_neon.h>

#include "kernels/vector/outside.h"
#include "kernels/vector/simd.h"

namespace onebit {
namespace {

struct Neon {
  static constexpr int kLanes = 4;
#ifdef __aarch64__
  static constexpr int kFloatVectors = 4;  // vectors of outputs in registers, in a float convolution
#else
  static constexpr int kFloatVectors = 1;  // one float a register: the compiler leaves floats to the scalar unit
#endif

  // One bit per value, first value lowest: 1 where it is outside its interval, a pair (low, high) per channel.
  static uint32_t outside(const float* value, const float* interval, int64_t count) {
    uint32x4_t here = first_bits(), bits = vdupq_n_u32(0);
    int64_t i = 0;
    for (; i + 4 <= count && i < 32; i += 4, here = vshlq_n_u32(here, 4)) {
      const float32x4x2_t bounds = vld2q_f32(interval + 2 * i);
      bits = vorrq_u32(bits, vbicq_u32(here, within(vld1q_f32(value + i), bounds.val[0], bounds.val[1])));
    }
    return lanes_sum(bits) | outside_one_by_one(value, interval, i, count);
  }

  static uint32_t outside(Vector<kLanes>::Float value, Vector<kLanes>::Float low, Vector<kLanes>::Float high) {
    const auto x = reinterpret_cast<float32x4_t>(value);
    return lanes_sum(
        vbicq_u32(first_bits(), within(x, reinterpret_cast<float32x4_t>(low), reinterpret_cast<float32x4_t>(high))));
  }

  // Where it is above the limit.
  static uint32_t outside(Vector<kLanes>::Unsigned value, Vector<kLanes>::Unsigned limit) {
    const uint32x4_t above = vcgtq_u32(reinterpret_cast<uint32x4_t>(value), reinterpret_cast<uint32x4_t>(limit));
    return lanes_sum(vandq_u32(first_bits(), above));
  }

 private:
  static uint32x4_t first_bits() {
    constexpr uint32_t bits[] = {1, 2, 4, 8};
    return vld1q_u32(bits);
  }

#ifdef __aarch64__
  static uint32x4_t within(float32x4_t x, float32x4_t low, float32x4_t high) {
    return vandq_u32(vcleq_f32(low, x), vcleq_f32(x, high));
  }

  static uint32_t lanes_sum(uint32x4_t bits) { return vaddvq_u32(bits); }
#else
  // The NEON of 32-bit ARM takes subnormal floats for zero, so floats are compared as integers. (For the same reason
  // the compiler does no arithmetic on floats with it, and the shared kernels' vectors of floats become scalar code.)
  static uint32x4_t within(float32x4_t value, float32x4_t low, float32x4_t high) {
    const int32x4_t x = vreinterpretq_s32_f32(value);
    const uint32x4_t between = vandq_u32(vcleq_s32(ordered(vreinterpretq_s32_f32(low)), ordered(x)),
                                         vcleq_s32(ordered(x), ordered(vreinterpretq_s32_f32(high))));
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
