// Binary convolution in blocks of output channels: all that the instruction sets share around their inner loop, which
// counts the mismatches (popcount of xor) of P pixels with a block of outputs.
//
// A tile is P pixels of one output row or column whose windows have the same taps inside the image. With K terms of
// those taps and m mismatches, dot = K - 2 m. The taps outside are not counted: they add 0 each, or, where padding is
// +1 or -1, pad_value times t = channels - 2 popcount(w_tap), the tap's dot with +1, which lies behind the packed
// weights.
//
// Packed weights, for each block of up to Isa::kOutputs outputs of a group (the last one narrower: a multiple of
// Isa::kGranule):
//   steps [tap][word] of Isa::kWordBytes * width bytes, in the order that Isa::place chooses; int32 t [tap][width].
#pragma once

#include "kernels/vector/epilogue.h"
#include "kernels/vector/limits.h"
#include "kernels/vector/output_block.h"
#include "kernels/vector/pixel_words.h"

namespace onebit {
namespace {

template <class Isa>
class BlockedBinaryConv {
 public:
  // Whether blocks start at whole words, and counts stay within Isa's accumulators. Other shapes take the general
  // kernel.
  static bool fits(const ConvShape& s) {
    const int64_t channels = s.in_c / s.groups, outputs = s.out_c / s.groups;
    return (s.groups == 1 || (channels % 32 == 0 && outputs % 32 == 0)) && taps_of(s) <= Isa::kMaxTerms / channels;
  }

  static size_t pack_bytes(const ConvShape& s) {
    return static_cast<size_t>(s.groups * (words_of(s.in_c / s.groups) * Isa::kWordBytes + 4) * taps_of(s) *
                               round_up(s.out_c / s.groups, Isa::kGranule));
  }

  static void pack(const ConvShape& s, const uint32_t* weight, void* packed) {
    const int64_t channels = s.in_c / s.groups, words = words_of(channels), taps = taps_of(s);
    auto* to = static_cast<uint8_t*>(packed);
    for (Block block(s); !block.done(); block.next()) {
      const int64_t width = block.width();
      uint8_t* tap_dots = to + taps * words * width * Isa::kWordBytes;
      std::memset(to, 0, static_cast<size_t>(tap_dots - to + taps * width * 4));
      for (int64_t lane = 0; lane < block.outputs(); ++lane) {
        const uint32_t* from = weight + (block.first() + lane) * taps * words;
        for (int64_t tap = 0; tap < taps; ++tap) {
          int32_t ones = 0;
          for (int64_t w = 0; w < words; ++w, ++from) {
            Isa::place(*from, lane, width, to + (tap * words + w) * width * Isa::kWordBytes);
            ones += static_cast<int32_t>(popcount(*from));
          }
          const int32_t tap_dot = static_cast<int32_t>(channels) - 2 * ones;
          std::memcpy(tap_dots + (tap * width + lane) * 4, &tap_dot, 4);
        }
      }
      to = tap_dots + taps * width * 4;
    }
  }

  // A unit is a row of one block of outputs, rows innermost.
  static int64_t units(const ConvShape& s) {
    const int64_t outputs = s.out_c / s.groups;
    return rows_of(s) * s.groups * ((outputs + Isa::kOutputs - 1) / Isa::kOutputs);
  }

  static void run(const BinaryConvArgs& args, int64_t begin, int64_t end) {
    const BinaryGeometry geometry(args.shape);
    const int64_t rows = rows_of(args.shape);
    const auto* weight = static_cast<const uint8_t*>(args.weight);
    for (Block block(args.shape); !block.done() && end > 0; block.next(), begin -= rows, end -= rows) {
      const int64_t first = begin > 0 ? begin : 0, last = end < rows ? end : rows;
      if (first < last) {
        const Limits limits(args, block.first(), block.outputs());
        block_rows<Isa::kOutputs>({args, geometry, block, weight, limits}, first, last);
      }
      weight += (geometry.words * Isa::kWordBytes + 4) * geometry.taps * block.width();
    }
  }

 private:
  static constexpr int N = Isa::kLanes;
  using Int = typename Vector<N>::Int;
  using Unsigned = typename Vector<N>::Unsigned;

