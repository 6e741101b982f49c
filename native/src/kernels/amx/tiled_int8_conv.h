// Convolution of bytes on tiles. Where a pixel's channels are whole steps, a strip holds the image's pixels; else it
// holds the window of each output pixel, side by side, and the convolution is one of 1x1.
//
// The sum of (q - z) * w is the sum of q * w less z * (sum of w), which the sums start from.
//
// Packed weights, for each 16 outputs: int32 start [16], then [step of 64 terms, in the order ky, kx, channel][row of a
// tile][output] of 4 terms, those behind the last one 0.
#pragma once

#include "kernels/amx/tiled_conv.h"

namespace onebit {
namespace {

template <class Isa>
class TiledInt8Conv {
 public:
  static bool fits(const ConvShape& s) { return s.groups == 1 && Tiled::fits(s); }

  static size_t pack_bytes(const ConvShape& s) {
    return static_cast<size_t>(round_up(s.out_c, kTileOutputs) * (4 + steps_of(s) * kTileBytes));
  }

  static void pack(const ConvShape& s, int32_t zero_point, const int8_t* weight, void* packed) {
    const int64_t terms = taps_of(s) * s.in_c, steps = steps_of(s);
    auto* to = static_cast<int8_t*>(packed);
    std::memset(to, 0, pack_bytes(s));
    for (int64_t output = 0; output < s.out_c; output += kTileOutputs) {
      for (int64_t n = 0; n < kTileOutputs && output + n < s.out_c; ++n, weight += terms) {
        int32_t sum = 0;
        for (int64_t i = 0; i < terms; ++i) {
          sum += weight[i];
          to[kTileBytes * (1 + i / 4) + 4 * n + i % 4] = weight[i];
        }
        const int32_t start = -zero_point * sum;
        std::memcpy(to + 4 * n, &start, sizeof start);
      }
      to += kTileBytes * (1 + steps * kTileRows);
    }
  }

  static int64_t units(const ConvShape& s) { return Tiled::units(s); }
  static void run(const Int8ConvArgs& args, int64_t begin, int64_t end) { Tiled::run(args, begin, end); }

 private:
  static constexpr int N = Isa::kLanes, V = kTileOutputs / N;
  using Int = typename Vector<N>::Int;

  static bool whole(const ConvShape& s) { return s.in_c % kTileBytes == 0; }
  static int64_t steps_of(const ConvShape& s) { return (taps_of(s) * s.in_c + kTileBytes - 1) / kTileBytes; }

  struct Conv {
    using Args = Int8ConvArgs;
    static constexpr bool kWide = true;

    static ConvShape shape(const ConvShape& s) {
      if (whole(s)) return s;
      ConvShape windows = s;
      windows.in_h = s.out_h, windows.in_w = s.out_w;
      windows.in_c = static_cast<int32_t>(steps_of(s) * kTileBytes);
      windows.kernel_h = windows.kernel_w = windows.stride_h = windows.stride_w = 1;
      windows.dilation_h = windows.dilation_w = 1;
      return windows;
    }

    template <int Sum, int A, int B>
    static void multiply() {
      Isa::template multiply_unsigned<Sum, A, B>();
    }

    class Weights {
     public:
      Weights(const void* packed, int64_t tile, int64_t steps, int8_t*, bool)
          : tile_bytes_(kTileBytes * (1 + steps * kTileRows)),
            bytes_(static_cast<const int8_t*>(packed) + tile * tile_bytes_) {}

      void start(bool) {}

      template <int Sum>
      void start_sums(int64_t tile) const {
        Isa::template read<Sum>(bytes_ + tile * tile_bytes_, 0);
      }

      const int8_t* tile(int64_t step, int64_t tile) const {
        return bytes_ + tile * tile_bytes_ + kTileBytes * (1 + step * kTileRows);
      }

      void after(int64_t) {}

     private:
      int64_t tile_bytes_;
      const int8_t* bytes_;
    };

    class Writer {
     public:
      Writer() = default;
      Writer(const Int8ConvArgs& args, int64_t channel) : channel_(channel), channels_(args.shape.out_c) {}

