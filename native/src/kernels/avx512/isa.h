// What the shared kernels ask of an instruction set, for AVX-512 (F, BW, VL, DQ, VPOPCNTDQ).
#pragma once

#include <immintrin.h>

#include "kernels/vector/simd.h"

namespace onebit {
namespace {

struct Avx512 {
  static constexpr int kLanes = 16;
  static constexpr int kFloatVectors = 4;  // vectors of outputs in registers, in a float convolution

  using Float = Vector<kLanes>::Float;
  using Unsigned = Vector<kLanes>::Unsigned;

  // One bit per value, first value lowest: 1 where it is outside its interval, a pair (low, high) per channel.
  static uint32_t outside(const float* value, const float* interval, int64_t count) {
    const uint32_t low = half(value, interval, count);
    return count <= 16 ? low : low | half(value + 16, interval + 32, count - 16) << 16;
  }

  static uint32_t outside(Float value, Float low, Float high) {
    const auto x = reinterpret_cast<__m512>(value);
    const __mmask16 above = _mm512_cmp_ps_mask(reinterpret_cast<__m512>(low), x, _CMP_LE_OQ);
    return 0xffffu & ~bits_of(_mm512_mask_cmp_ps_mask(above, x, reinterpret_cast<__m512>(high), _CMP_LE_OQ));
  }

  // Where it is above the limit.
  static uint32_t outside(Unsigned value, Unsigned limit) {
    return bits_of(_mm512_cmpgt_epu32_mask(reinterpret_cast<__m512i>(value), reinterpret_cast<__m512i>(limit)));
  }

 private:
  // Left to itself, GCC 12 at -O3 may write a mask's 16 bits to the stack and read 32 bits back.
  static uint32_t bits_of(__mmask16 mask) {
    uint32_t bits;
    __asm__("kmovw %1, %0" : "=r"(bits) : "k"(mask));
    return bits;
  }

  static __mmask16 first(int64_t count) {
    return static_cast<__mmask16>(count >= 16 ? 0xffffu : count <= 0 ? 0u : (1u << count) - 1);
  }

  static uint32_t half(const float* value, const float* interval, int64_t count) {
    const __mmask16 real = first(count);
    const __m512 x = _mm512_maskz_loadu_ps(real, value);
    const __m512 a = _mm512_maskz_loadu_ps(first(2 * count), interval);
    const __m512 b = _mm512_maskz_loadu_ps(first(2 * count - 16), interval + 16);
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512 low = _mm512_permutex2var_ps(a, even, b);
    const __m512 high = _mm512_permutex2var_ps(a, _mm512_add_epi32(even, _mm512_set1_epi32(1)), b);
    return real & outside(reinterpret_cast<Float>(x), reinterpret_cast<Float>(low), reinterpret_cast<Float>(high));
  }
};

}  // namespace
}  // namespace onebit
