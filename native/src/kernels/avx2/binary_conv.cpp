#include "kernels/vector/binary_conv.h"

#include "kernels/avx2/isa.h"
#include "kernels/avx2/tables.h"
#include "kernels/vector/nibble_counter.h"
#include "kernels/vector/pair_counter.h"

namespace onebit::avx2 {
namespace {

struct Counter : Avx2 {
  static constexpr int kOutputs = 64;
  using Bytes = __m256i;

  static Bytes low_nibbles(Bytes x) { return _mm256_and_si256(x, _mm256_set1_epi8(15)); }
  static Bytes high_nibbles(Bytes x) { return low_nibbles(_mm256_srli_epi16(x, 4)); }
  static Bytes add(Bytes a, Bytes b) { return _mm256_add_epi8(a, b); }

  static Bytes look_up(const uint8_t* table, Bytes nibbles) {
    const __m128i entries = _mm_load_si128(reinterpret_cast<const __m128i*>(table));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(entries), nibbles);
  }

  static void add_widened(Bytes counts, Bytes (&sums)[2]) {
    sums[0] = _mm256_add_epi16(sums[0], _mm256_unpacklo_epi8(counts, _mm256_setzero_si256()));
    sums[1] = _mm256_add_epi16(sums[1], _mm256_unpackhi_epi8(counts, _mm256_setzero_si256()));
  }

  static void spread(const Bytes (&sums)[2], Vector<kLanes>::Unsigned* mismatches) {
    for (int half = 0; half < 2; ++half) {
      mismatches[half] = widened(_mm256_castsi256_si128(sums[half]));
      mismatches[half + 2] = widened(_mm256_extracti128_si256(sums[half], 1));
    }
  }

  // The bytes of both, in turns, times 16.
  static void store_16_times(Vector<4>::Unsigned even, Vector<4>::Unsigned odd, uint16_t* to) {
    const auto x = reinterpret_cast<__m128i>(even), y = reinterpret_cast<__m128i>(odd);
    const __m128i halves[2] = {_mm_unpacklo_epi8(x, y), _mm_unpackhi_epi8(x, y)};
    for (int i = 0; i < 2; ++i) {
      const __m256i places = _mm256_slli_epi16(_mm256_cvtepu8_epi16(halves[i]), 4);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 16 * i), places);
    }
  }

  static Bytes less_16_times(Bytes a, Bytes b) {
    return _mm256_sub_epi8(a, _mm256_and_si256(_mm256_slli_epi16(b, 4), _mm256_set1_epi8(-16)));
  }

 private:
  static Vector<kLanes>::Unsigned widened(__m128i counts) {
    return reinterpret_cast<Vector<kLanes>::Unsigned>(_mm256_cvtepu16_epi32(counts));
  }
};

}  // namespace

constexpr BinaryConvKernel binary_conv =
    BinaryConvKernel::of<BlockedBinaryConv<NibbleCounter<Counter>>>("avx2 nibbles", true);
constexpr BinaryConvKernel paired_binary_conv =
    BinaryConvKernel::of<BlockedBinaryConv<PairCounter<Counter>>>("avx2 pairs of pixels", true);

}  // namespace onebit::avx2
