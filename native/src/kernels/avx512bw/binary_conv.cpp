#include "kernels/vector/binary_conv.h"

#include "kernels/avx512/isa.h"
#include "kernels/avx512bw/tables.h"
#include "kernels/vector/nibble_counter.h"

namespace onebit::avx512bw {
namespace {

// A step takes 4.75 instructions for 512 products with 4 pixels per tile, two of them shuffles. Carry-save adders
// (Harley-Seal, eight words per round, the xor folded into the first adder by VPTERNLOG) take 25 instructions for
// 8 * 512 products, but 24 more at the end of a window, and a round for the words left over. Written out and timed on
// Zen 4 they were slower by 40 % at 18 words per window, by 26 % at 36, by 5 % at 72, and faster by 6 % at 144.
struct Counter : Avx512 {
  static constexpr int kOutputs = 128;
  using Bytes = __m512i;

  static Bytes low_nibbles(Bytes x) { return _mm512_and_si512(x, _mm512_set1_epi8(15)); }
  static Bytes high_nibbles(Bytes x) { return low_nibbles(_mm512_srli_epi16(x, 4)); }
  static Bytes add(Bytes a, Bytes b) { return _mm512_add_epi8(a, b); }

  static Bytes look_up(const uint8_t* table, Bytes nibbles) {
    const __m128i entries = _mm_load_si128(reinterpret_cast<const __m128i*>(table));
    return _mm512_shuffle_epi8(_mm512_maskz_broadcast_i32x4(0xffff, entries), nibbles);
  }

  static void add_widened(Bytes counts, Bytes (&sums)[2]) {
    sums[0] = _mm512_add_epi16(sums[0], _mm512_unpacklo_epi8(counts, _mm512_setzero_si512()));
    sums[1] = _mm512_add_epi16(sums[1], _mm512_unpackhi_epi8(counts, _mm512_setzero_si512()));
  }

  static void spread(const Bytes (&sums)[2], Vector<kLanes>::Unsigned* mismatches) {
    alignas(64) uint16_t counts[64];
    const __m512i halves[2] = {_mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11),
                               _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15)};
    for (int i = 0; i < 2; ++i)
      _mm512_store_si512(counts + 32 * i, _mm512_permutex2var_epi64(sums[0], halves[i], sums[1]));
    typedef uint16_t Narrow __attribute__((vector_size(2 * kLanes)));
    for (int i = 0; i < 4; ++i)
      mismatches[i] = __builtin_convertvector(load<Narrow>(counts + kLanes * i), Vector<kLanes>::Unsigned);
  }
};

// Few outputs leave most of a vector empty.
struct Conv : BlockedBinaryConv<NibbleCounter<Counter>> {
  static bool fits(const ConvShape& s) { return s.out_c / s.groups > 32 && BlockedBinaryConv::fits(s); }
};

}  // namespace

constexpr BinaryConvKernel binary_conv = BinaryConvKernel::of<Conv>("avx512bw nibbles", true);

}  // namespace onebit::avx512bw
