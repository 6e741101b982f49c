// What the shared kernels ask of an instruction set, for AVX2.
#pragma once

#include <immintrin.h>

#include "kernels/vector/outside.h"
#include "kernels/vector/simd.h"

namespace onebit {
namespace {

struct Avx2 {
  static constexpr int kLanes = 8;
  static constexpr int kFloatVectors = 2;  // vectors of outputs in registers, in a float convolution

  // One bit per value, first value lowest: 1 where it is outside its interval, a pair (low, high) per channel.
  static uint32_t outside(const float* value, const float* interval, int64_t count) {
    uint32_t bits = 0;
    int64_t i = 0;
    for (; i + 8 <= count && i < 32; i += 8) {
      const __m256 x = _mm256_loadu_ps(value + i);
      const Bounds bounds = split(_mm256_loadu_ps(interval + 2 * i), _mm256_loadu_ps(interval + 2 * i + 8));
      bits |= (0xffu & ~within(x, bounds)) << i;
    }
    return bits | outside_one_by_one(value, interval, i, count);
  }

  static uint32_t outside(Vector<kLanes>::Float value, Vector<kLanes>::Float low, Vector<kLanes>::Float high) {
    const auto x = reinterpret_cast<__m256>(value);
    return 0xffu & ~within(x, {reinterpret_cast<__m256>(low), reinterpret_cast<__m256>(high)});
  }

  // Where it is above the limit.
  static uint32_t outside(Vector<kLanes>::Unsigned value, Vector<kLanes>::Unsigned limit) {
    const auto x = reinterpret_cast<__m256i>(value), bound = reinterpret_cast<__m256i>(limit);
    const __m256i plus = _mm256_cmpeq_epi32(_mm256_min_epu32(x, bound), x);
    return 0xffu & ~static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(plus)));
  }

 private:
  struct Bounds {
    __m256 low, high;
  };

  static uint32_t within(__m256 x, Bounds bounds) {
    const __m256 above = _mm256_cmp_ps(bounds.low, x, _CMP_LE_OQ), below = _mm256_cmp_ps(x, bounds.high, _CMP_LE_OQ);
    return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_and_ps(above, below)));
  }

  // Eight pairs (low, high) apart; they are moved, never computed with.
  static Bounds split(__m256 a, __m256 b) {
    const auto ordered = [](__m256 v) { return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(v), 0xd8)); };
    return {ordered(_mm256_shuffle_ps(a, b, 0x88)), ordered(_mm256_shuffle_ps(a, b, 0xdd))};
  }
};

}  // namespace
}  // namespace onebit
