#include "kernels/vector/head.h"

#include <immintrin.h>

#include "kernels/avx512/tables.h"

namespace onebit::avx512 {
namespace {

// VPDPWSSD: 32 products of pairs of levels.
struct Vnni {
  static constexpr int kLanes = 16;
  static constexpr int kClasses = 5, kSamples = 4, kRows = 4, kVectors = 4, kTogether = 1;
  using Int = Vector<kLanes>::Int;

  static Int load(const int16_t* from, int64_t count) {
    const __mmask32 real = count >= 2 * kLanes ? 0xffffffffu : (1u << count) - 1;
    return reinterpret_cast<Int>(_mm512_maskz_loadu_epi16(real, from));
  }

  // In place: from the intrinsic GCC 12 makes a copy of each accumulator in each step.
  static void dot(Int& sum, Int a, Int b) { __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b)); }

  static void add_up(const Int (&sums)[4], int32_t* to) {
    const __m256i a = halves(sums[0]), b = halves(sums[1]), c = halves(sums[2]), d = halves(sums[3]);
    const __m256i four = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    const __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), sum);
  }

  static Int two(const int16_t* factors) { return Int{} + onebit::load<int32_t>(factors); }
  static void pair(Int& sum, Int packed, Int two) { dot(sum, packed, two); }

 private:
  // GCC 12 warns about the intrinsics without a mask.
  static __m256i halves(Int v) {
    const auto x = reinterpret_cast<__m512i>(v);
    return _mm256_add_epi32(_mm512_maskz_extracti64x4_epi64(0xff, x, 0), _mm512_maskz_extracti64x4_epi64(0xff, x, 1));
  }
};

}  // namespace

const HeadKernels& head() {
  static constexpr HeadKernels table = HeadPasses<Vnni>::table("avx512");
  return table;
}

}  // namespace onebit::avx512
