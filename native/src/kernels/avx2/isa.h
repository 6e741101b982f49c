// What the shared kernels ask of an instruction set, for AVX2.
#pragma once

#include <immintrin.h>

#include "kernels/vector/outside.h"

namespace onebit {
namespace {

struct Avx2 {
  static constexpr int kLanes = 8;
  static constexpr int kFloatVectors = 2;  // of outputs, in registers, in a float convolution

  // One bit a value, first value lowest: 1 where it is outside its interval.
  static uint32_t outside(const float* value, const float* interval, int64_t count) {
    uint32_t bits = 0;
    int64_t i = 0;
    for (; i + 8 <= count && i < 32; i += 8) {
      const __m256 x = _mm256_loadu_ps(value + i);
      const Bounds bounds = split(_mm256_loadu_ps(interval + 2 * i), _mm256_loadu_ps(interval + 2 * i + 8));
      const __m256 plus =
          _mm256_and_ps(_mm256_cmp_ps(bounds.low, x, _CMP_LE_OQ), _mm256_cmp_ps(x, bounds.high, _CMP_LE_OQ));
      bits |= (~static_cast<uint32_t>(_mm256_movemask_ps(plus)) & 0xffu) << i;
    }
    return bits | outside_one_by_one(value, interval, i, count);
  }

  static uint32_t outside(const int32_t* value, const int32_t* interval, int64_t count) {
    uint32_t bits = 0;
    int64_t i = 0;
    for (; i + 8 <= count && i < 32; i += 8) {
      const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(value + i));
      const Bounds bounds = split(_mm256_loadu_ps(reinterpret_cast<const float*>(interval + 2 * i)),
                                  _mm256_loadu_ps(reinterpret_cast<const float*>(interval + 2 * i + 8)));
      const __m256i minus = _mm256_or_si256(_mm256_cmpgt_epi32(_mm256_castps_si256(bounds.low), x),
                                            _mm256_cmpgt_epi32(x, _mm256_castps_si256(bounds.high)));
      bits |= static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(minus))) << i;
    }
    return bits | outside_one_by_one(value, interval, i, count);
  }

 private:
  struct Bounds {
    __m256 low, high;
  };

  // Eight pairs (low, high) apart; they are moved, never computed with.
  static Bounds split(__m256 a, __m256 b) {
    const auto ordered = [](__m256 v) { return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(v), 0xd8)); };
    return {ordered(_mm256_shuffle_ps(a, b, 0x88)), ordered(_mm256_shuffle_ps(a, b, 0xdd))};
  }
};

}  // namespace
}  // namespace onebit
