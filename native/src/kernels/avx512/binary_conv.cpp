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

  static void place(uint32_t word, int64_t lane, int64_t, uint8_t* step) { std::memcpy(step + 4 * lane, &word, 4); }

  template <int P>
  static void dots(PixelWords<P>& pixels, int32_t terms, const uint8_t* weight, int64_t width,
                   int32_t (&dots)[P][kOutputs]) {
    switch (width) {
      case 16: return count<1>(pixels, terms, weight, dots);
      case 32: return count<2>(pixels, terms, weight, dots);
      case 48: return count<3>(pixels, terms, weight, dots);
      default: return count<4>(pixels, terms, weight, dots);
    }
  }

 private:
  template <int V, int P>
  static void count(PixelWords<P>& pixels, int32_t terms, const uint8_t* weight, int32_t (&dots)[P][kOutputs]) {
    __m512i sum[P][V];
    for (int p = 0; p < P; ++p) {
      for (int v = 0; v < V; ++v) sum[p][v] = _mm512_setzero_si512();
    }
    const int64_t words = pixels.span_words();
    for (int64_t span = pixels.spans(); span > 0; --span) {
      const uint32_t* pixel[P];
      pixels.next(pixel);
      for (int64_t w = 0; w < words; ++w, weight += V * 64) {
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
      for (int v = 0; v < V; ++v) {
        const __m512i twice = _mm512_add_epi32(sum[p][v], sum[p][v]);
        _mm512_store_si512(dots[p] + 16 * v, _mm512_sub_epi32(_mm512_set1_epi32(terms), twice));
      }
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
