// Convolution of levels with weights of -1, 0 or 1, for the input's gradient: lanes are outputs, and each step
// multiplies 4 neighbouring bytes of P pixels with a block of outputs.
//
// An instruction set gives Sum, which adds up kSteps steps without overflow; the loop over those is one loop with the
// places of its steps in a table, because from a nest of loops GCC 12 copies the sums.
//
// Packed weights: int64 place of each step in a window; then for each block of up to kVectors * kLanes outputs (the
// last one narrower: a multiple of kLanes) int32 start [width] and steps of 4 * width bytes.
#pragma once

#include "kernels/shape.h"
#include "kernels/vector/simd.h"

namespace onebit {
namespace {

template <class Isa>
class LevelConv {
 public:
  static bool fits(const ConvShape& s) { return s.groups == 1 && s.dilation_h == 1 && s.dilation_w == 1; }

  static size_t pack_bytes(const ConvShape& s) {
    return static_cast<size_t>(table_bytes(s) + round_up(s.out_c, N) * 4 * (1 + steps(s)));
  }

  static void pack(const ConvShape& s, int32_t zero_point, const int8_t* weight, void* packed) {
    auto* places = static_cast<int64_t*>(packed);
    const int64_t span = int64_t{s.kernel_w} * s.in_c, terms = s.kernel_h * span;
    for (int64_t ky = 0; ky < s.kernel_h; ++ky)
      for (int64_t i = 0; i < span; i += 4) *places++ = ky * s.in_w * s.in_c + i;
    auto* to = static_cast<uint8_t*>(packed) + table_bytes(s);
    for (int64_t first = 0; first < s.out_c; first += kOutputs) {
      const int64_t outputs = block_outputs(s, first), width = round_up(outputs, N);
      std::memset(to, 0, static_cast<size_t>(4 * width * (1 + steps(s))));
      for (int64_t lane = 0; lane < outputs; ++lane) {
        const int8_t* from = weight + (first + lane) * terms;
        int32_t sum = 0;
        for (int64_t i = 0; i < terms; ++i) sum += from[i];
        const int32_t start = (Isa::kCentre - zero_point) * sum;
        std::memcpy(to + 4 * lane, &start, 4);
      }
      uint8_t* step = to + 4 * width;
      for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
        for (int64_t i = 0; i < span; i += kRun) {
          const int64_t count = span - i < kRun ? span - i : kRun;
          place(weight + first * terms + ky * span + i, terms, count, outputs, width, step);
          step += round_up(count, 4) * width;
        }
      }
      to += 4 * width * (1 + steps(s));
    }
  }

  static int64_t units(const ConvShape& s) { return rows_of(s); }

  static void run(const Int8ConvArgs& args, int64_t begin, int64_t end) {
    const ConvShape& s = args.shape;
    const auto* weight = static_cast<const uint8_t*>(args.weight) + table_bytes(s);
    for (int64_t first = 0; first < s.out_c; first += kOutputs) {
      const int64_t outputs = block_outputs(s, first), width = round_up(outputs, N);
      const Block block = {args, static_cast<const int64_t*>(args.weight), weight, steps(s), first, outputs};
      pixels<V>(block, begin, end);
      weight += 4 * width * (1 + steps(s));
    }
  }

 private:
  static constexpr int N = Isa::kLanes, V = Isa::kVectors, P = Isa::kPixels;
  static constexpr int64_t kOutputs = V * N;
  using Int = typename Vector<N>::Int;
  using Bytes = typename Isa::Bytes;

  static constexpr int64_t kRun = 64;  // bytes per output at a time: what is written stays in the cache

  // `count` weights of each output to steps of 4.
  static void place(const int8_t* weight, int64_t terms, int64_t count, int64_t outputs, int64_t width, uint8_t* to) {
    for (int64_t lane = 0; lane < outputs; ++lane, weight += terms, to += 4) {
      int64_t i = 0;
      for (; i + 4 <= count; i += 4) std::memcpy(to + i * width, weight + i, 4);
      if (i < count) std::memcpy(to + i * width, weight + i, static_cast<size_t>(count - i));
    }
  }

  struct Block {
    const Int8ConvArgs& args;
    const int64_t* places;
    const uint8_t* weight;
    int64_t steps, first, outputs;
  };