      template <int P, int Width>
      [[gnu::always_inline]] inline void write(const Int8ConvArgs& args, const Sums& dots, int64_t pixel) const {
        const int64_t index = pixel * channels_;
        for (int64_t v = 0; v < Width * V; ++v) {
          const int64_t channel = channel_ + v * N, count = channels_ - channel;
          if (count <= 0) break;
          Float<N> y[P];
#pragma GCC unroll 8
          for (int p = 0; p < P; ++p) {
            __builtin_prefetch(args.output + index + (kAhead + p) * channels_ + channel, 1);
            y[p] = __builtin_convertvector(load<Int>(dots[p] + v * N), Float<N>);
          }
          if (count >= N) {
            finish<N>(args.epilogue, y, channel, index + channel, channels_, N, args.output);
          } else {
            finish<N>(args.epilogue, y, channel, index + channel, channels_, count, args.output);
          }
        }
      }

     private:
      static constexpr int64_t kAhead = 16;  // pixels: a store that misses the first cache holds up the others

      int64_t channel_ = 0, channels_ = 0;
    };

    static void fill(const Int8ConvArgs& args, const Strip& strip, int64_t row, int64_t rows, int8_t* to) {
      if (whole(args.shape)) {
        fill_pixels(args, strip, row, to);
      } else {
        fill_windows(args, row, rows, to);
      }
    }

    static void fill_pixels(const Int8ConvArgs& args, const Strip& strip, int64_t row, int8_t* to) {
      const ConvShape& s = args.shape;
      const auto pixel = static_cast<size_t>(s.in_c);
      for (int64_t plane = 0; plane < strip.planes(); ++plane) {
        int64_t y = row % s.out_h * s.stride_h + strip.first_row(plane);
        const int64_t left = strip.first_column(plane);
        for (int64_t i = 0; i < strip.height(); ++i, y += s.stride_h, to += strip.pitch() * s.in_c) {
          if (y >= s.in_h) continue;  // no output's
          const uint8_t* from = args.input + ((row / s.out_h * s.in_h + y) * s.in_w + left) * s.in_c;
          if (s.stride_w == 1) {
            std::memcpy(to, from, static_cast<size_t>(strip.pitch()) * pixel);
            continue;
          }
          for (int64_t j = 0; j < strip.pitch() && left + j * s.stride_w < s.in_w; ++j)
            std::memcpy(to + j * s.in_c, from + j * s.stride_w * s.in_c, pixel);
        }
      }
    }

    // 64 bytes of a window at a time, for all pixels of a row.
    static void fill_windows(const Int8ConvArgs& args, int64_t row, int64_t rows, int8_t* to) {
      const ConvShape& s = args.shape;
      const int64_t window = steps_of(s) * kTileBytes, step = int64_t{s.stride_w} * s.in_c;
      for (int64_t first = 0; first < window; first += kTileBytes) {
        const Pieces pieces(s, first);
        int8_t* line = to + first;
        for (int64_t i = row; i < row + rows; ++i, line += s.out_w * window) {
          const int64_t y = i / s.out_h * s.in_h + i % s.out_h * s.stride_h;
          const uint8_t* corner = args.input + y * s.in_w * s.in_c;
          Isa::gather(corner, step, pieces.count, pieces.masks, pieces.offsets, s.out_w, line, window);
        }
      }
    }

    // Where a window's 64 bytes from `first` on lie in the image: those in the mask of a piece are as far behind its
    // offset from the window's corner as behind `first`.
    struct Pieces {
      Pieces(const ConvShape& s, int64_t first) {
        const int64_t columns = s.dilation_w == 1 ? 1 : s.kernel_w;
        const int64_t bytes = s.kernel_w / columns * s.in_c;  // side by side
        for (int64_t span = first / bytes; span < s.kernel_h * columns && span * bytes < first + kTileBytes; ++span) {
          const int64_t begin = span * bytes - first, end = begin + bytes;
          const int64_t y = span / columns * s.dilation_h, x = span % columns * s.dilation_w;
          masks[count] = below(end) & ~below(begin);
          offsets[count++] = (y * s.in_w + x) * s.in_c - begin;
        }
      }

      // The lowest `count` bits.
      static uint64_t below(int64_t count) {
        return count <= 0 ? 0 : count >= 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
      }

      int64_t count = 0;
      uint64_t masks[kTileBytes];
      int64_t offsets[kTileBytes];
    };
  };

  using Tiled = TiledConv<Isa, Conv>;
};

}  // namespace
}  // namespace onebit
