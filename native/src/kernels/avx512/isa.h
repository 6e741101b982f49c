// What the shared kernels ask of an instruction set, for AVX-512 (F, BW, VL, DQ, VPOPCNTDQ).
#pragma once

#include <immintrin.h>

#include "kernels/shape.h"

namespace onebit {
namespace {

struct Avx512 {
  static constexpr int kLanes = 16;
  static constexpr int kFloatVectors = 4;  // of outputs, in registers, in a float convolution

  // One bit a value, first value lowest: 1 where it is outside its interval.
  template <class T>
  static uint32_t outside(const T* value, const T* interval, int64_t count) {
    const uint32_t low = half(value, interval, count);
    return count <= 16 ? low : low | half(value + 16, interval + 32, count - 16) << 16;
  }

 private:
  static __mmask16 first(int64_t count) {
    return static_cast<__mmask16>(count >= 16 ? 0xffffu : count <= 0 ? 0u : (1u << count) - 1);
  }

  template <class T>
  static uint32_t half(const T* value, const T* interval, int64_t count) {
    const __mmask16 real = first(count);
    const __m512i x = _mm512_maskz_loadu_epi32(real, value);
    const __m512i a = _mm512_maskz_loadu_epi32(first(2 * count), interval);
    const __m512i b = _mm512_maskz_loadu_epi32(first(2 * count - 16), interval + 16);
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i low = _mm512_permutex2var_epi32(a, even, b);
    const __m512i high = _mm512_permutex2var_epi32(a, _mm512_add_epi32(even, _mm512_set1_epi32(1)), b);
    return real & ~static_cast<uint32_t>(within(x, low, high, value));
  }

  static __mmask16 within(__m512i x, __m512i low, __m512i high, const int32_t*) {
    return static_cast<__mmask16>(_mm512_cmple_epi32_mask(low, x) & _mm512_cmple_epi32_mask(x, high));
  }

  static __mmask16 within(__m512i x, __m512i low, __m512i high, const float*) {
    const __m512 y = _mm512_castsi512_ps(x);
    return static_cast<__mmask16>(_mm512_cmp_ps_mask(_mm512_castsi512_ps(low), y, _CMP_LE_OQ) &
                                  _mm512_cmp_ps_mask(y, _mm512_castsi512_ps(high), _CMP_LE_OQ));
  }
};

}  // namespace
}  // namespace onebit