  static int64_t steps(const ConvShape& s) { return s.kernel_h * ((int64_t{s.kernel_w} * s.in_c + 3) / 4); }
  static int64_t table_bytes(const ConvShape& s) { return round_up(8 * steps(s), 64); }
  static int64_t block_outputs(const ConvShape& s, int64_t first) {
    return s.out_c - first < kOutputs ? s.out_c - first : kOutputs;
  }

  // Tiles of P pixels, from row to row; the last one is filled up with its last pixel.
  template <int W>
  static void pixels(const Block& block, int64_t begin, int64_t end) {
    if constexpr (W > 1) {
      if (block.outputs <= (W - 1) * N) return pixels<W - 1>(block, begin, end);
    }
    const ConvShape& s = block.args.shape;
    const int64_t step = int64_t{s.stride_w} * s.in_c, last = end * s.out_w;
    int64_t row = begin, x = 0;
    const uint8_t* corner = row_corner(block, row);
    for (int64_t pixel = begin * s.out_w; pixel < last; pixel += P) {
      const uint8_t* at[P];
      if (x + P <= s.out_w) {
        for (int p = 0; p < P; ++p) at[p] = corner + (x + p) * step;
        x += P;
      } else {
        for (int p = 0; p < P; ++p) {
          if (x == s.out_w && row + 1 < end) corner = row_corner(block, ++row), x = 0;
          at[p] = corner + (x < s.out_w ? x++ : x - 1) * step;
        }
      }
      alignas(64) Int total[P][W];
      tile<W>(block, at, total);
      write<W>(block, pixel, last - pixel < P ? last - pixel : P, total);
    }
  }

  static const uint8_t* row_corner(const Block& block, int64_t row) {
    const ConvShape& s = block.args.shape;
    return block.args.input + (row / s.out_h * s.in_h + row % s.out_h * s.stride_h) * s.in_w * s.in_c;
  }

  template <int W>
  static void tile(const Block& block, const uint8_t* const (&at)[P], Int (&total)[P][W]) {
    for (int p = 0; p < P; ++p)
      for (int v = 0; v < W; ++v) total[p][v] = load<Int>(block.weight + v * sizeof(Int));
    const uint8_t* weight = block.weight + W * sizeof(Int);
    for (int64_t done = 0; done < block.steps; done += Isa::kSteps) {
      const int64_t left = block.steps - done, count = left < Isa::kSteps ? left : Isa::kSteps;
      typename Isa::Sum sum[P][W];
#pragma GCC unroll 16
      for (int p = 0; p < P; ++p) {
#pragma GCC unroll 4
        for (int v = 0; v < W; ++v) Isa::clear(sum[p][v]);
      }
      const int64_t *place = block.places + done, *const end = place + count;
#pragma GCC unroll 2
      for (; place < end; ++place, weight += W * sizeof(Int)) {
        const int64_t offset = *place;
        Bytes signs[W];
#pragma GCC unroll 4
        for (int v = 0; v < W; ++v) signs[v] = Isa::vector(weight + v * sizeof(Int));
#pragma GCC unroll 16
        for (int p = 0; p < P; ++p) {
          const Bytes levels = Isa::centred(Isa::broadcast(at[p] + offset));
#pragma GCC unroll 4
          for (int v = 0; v < W; ++v) Isa::multiply_add(sum[p][v], levels, signs[v]);
        }
      }
#pragma GCC unroll 16
      for (int p = 0; p < P; ++p) {
#pragma GCC unroll 4
        for (int v = 0; v < W; ++v) total[p][v] += Isa::widened(sum[p][v]);
      }
    }
  }

  template <int W>
  static void write(const Block& block, int64_t pixel, int64_t count, const Int (&total)[P][W]) {
    const int64_t outputs = block.args.shape.out_c;
    float* to = block.args.output + pixel * outputs + block.first;
    for (int64_t p = 0; p < count; ++p, to += outputs) {
      for (int v = 0; v < W; ++v) {
        if (block.outputs > v * N)
          store(to + v * N, __builtin_convertvector(total[p][v], Float<N>), block.outputs - v * N);
      }
    }
  }
};

}  // namespace
}  // namespace onebit
