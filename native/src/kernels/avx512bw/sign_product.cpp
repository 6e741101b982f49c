#include "kernels/vector/sign_product.h"

#include <immintrin.h>

#include "kernels/avx512bw/tables.h"

namespace onebit::avx512bw {
namespace {

// A step is a look-up: five h have 32 sums over subsets, which are the 16-bit lanes of a vector, and the bits of a
// column are an index into it. VPERMW looks 32 columns up, 160 products; VPDPBUSD makes 64.
struct Lookup {
  static constexpr int kTerms = 5, kColumns = 32, kVectors = 4, kRows = 4;
  static constexpr int64_t kVectorBytes = 64, kLeftBytes = 64;
  static constexpr int64_t kSteps = 32767 / (5 * 128);
  typedef int16_t Sums __attribute__((vector_size(64)));

  static void expand(const uint32_t (&words)[5], uint8_t* to) {
    __m512i index = _mm512_maskz_set1_epi16(words[0], 1);
#pragma GCC unroll 4
    for (int k = 1; k < 5; ++k)
      index = _mm512_or_si512(index, _mm512_maskz_set1_epi16(words[k], static_cast<int16_t>(1 << k)));
    _mm512_store_si512(to, index);
  }

  // By VPMADDUBSW, two h at a time.
  static void spread(const int8_t* h, int64_t steps, uint8_t* to) {
    alignas(64) uint8_t bits[3][64];
    for (int i = 0; i < 32; ++i)
      for (int k = 0; k < 6; ++k) bits[k / 2][2 * i + k % 2] = static_cast<uint8_t>(i >> k & 1);  // k 5: zeros
    const __m512i first = _mm512_load_si512(bits[0]), second = _mm512_load_si512(bits[1]),
                  third = _mm512_load_si512(bits[2]);
    for (int64_t step = 0; step < steps; ++step, h += 5, to += 64) {
      int16_t low, high;
      std::memcpy(&low, h, 2);
      std::memcpy(&high, h + 2, 2);
      const __m512i sums = _mm512_add_epi16(_mm512_maddubs_epi16(first, _mm512_set1_epi16(low)),
                                            _mm512_maddubs_epi16(second, _mm512_set1_epi16(high)));
      const __m512i last = _mm512_maddubs_epi16(third, _mm512_set1_epi16(static_cast<uint8_t>(h[4])));
      _mm512_store_si512(to, _mm512_add_epi16(sums, last));
    }
  }

  template <int V, int R>
  static void step(const uint8_t* left, int64_t row_bytes, const uint8_t* right, Sums (&sums)[R][V]) {
    __m512i index[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) index[v] = _mm512_load_si512(right + 64 * v);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const __m512i table = _mm512_load_si512(left + r * row_bytes);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sums[r][v] += (Sums)_mm512_permutexvar_epi16(index[v], table);
    }
  }

  static void widen(Sums sums, int32_t* totals) {
    typedef int16_t Half __attribute__((vector_size(32)));
    typedef int32_t Wide __attribute__((vector_size(64)));
    for (int i = 0; i < 2; ++i) {
      Half half;
      Wide total;
      std::memcpy(&half, reinterpret_cast<const uint8_t*>(&sums) + 32 * i, 32);
      std::memcpy(&total, totals + 16 * i, 64);
      total += __builtin_convertvector(half, Wide);
      std::memcpy(totals + 16 * i, &total, 64);
    }
  }
};

}  // namespace

const SignKernels& signs() {
  static constexpr SignKernels table = SignProduct<Lookup>::table("avx512bw look-up");
  return table;
}

}  // namespace onebit::avx512bw
