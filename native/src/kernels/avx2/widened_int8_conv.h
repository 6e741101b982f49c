// Convolution of bytes widened to 16 bits beforehand, the weights when they are packed, the input a run of pixels at a
// time: what is left in the inner loop are loads, VPMADDWD and VPADDD. Lanes are outputs, of a pair of products each.
//
// Packed weights, for each 16 outputs: int32 start [16] (-zero_point times the sum of the weights); then int16
// [kernel_h][pair][16][2], a pair being two neighbouring bytes of a kernel row, filled up with a zero weight.
#pragma once

#include "kernels/avx2/isa.h"
#include "kernels/shape.h"
#include "kernels/vector/epilogue.h"

namespace onebit::avx2 {
namespace {

class WidenedInt8Conv {
 public:
  // The taps of a kernel row lie side by side, no vector is cut, and the input of a few pixels fits.
  static bool fits(const ConvShape& s) {
    return s.groups == 1 && s.dilation_w == 1 && s.out_c % kOutputs == 0 &&
           run_bytes(s, s.out_w < kPixels ? s.out_w : kPixels) <= kMaxBytes;
  }

  static size_t pack_bytes(const ConvShape& s) { return static_cast<size_t>(s.out_c / kOutputs * block_bytes(s)); }

  static void pack(const ConvShape& s, int32_t zero_point, const int8_t* weight, void* packed) {
    const int64_t span = span_bytes(s);
    std::memset(packed, 0, pack_bytes(s));
    for (int64_t o = 0; o < s.out_c; ++o) {
      auto* start = reinterpret_cast<int32_t*>(static_cast<uint8_t*>(packed) + o / kOutputs * block_bytes(s));
      auto* to = reinterpret_cast<int16_t*>(start + kOutputs) + o % kOutputs * 2;
      int32_t sum = 0;
      for (int64_t ky = 0; ky < s.kernel_h; ++ky, to += pairs(s) * kOutputs * 2) {
        for (int64_t i = 0; i < span; ++i, ++weight) {
          to[i / 2 * kOutputs * 2 + i % 2] = *weight;
          sum += *weight;
        }
      }
      start[o % kOutputs] = -zero_point * sum;
    }
  }

  // A unit is a row of up to kGroup blocks of outputs, rows innermost.
  static int64_t units(const ConvShape& s) { return rows_of(s) * ((s.out_c / kOutputs + kGroup - 1) / kGroup); }

  static void run(const Int8ConvArgs& args, int64_t begin, int64_t end) {
    const int64_t rows = rows_of(args.shape), pixels = run_pixels(args.shape);
    for (; begin < end; ++begin) {
      for (int64_t x = 0; x < args.shape.out_w; x += pixels) {
        const int64_t left = args.shape.out_w - x;
        run_row(args, begin / rows * kGroup, begin % rows, x, left < pixels ? left : pixels);
      }
    }
  }

 private:
  static constexpr int N = Avx2::kLanes, kOutputs = 2 * N, kPixels = 6;
  static constexpr int64_t kGroup = 4, kMaxBytes = 16384;  // bytes of the input

  static int64_t span_bytes(const ConvShape& s) { return int64_t{s.kernel_w} * s.in_c; }
  static int64_t pairs(const ConvShape& s) { return (span_bytes(s) + 1) / 2; }
  static int64_t block_bytes(const ConvShape& s) { return 4 * kOutputs * (1 + s.kernel_h * pairs(s)); }

  // What a run of pixels reads of an input row, in whole vectors, one byte more for the last pair.
  static int64_t row_bytes(const ConvShape& s, int64_t pixels) {
    return round_up((pixels - 1) * s.stride_w * s.in_c + span_bytes(s) + 1, 2 * N);
  }
  static int64_t run_bytes(const ConvShape& s, int64_t pixels) { return s.kernel_h * row_bytes(s, pixels); }

  static int64_t run_pixels(const ConvShape& s) {
    if (run_bytes(s, s.out_w) <= kMaxBytes) return s.out_w;
    int64_t pixels = kPixels;
    while (run_bytes(s, pixels + kPixels) <= kMaxBytes) pixels += kPixels;
    return pixels;
  }

