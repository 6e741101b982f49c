// Levels by signs with NEON: all but the instruction that multiplies. Levels less 128 are signed bytes.
#pragma once

#include <arm_neon.h>

#include "kernels/vector/simd.h"

namespace onebit {
namespace {

struct NeonLevels {
  static constexpr int kLanes = 4;
  static constexpr int32_t kCentre = 128;
  using Bytes = int8x16_t;

  static Bytes vector(const void* from) { return vld1q_s8(static_cast<const int8_t*>(from)); }
  static Bytes broadcast(const void* four) {
    return vreinterpretq_s8_u32(vdupq_n_u32(load<uint32_t>(static_cast<const uint8_t*>(four))));
  }
  static Bytes centred(Bytes levels) { return veorq_s8(levels, vdupq_n_s8(-128)); }

  // 4 pixels of 4 channels, `step` bytes apart, to 4 channels of 4 pixels.
  static void transpose(const uint8_t* from, int64_t step, uint8_t* to) {
    for (int64_t l = 0; l < 4; ++l)
      for (int64_t j = 0; j < 4; ++j) to[4 * l + j] = from[j * step + l];
  }
};

}  // namespace
}  // namespace onebit
