#include "kernels/vector/binary_conv.h"

#include "kernels/avx512/isa.h"
#include "kernels/avx512/tables.h"

namespace onebit::avx512 {
namespace {

// Lanes are outputs: xor, VPOPCNTD and add, 512 products, with Pixels x Outputs in registers.
template <int Outputs, int Pixels>
struct Counter : Avx512 {
  static constexpr int kOutputs = Outputs, kGranule = 16, kPixels = Pixels, kWordBytes = 4;
  static constexpr int64_t kMaxTerms = int64_t{1} << 30;

  using Unsigned = Vector<kLanes>::Unsigned;

  static void place(uint32_t word, int64_t lane, int64_t, uint8_t* step) { std::memcpy(step + 4 * lane, &word, 4); }

  template <int P, int W>
  static void count(PixelWords<P>& pixels, Unsigned (&mismatches)[P][W / kLanes]) {
    constexpr int V = W / kLanes;
    __m512i sum[P][V];
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[p][v] = _mm512_setzero_si512();
    }
    const int64_t words = pixels.span_words();
    for (int64_t span = pixels.spans(); span > 0; --span) {
      const uint32_t* pixel[P];
      const uint8_t* weight = pixels.next(pixel);
#pragma GCC unroll 2
      for (int64_t w = 0; w < words; ++w, weight += W * 4) {
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
          const __m512i weights = _mm512_loadu_si512(weight + v * 64);
#pragma GCC unroll 8
          for (int p = 0; p < P; ++p) {
            const __m512i differ = _mm512_xor_si512(weights, _mm512_set1_epi32(static_cast<int32_t>(pixel[p][w])));
            sum[p][v] = _mm512_add_epi32(sum[p][v], _mm512_popcnt_epi32(differ));
          }
        }
      }
    }
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) mismatches[p][v] = reinterpret_cast<Unsigned>(sum[p][v]);
    }
  }
};

}  // namespace

constexpr BinaryConvKernel binary_conv_64x4 =
    BinaryConvKernel::of<BlockedBinaryConv<Counter<64, 4>>>("avx512 popcount 64x4", true);

// Half as many tiles to begin and to end where outputs are few.
constexpr BinaryConvKernel binary_conv_32x8 =
    BinaryConvKernel::of<BlockedBinaryConv<Counter<32, 8>>>("avx512 popcount 32x8", true);

}  // namespace onebit::avx512