  struct Tile {
    const ConvShape& shape;
    int64_t row_bytes, pixel_step;  // in the widened input
  };

  static void run_row(const Int8ConvArgs& args, int64_t block, int64_t row, int64_t x, int64_t count) {
    const ConvShape& s = args.shape;
    alignas(32) uint16_t input[kMaxBytes];
    const Tile tile = {s, row_bytes(s, count), int64_t{s.stride_w} * s.in_c};
    const int64_t y = row / s.out_h * s.in_h + row % s.out_h * s.stride_h;
    const uint8_t* from = args.input + y * s.in_w * s.in_c + x * tile.pixel_step;
    for (int64_t ky = 0; ky < s.kernel_h; ++ky, from += int64_t{s.dilation_h} * s.in_w * s.in_c)
      widen(from, tile.row_bytes, input + ky * tile.row_bytes);
    const int64_t last = block + kGroup < s.out_c / kOutputs ? block + kGroup : s.out_c / kOutputs;
    for (; block < last; ++block) {
      const auto* weight = static_cast<const uint8_t*>(args.weight) + block * block_bytes(s);
      const int64_t output = (row * s.out_w + x) * s.out_c + block * kOutputs;
      int64_t done = 0;
      for (int64_t tiles = (count + kPixels - 1) / kPixels; tiles > 0; --tiles) {  // as equal as can be
        const int64_t pixels = (count - done + tiles - 1) / tiles;
        run_tile<kPixels>(args, tile, pixels, input + done * tile.pixel_step, weight, block * kOutputs,
                          output + done * s.out_c);
        done += pixels;
      }
    }
  }

  static void widen(const uint8_t* from, int64_t count, uint16_t* to) {
    for (int64_t i = 0; i < count; i += 2 * N) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
      _mm256_store_si256(reinterpret_cast<__m256i*>(to + i), _mm256_cvtepu8_epi16(bytes));
    }
  }

  template <int P>
  static void run_tile(const Int8ConvArgs& args, const Tile& tile, int64_t pixels, const uint16_t* input,
                       const uint8_t* weight, int64_t channel, int64_t output) {
    if constexpr (P > 1) {
      if (pixels < P) return run_tile<P - 1>(args, tile, pixels, input, weight, channel, output);
    }
    Vector<N>::Int sum[2][P];
    add<P>(tile, input, weight, sum);
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      Float<N> y[P];
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) y[p] = __builtin_convertvector(sum[v][p], Float<N>);
      finish<N>(args.epilogue, y, channel + v * N, output + v * N, args.shape.out_c, N, args.output);
    }
  }

  template <int P>
  static void add(const Tile& tile, const uint16_t* input, const uint8_t* weight, Vector<N>::Int (&sum)[2][P]) {
    __m256i low[P], high[P];
    const uint16_t* pixel[P];
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) {
      low[p] = vector(weight, 0);
      high[p] = vector(weight, 1);
      pixel[p] = input + p * tile.pixel_step;
    }
    weight += 4 * kOutputs;
    const int64_t pairs_of_row = pairs(tile.shape);
    for (int64_t ky = 0; ky < tile.shape.kernel_h; ++ky) {
      for (int64_t i = 0; i < 2 * pairs_of_row; i += 2, weight += 4 * kOutputs) {
        const __m256i first = vector(weight, 0), second = vector(weight, 1);
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p) {
          const __m256i pair = _mm256_set1_epi32(load<int32_t>(pixel[p] + i));
          low[p] = _mm256_add_epi32(low[p], _mm256_madd_epi16(pair, first));
          high[p] = _mm256_add_epi32(high[p], _mm256_madd_epi16(pair, second));
        }
      }
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) pixel[p] += tile.row_bytes;
    }
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) {
      sum[0][p] = (Vector<N>::Int)low[p];
      sum[1][p] = (Vector<N>::Int)high[p];
    }
  }

  static __m256i vector(const uint8_t* weight, int index) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(weight) + index);
  }
};

}  // namespace
}  // namespace onebit::avx2
