#include "kernels/vector/int8_conv.h"

#include "kernels/avx2/isa.h"
#include "kernels/avx2/tables.h"
#include "kernels/avx2/widened_int8_conv.h"

namespace onebit::avx2 {
namespace {

// VPMADDUBSW saturates on full bytes, so products are made of 16-bit pairs (VPMADDWD): 16 products, 2 of each of 8
// outputs. The pairs are bytes 0 and 2, and 1 and 3, of 4 input bytes, which a mask and a shift bring apart; shifts do
// the same to the weights, once for all pixels.
struct Pairs : Avx2 {
  static constexpr int kVectors = 4;

  static constexpr int pixels(int vectors) { return vectors == 1 ? 6 : vectors == 2 ? 4 : 2; }

  static void place(const int8_t* four, int64_t lane, uint8_t* step) { std::memcpy(step + 4 * lane, four, 4); }

  template <int V, int P>
  static void step(const uint8_t* const (&input)[P], int64_t at, const uint8_t* weight, Vector<8>::Int (&sum)[P][V]) {
    __m256i even[P], odd[P];
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) {
      const __m256i four = _mm256_set1_epi32(load<int32_t>(input[p] + at));
      even[p] = _mm256_and_si256(four, _mm256_set1_epi32(0x00ff00ff));
      odd[p] = _mm256_srli_epi16(four, 8);
    }
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) {
      const __m256i weights = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weight + 32 * v));
      __m256i low = _mm256_srai_epi16(_mm256_slli_epi16(weights, 8), 8), high = _mm256_srai_epi16(weights, 8);
#pragma GCC unroll 16
      for (int p = 0; p < P; ++p) {
        __m256i total = (__m256i)sum[p][v];
        total = _mm256_add_epi32(total, _mm256_madd_epi16(even[p], low));
        total = _mm256_add_epi32(total, _mm256_madd_epi16(odd[p], high));
        keep(total);
        sum[p][v] = (Vector<8>::Int)total;
      }
    }
  }

 private:
  // In a register, now: the compiler would put off additions until there are no registers for the products.
  static void keep(__m256i& value) { __asm__ volatile("" : "+x"(value)); }
};

}  // namespace

constexpr Int8ConvKernel int8_conv = Int8ConvKernel::of<BlockedInt8Conv<Pairs>>("avx2 pairs", true);
constexpr Int8ConvKernel widened_int8_conv = Int8ConvKernel::of<WidenedInt8Conv>("avx2 widened", true);

}  // namespace onebit::avx2