  using Block = OutputBlock<Isa>;

  using Limits = onebit::Limits<N, Isa::kOutputs>;

  // One block of outputs in a call.
  struct Task {
    const BinaryConvArgs& args;
    const BinaryGeometry& geometry;
    const Block& block;
    const uint8_t* weight;
    const Limits& limits;
  };

  template <int W>
  static void block_rows(const Task& task, int64_t begin, int64_t end) {
    if constexpr (W > Isa::kGranule) {
      if (task.block.width() < W) return block_rows<W - Isa::kGranule>(task, begin, end);
    }
    for (Regions regions(task.args.shape, begin, end); !regions.done(); regions.next())
      run_region<W>(task, regions.now());
  }

  // From a pixel to the next, in pixels of the image and of the output.
  struct Step {
    int64_t input, output;
  };

  struct Tile {
    const Taps& taps;
    int64_t input, output;  // where the first pixel's window begins, and that pixel
    Step step;
  };

  // Along the longer side of the region. What whole tiles leave over of several lines is a region, too.
  template <int W>
  [[gnu::always_inline]] static void run_region(const Task& task, Region r) {
    const ConvShape& s = task.args.shape;
    const Step column = {s.stride_w, 1}, row = {static_cast<int64_t>(s.stride_h) * s.in_w, s.out_w};
    while (r.width > 0 && r.height > 0) {
      const bool across = r.width >= r.height;
      const Step inner = across ? column : row, outer = across ? row : column;
      const int64_t lines = across ? r.height : r.width;
      int64_t& length = across ? r.width : r.height;
      const int64_t now = lines == 1 || length < Isa::kPixels ? length : length - length % Isa::kPixels;
      for (int64_t line = 0; line < lines; ++line)
        run_line<W>(task, {r.taps, r.input + line * outer.input, r.output + line * outer.output, inner}, now);
      length -= now;
      r.input += now * inner.input;
      r.output += now * inner.output;
    }
  }

  // In tiles as equal as can be.
  template <int W>
  [[gnu::always_inline]] static void run_line(const Task& task, Tile tile, int64_t length) {
    for (int64_t tiles = (length + Isa::kPixels - 1) / Isa::kPixels; tiles > 0; --tiles) {
      const int64_t pixels = (length + tiles - 1) / tiles;
      tile_of<Isa::kPixels, W>(task, tile, pixels);
      tile.input += pixels * tile.step.input;
      tile.output += pixels * tile.step.output;
      length -= pixels;
    }
  }

  template <int P, int W>
  static void tile_of(const Task& task, const Tile& tile, int64_t pixels) {
    if constexpr (P > 1) {
      if (pixels < P) return tile_of<P - 1, W>(task, tile, pixels);
    }
    run_tile<P, W>(task, tile);
  }

  template <int P, int W>
  static void run_tile(const Task& task, const Tile& tile) {
    const BinaryGeometry& g = task.geometry;
    const BinaryConvArgs& args = task.args;
    PixelWords<P> pixels(g, tile.taps, args.input + task.block.first_word(), tile.input * g.pixel_step,
                         tile.step.input * g.pixel_step, task.weight, W * Isa::kWordBytes);
    Unsigned mismatches[P][W / N];
    Isa::template count<P, W>(pixels, mismatches);
    Unsigned base[W / N];  // dot = base - 2 mismatches, modulo 2^32
    for (int v = 0; v < W / N; ++v) base[v] = Unsigned{} + static_cast<uint32_t>(tile.taps.count() * g.channels);
    if (args.pad_value != 0 && tile.taps.count() != g.taps) {
      Unsigned padding[W / N] = {};
      sum_padding<W>(task, tile.taps, padding);
      for (int v = 0; v < W / N; ++v) base[v] += padding[v];
    }
    if (task.block.outputs() == W) return write<P, W, true>(task, tile, base, mismatches);
    for (int p = 0; p < P; ++p) {
      Unsigned one[1][W / N];
      for (int v = 0; v < W / N; ++v) one[0][v] = mismatches[p][v];
      write<1, W, false>(task, {tile.taps, 0, tile.output + p * tile.step.output, {}}, base, one);
    }
  }

