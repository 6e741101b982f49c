#include "kernels/vector/head.h"

#include <immintrin.h>

#include "kernels/avx2/tables.h"

namespace onebit::avx2 {
namespace {

// VPMADDWD: 16 products of pairs of levels.
struct Pairs {
  static constexpr int kLanes = 8;
  static constexpr int kClasses = 2, kSamples = 4, kRows = 4, kVectors = 2, kTogether = 1;
  using Int = Vector<kLanes>::Int;

  static Int load(const int16_t* from, int64_t count) { return onebit::load<Int>(from, count); }

  static void dot(Int& sum, Int a, Int b) {
    sum += reinterpret_cast<Int>(_mm256_madd_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
  }

  static void add_up(const Int (&sums)[4], int32_t* to) {
    const auto pairs = [&](int i) {
      return _mm256_hadd_epi32(reinterpret_cast<__m256i>(sums[i]), reinterpret_cast<__m256i>(sums[i + 1]));
    };
    const __m256i four = _mm256_hadd_epi32(pairs(0), pairs(2));
    const __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), sum);
  }

  static Int two(const int16_t* factors) { return Int{} + onebit::load<int32_t>(factors); }
  static void pair(Int& sum, Int packed, Int two) { dot(sum, packed, two); }
};

}  // namespace

const HeadKernels& head() {
  static constexpr HeadKernels table = HeadPasses<Pairs>::table("avx2");
  return table;
}

}  // namespace onebit::avx2
