// Levels by signs with 512-bit vectors: all but the instruction that multiplies.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "kernels/vector/simd.h"

namespace onebit {
namespace {

struct Zmm {
  static constexpr int kLanes = 16;
  static constexpr int kVectors = 2, kPixels = 8;         // input gradient
  static constexpr int kWeightVectors = 2, kColumns = 9;  // weight gradient
  static constexpr int32_t kCentre = 0;
  using Bytes = __m512i;
  using Sum = __m512i;

  static Bytes vector(const void* from) { return _mm512_loadu_si512(from); }
  static Bytes broadcast(const void* four) {
    return _mm512_set1_epi32(load<int32_t>(static_cast<const uint8_t*>(four)));
  }
  static Bytes centred(Bytes levels) { return levels; }
  static void clear(Sum& sum) { sum = _mm512_setzero_si512(); }

  // 4 pixels of 16 channels, `step` bytes apart, to 16 channels of 4 pixels.
  static void transpose(const uint8_t* from, int64_t step, uint8_t* to) {
    const auto row = [&](int64_t j) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + j * step)); };
    __m512i v = _mm512_castsi128_si512(row(0));
    v = _mm512_inserti32x4(v, row(1), 1);
    v = _mm512_inserti32x4(v, row(2), 2);
    v = _mm512_inserti32x4(v, row(3), 3);
    const __m512i dwords = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i bytes = _mm512_set4_epi32(0x0f0b0703, 0x0e0a0602, 0x0d090501, 0x0c080400);
    const __m512i quads = _mm512_maskz_permutexvar_epi32(0xffff, dwords, v);  // without a mask GCC 12 warns
    _mm512_storeu_si512(to, _mm512_shuffle_epi8(quads, bytes));
  }
};

}  // namespace
}  // namespace onebit