  // What the taps outside the image add to each output's dot.
  template <int W>
  static void sum_padding(const Task& task, const Taps& taps, Unsigned (&sum)[W / N]) {
    const BinaryGeometry& g = task.geometry;
    const auto* tap_dots = reinterpret_cast<const uint32_t*>(task.weight + g.taps * g.words * W * Isa::kWordBytes);
    const auto pad_value = static_cast<uint32_t>(task.args.pad_value);
    for (int64_t tap = 0; tap < g.taps; ++tap, tap_dots += W) {
      if (taps.contain(tap / g.kernel_w, tap % g.kernel_w)) continue;
      for (int v = 0; v < W / N; ++v) sum[v] += load<Unsigned>(tap_dots + v * N) * pad_value;
    }
  }

  // Gathers the bits of N channels at a time into words of 32.
  template <int P>
  class Words {
   public:
    Words(uint32_t* words, const Task& task, const Tile& tile)
        : words_(words ? words + tile.output * words_of(task.args.shape.out_c) + task.block.first() / 32 : nullptr),
          stride_(tile.step.output * words_of(task.args.shape.out_c)) {}

    void add(int p, int v, uint32_t bits) { word_[p] |= bits << v * N % 32; }

    // After the vector v, of which `count` channels are real.
    template <bool Whole>
    void store(int v, int64_t count) {
      const uint32_t real = Whole || count >= N ? ~0u : (1u << (v * N % 32 + count)) - 1;
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
        words_[p * stride_ + v * N / 32] = word_[p] & real;
        word_[p] = 0;
      }
    }

   private:
    uint32_t* words_;
    int64_t stride_;
    uint32_t word_[P] = {};
  };

  // `Whole`: the block is full, so that no vector is cut.
  template <int P, int W, bool Whole>
  static void write(const Task& task, const Tile& tile, const Unsigned (&base)[W / N],
                    const Unsigned (&mismatches)[P][W / N]) {
    Words<P> words(task.args.output ? task.args.bits.words : task.args.output_bits, task, tile);
    if constexpr (W / N <= 4) {  // few enough to stay in registers, if the compiler sees each index
#pragma GCC unroll 4
      for (int v = 0; v < W / N; ++v) write_vector<P, W, Whole>(task, tile, base, mismatches, v, words);
    } else {
      for (int v = 0; v < W / N; ++v) write_vector<P, W, Whole>(task, tile, base, mismatches, v, words);
    }
  }

  template <int P, int W, bool Whole>
  [[gnu::always_inline]] static void write_vector(const Task& task, const Tile& tile, const Unsigned (&base)[W / N],
                                                  const Unsigned (&mismatches)[P][W / N], int v, Words<P>& words) {
    const BinaryConvArgs& args = task.args;
    const int64_t channel = task.block.first() + v * N, channels = args.shape.out_c;
    const int64_t count = Whole ? N : task.block.outputs() - v * N;
    if (count <= 0) return;
    if (args.output) {
      Float<N> y[P];
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
        const auto dot = reinterpret_cast<Int>(base[v] - mismatches[p][v] - mismatches[p][v]);
        y[p] = __builtin_convertvector(dot, Float<N>);
      }
      finish<N>(args.epilogue, y, channel, tile.output * channels + channel, tile.step.output * channels, count,
                args.output);
      if (!args.bits.words) return;
      const auto low = task.limits.template low<Float<N>>(v), high = task.limits.template high<Float<N>>(v);
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) words.add(p, v, Isa::outside(y[p], low, high));
    } else {
      const auto above = base[v] - task.limits.template low<Unsigned>(v);
      const auto range = task.limits.template high<Unsigned>(v);
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) words.add(p, v, Isa::outside(above - mismatches[p][v] - mismatches[p][v], range));
    }
    const bool last = (v + 1) * N == W || (!Whole && count <= N);
    if (last || (v + 1) * N % 32 == 0) words.template store<Whole>(v, count);
  }
};

}  // namespace
}  // namespace onebit
