// Binary convolution on tiles of bytes: bits become the bytes +1 and -1, and padding the byte pad_value, so borders are
// as any other place. Weights stay bits until they are used, as an eighth of the bytes comes from the caches: a tile of
// them is expanded ahead of its use, between tile operations.
//
// Packed weights, for each 16 outputs: [step of 64 terms, in the order ky, kx, channel][row of a tile] of 64 bits, bit
// 4 n + j of row r being term 4 r + j of output n (the layout of the second operand, one bit per byte).
#pragma once

#include "kernels/amx/tiled_conv.h"
#include "kernels/vector/limits.h"

namespace onebit {
namespace {

template <class Isa>
class TiledBinaryConv {
 public:
  // One group, whole steps and blocks.
  static bool fits(const ConvShape& s) {
    return s.groups == 1 && s.in_c % kTileBytes == 0 && s.out_c % Tiled::kOutputs == 0 && Tiled::fits(s);
  }

  static size_t pack_bytes(const ConvShape& s) { return static_cast<size_t>(s.out_c * taps_of(s) * s.in_c / 8); }

  static void pack(const ConvShape& s, const uint32_t* weight, void* packed) {
    const int64_t words = taps_of(s) * s.in_c / 32;
    auto* to = static_cast<uint64_t*>(packed);
    for (int64_t output = 0; output < s.out_c; output += kTileOutputs) {
      for (int64_t term = 0; term < words * 32; term += 4) {
        uint64_t bits = 0;
        for (int64_t n = 0; n < kTileOutputs; ++n) {
          const uint64_t four = weight[(output + n) * words + term / 32] >> term % 32 & 15;
          bits |= four << 4 * n;
        }
        *to++ = bits;
      }
    }
  }

  static int64_t units(const ConvShape& s) { return Tiled::units(s); }
  static void run(const BinaryConvArgs& args, int64_t begin, int64_t end) { Tiled::run(args, begin, end); }

 private:
  static constexpr int N = Isa::kLanes, V = kTileOutputs / N;
  using Int = typename Vector<N>::Int;
  using Unsigned = typename Vector<N>::Unsigned;

  struct Conv {
    using Args = BinaryConvArgs;
    static constexpr bool kWide = false;

    static const ConvShape& shape(const ConvShape& s) { return s; }

    template <int Sum, int A, int B>
    static void multiply() {
      Isa::template multiply<Sum, A, B>();
    }

    // The weights of 16 outputs.
    class Weights {
     public:
      // `keeps`: the bytes stay in the panel, which is as large; else they go round in it.
      Weights(const void* packed, int64_t tile, int64_t steps, int8_t* panel, bool keeps)
          : bits_(static_cast<const uint64_t*>(packed) + tile * steps * kTileRows),
            panel_(panel),
            steps_(steps),
            mask_(keeps ? -1 : kRingSteps - 1) {}

      void start(bool expands) {
        expanding_ = expands ? steps_ - kAhead : 0;
        for (int64_t step = 0; expands && step < kAhead && step < steps_; ++step) expand(step);
      }

      template <int Sum>
      void start_sums(int64_t) const {
        Isa::template zero<Sum>();
      }

      const int8_t* tile(int64_t step, int64_t) const { return panel_ + (step & mask_) * kTileRows * kTileBytes; }

      void after(int64_t step) {
        if (step < expanding_) expand(step + kAhead);
      }

     private:
      static constexpr int64_t kAhead = 2;

      void expand(int64_t step) {
        const uint64_t* from = bits_ + step * kTileRows;
        int8_t* to = panel_ + (step & mask_) * kTileRows * kTileBytes;
#pragma GCC unroll 16
        for (int64_t i = 0; i < kTileRows; ++i) Isa::expand(from[i], to + i * kTileBytes);
      }

      const uint64_t* bits_;
      int8_t* panel_;
      int64_t steps_, mask_, expanding_ = 0;
    };

    // Writes 16 outputs of a pixel: floats, perhaps with their bits, or bits alone.
    class Writer {
     public:
      Writer() = default;
      Writer(const BinaryConvArgs& args, int64_t channel)
          : limits_(args, channel, kTileOutputs),
            channel_(channel),
            channels_(args.shape.out_c),
            pixel_bytes_(words_of(channels_) * 4),
            bits_(reinterpret_cast<uint8_t*>(args.output ? args.bits.words : args.output_bits)) {
        if (bits_) bits_ += channel / 8;  // little-endian
      }

