#include "kernels/vector/sign_product.h"

#include <immintrin.h>

#include "kernels/avx2/tables.h"

namespace onebit::avx2 {
namespace {

// VPMADDUBSW: bits by bytes, 32 products, of which two neighbours are added; a column has two 16-bit sums.
struct Pairs {
  static constexpr int kTerms = 4, kColumns = 8, kVectors = 2, kRows = 4;
  static constexpr int64_t kVectorBytes = 32, kLeftBytes = 4;
  static constexpr int64_t kSteps = 32767 / (2 * 128);
  typedef int16_t Sums __attribute__((vector_size(32)));

  static void expand(const uint32_t (&words)[4], uint8_t* to) { expand_columns(words, to); }

  static void spread(const int8_t* h, int64_t steps, uint8_t* to) {
    std::memcpy(to, h, static_cast<size_t>(4 * steps));
  }

  template <int V, int R>
  static void step(const uint8_t* left, int64_t row_bytes, const uint8_t* right, Sums (&sums)[R][V]) {
    __m256i bits[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) bits[v] = _mm256_load_si256(reinterpret_cast<const __m256i*>(right) + v);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      int32_t four;
      std::memcpy(&four, left + r * row_bytes, 4);
      const __m256i h = _mm256_set1_epi32(four);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) sums[r][v] += (Sums)_mm256_maddubs_epi16(bits[v], h);
    }
  }

  static void widen(Sums sums, int32_t* totals) {
    auto* to = reinterpret_cast<__m256i*>(totals);
    const __m256i added = _mm256_madd_epi16((__m256i)sums, _mm256_set1_epi16(1));
    _mm256_store_si256(to, _mm256_add_epi32(_mm256_load_si256(to), added));
  }
};

}  // namespace

const SignKernels& signs() {
  static constexpr SignKernels table = SignProduct<Pairs>::table("avx2 pairs");
  return table;
}

}  // namespace onebit::avx2
