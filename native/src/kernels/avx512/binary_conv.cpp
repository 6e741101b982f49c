#include "kernels/vector/binary_conv.h"

#include "kernels/avx512/avx512.h"
#include "kernels/avx512/isa.h"
#include "kernels/portable/portable.h"

namespace onebit::avx512 {
namespace {

// Lanes are outputs: xor, VPOPCNTD and add, 512 products, with 4 pixels x 64 outputs in registers.
struct Counter : Avx512 {
  static constexpr int kOutputs = 64, kGranule = 16, kPixels = 4;
  static constexpr int64_t kMaxTerms = int64_t{1} << 30;

  using Unsigned = Vector<kLanes>::Unsigned;

  static void place(uint32_t word, int64_t lane, int64_t, uint8_t* step) { std::memcpy(step + 4 * lane, &word, 4); }

  template <int P, int W>
  static void count(PixelWords<P>& pixels, Unsigned (&mismatches)[P][W / kLanes]) {
    constexpr int V = W / kLanes;
    __m512i sum[P][V];
    for (int p = 0; p < P; ++p) {
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
#pragma GCC unroll 4
          for (int p = 0; p < P; ++p) {
            const __m512i differ = _mm512_xor_si512(weights, _mm512_set1_epi32(static_cast<int32_t>(pixel[p][w])));
            sum[p][v] = _mm512_add_epi32(sum[p][v], _mm512_popcnt_epi32(differ));
          }
        }
      }
    }
    for (int p = 0; p < P; ++p) {
      for (int v = 0; v < V; ++v) mismatches[p][v] = reinterpret_cast<Unsigned>(sum[p][v]);
    }
  }
};

using Blocked = BlockedBinaryConv<Counter>;

}  // namespace

size_t binary_conv_pack_bytes(const ConvShape& shape) {
  return Blocked::fits(shape) ? Blocked::pack_bytes(shape) : portable::binary_conv_pack_bytes(shape);
}

void binary_conv_pack(const ConvShape& shape, const uint32_t* weight, void* packed) {
  return Blocked::fits(shape) ? Blocked::pack(shape, weight, packed)
                              : portable::binary_conv_pack(shape, weight, packed);
}

int64_t binary_conv_units(const ConvShape& shape) {
  return Blocked::fits(shape) ? Blocked::units(shape) : portable::binary_conv_units(shape);
}

void binary_conv(const BinaryConvArgs& args, int64_t begin, int64_t end) {
  return Blocked::fits(args.shape) ? Blocked::run(args, begin, end) : portable::binary_conv(args, begin, end);
}

}  // namespace onebit::avx512