      template <int P, int>
      [[gnu::always_inline]] inline void write(const BinaryConvArgs& args, const Sums& dots, int64_t pixel) const {
        const int64_t index = pixel * channels_ + channel_;
        uint8_t* to = bits_ + pixel * pixel_bytes_;
        if constexpr (V == 1) {
          write_vector<P>(args, dots, index, 0, to);
        } else {
          for (int v = 0; v < V; ++v) write_vector<P>(args, dots, index, v, to);
        }
      }

     private:
      template <int P>
      [[gnu::always_inline]] inline void write_vector(const BinaryConvArgs& args, const Sums& dots, int64_t index,
                                                      int v, uint8_t* to) const {
        if (args.output) {
          Float<N> y[P];
#pragma GCC unroll 8
          for (int p = 0; p < P; ++p) y[p] = __builtin_convertvector(load<Int>(dots[p] + v * N), Float<N>);
          finish<N>(args.epilogue, y, channel_ + v * N, index + v * N, channels_, N, args.output);
          if (!bits_) return;
          const auto low = limits_.template low<Float<N>>(v), high = limits_.template high<Float<N>>(v);
#pragma GCC unroll 8
          for (int p = 0; p < P; ++p, to += pixel_bytes_) put(Isa::outside(y[p], low, high), v, to);
        } else {
          const auto low = limits_.template low<Unsigned>(v), range = limits_.template high<Unsigned>(v);
#pragma GCC unroll 8
          for (int p = 0; p < P; ++p, to += pixel_bytes_)
            put(Isa::outside(load<Unsigned>(dots[p] + v * N) - low, range), v, to);
        }
      }

      // Stores the bits of vector v among the 16 that a pixel has here.
      static void put(uint32_t bits, int v, uint8_t* to) {
        auto half = static_cast<uint16_t>(bits << v * N);
        if (v > 0) half = static_cast<uint16_t>(half | load<uint16_t>(to));
        std::memcpy(to, &half, sizeof half);
      }

      Limits<N, kTileOutputs> limits_;
      int64_t channel_ = 0, channels_ = 0, pixel_bytes_ = 0;
      uint8_t* bits_ = nullptr;
    };

    static void fill(const BinaryConvArgs& args, const Strip& strip, int64_t row, int64_t, int8_t* to) {
      const ConvShape& s = args.shape;
      const int64_t words = words_of(s.in_c), sample = row / s.out_h, step = s.stride_w;
      const auto pad = [&](int64_t pixels) {
        std::memset(to, args.pad_value, static_cast<size_t>(pixels * s.in_c));
        to += pixels * s.in_c;
      };
      for (int64_t plane = 0; plane < strip.planes(); ++plane) {
        int64_t y = row % s.out_h * s.stride_h - s.pad_top + strip.first_row(plane);
        const int64_t x = strip.first_column(plane) - s.pad_left;
        const int64_t before = x < 0 ? (-x + step - 1) / step : 0;
        const int64_t until = x < s.in_w ? (s.in_w - x + step - 1) / step : before;  // where the image ends
        const int64_t end = until < strip.pitch() ? until : strip.pitch();
        for (int64_t i = 0; i < strip.height(); ++i, y += s.stride_h) {
          if (y < 0 || y >= s.in_h || before >= end) {
            pad(strip.pitch());
            continue;
          }
          pad(before);
          const uint32_t* from = args.input + ((sample * s.in_h + y) * s.in_w + x + before * step) * words;
          const int64_t runs = step == 1 ? 1 : end - before, length = step == 1 ? (end - before) * words : words;
          for (int64_t j = 0; j < runs; ++j, from += step * words) {
#pragma GCC unroll 4
            for (int64_t w = 0; w < length; w += 2, to += kTileBytes) Isa::expand(load<uint64_t>(from + w), to);
          }
          pad(strip.pitch() - end);
        }
      }
    }
  };

  using Tiled = TiledConv<Isa, Conv>;
};

}  // namespace
}  // namespace onebit
