// Float convolution: lanes are output channels, so every output is summed in the order ky, kx, channel, each product
// and each sum rounded, whatever the width of a vector. Up to V vectors of outputs and P pixels are in registers.
//
// Packed weights, for each block of up to V * N outputs of a group (the last one narrower: a multiple of N):
// [tap][channel][width]. A depthwise convolution (one channel in and one out per group) is instead blocks of channels:
// [tap][width].
#pragma once

#include "kernels/vector/epilogue.h"
#include "kernels/vector/window.h"

namespace onebit {
namespace {

template <int N, int V>
class FloatConv {
 public:
  static bool fits(const ConvShape&) { return true; }

  static size_t pack_bytes(const ConvShape& s) {
    const Grid grid(s);
    return static_cast<size_t>(grid.groups * taps_of(s) * grid.channels * round_up(grid.outputs, N)) * sizeof(float);
  }

  static void pack(const ConvShape& s, const float* weight, void* packed) {
    const Grid grid(s);
    auto* to = static_cast<float*>(packed);
    const int64_t steps = taps_of(s) * grid.channels;
    for (int64_t group = 0; group < grid.groups; ++group) {
      for (int64_t first = 0; first < grid.outputs; first += V * N) {
        const int64_t outputs = grid.block_outputs(first), width = round_up(outputs, N);
        const float* from = weight + (group * grid.outputs + first) * steps;
        for (int64_t step = 0; step < steps; ++step) {
          for (int64_t lane = 0; lane < width; ++lane) *to++ = lane < outputs ? from[lane * steps + step] : 0.0f;
        }
      }
    }
  }

  // A unit is a row of one block of outputs, rows innermost.
  static int64_t units(const ConvShape& s) {
    const Grid grid(s);
    return rows_of(s) * grid.groups * ((grid.outputs + V * N - 1) / (V * N));
  }

  static void run(const FloatConvArgs& args, int64_t begin, int64_t end) {
    const Grid grid(args.shape);
    const int64_t rows = rows_of(args.shape);
    const auto* weight = static_cast<const float*>(args.weight);
    for (int64_t group = 0; group < grid.groups; ++group) {
      for (int64_t first = 0; first < grid.outputs; first += V * N) {
        const int64_t outputs = grid.block_outputs(first);
        const int64_t out_channel = group * grid.outputs + first;
        const Block block = {weight, grid.depthwise ? out_channel : group * grid.channels, out_channel, outputs};
        weight += taps_of(args.shape) * grid.channels * round_up(outputs, N);
        const int64_t from = begin > 0 ? begin : 0, to = end < rows ? end : rows;
        begin -= rows;
        end -= rows;
        if (from >= to) continue;
        if (grid.depthwise) {
          pixels<V, true>(args, block, from, to);
        } else {
          pixels<V, false>(args, block, from, to);
        }
      }
    }
  }

 private:
  static constexpr int kPixels = 4;
  using F = Float<N>;

  struct Grid {
    explicit Grid(const ConvShape& s)
        : depthwise(s.groups > 1 && s.in_c == s.groups && s.out_c == s.groups),
          groups(depthwise ? 1 : s.groups),
          channels(s.in_c / s.groups),
          outputs(s.out_c / groups) {}
    int64_t block_outputs(int64_t first) const { return outputs - first < V * N ? outputs - first : V * N; }
    bool depthwise;
    int64_t groups, channels, outputs;
  };

  struct Block {
    const float* weight;
    int64_t in_channel, out_channel, outputs;
  };

  template <int W, bool Depthwise>
  static void pixels(const FloatConvArgs& args, const Block& block, int64_t begin, int64_t end) {
    if constexpr (W > 1) {
      if (block.outputs <= (W - 1) * N) return pixels<W - 1, Depthwise>(args, block, begin, end);
    }
    const ConvShape& s = args.shape;
    WindowCursor cursor(s, begin);
    int64_t pixel = begin * s.out_w;
    const int64_t last = end * s.out_w;
    Window windows[kPixels];
    while (pixel < last) {
      int count = 0;
      bool all_interior = true;
      for (; count < kPixels && pixel + count < last; ++count) {
        windows[count] = cursor.next();
        all_interior = all_interior && windows[count].interior;
      }
      if (all_interior && count == kPixels) {
        accumulate<W, kPixels, true, Depthwise>(args, block, windows, pixel);
      } else {
        for (int p = 0; p < count; ++p) accumulate<W, 1, false, Depthwise>(args, block, windows + p, pixel + p);
      }
      pixel += count;
    }
  }

  template <int W, int P, bool Interior, bool Depthwise>
  static void accumulate(const FloatConvArgs& args, const Block& block, const Window* windows, int64_t pixel) {
    const ConvShape& s = args.shape;
    const int64_t channels = Depthwise ? 1 : s.in_c / s.groups;
    int64_t origins[P];
    for (int p = 0; p < P; ++p) origins[p] = windows[p].position * s.in_c + block.in_channel;
    // Where no tap is in the padding, a kernel row whose taps lie side by side in memory is one run.
    const bool rows = Interior && s.groups == 1 && s.dilation_w == 1;
    const int64_t runs = rows ? 1 : s.kernel_w, run = rows ? channels * s.kernel_w : channels;
    F sum[P][W] = {};
    const float* weight = block.weight;
    for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
      for (int64_t kx = 0; kx < runs; ++kx) {
        if constexpr (!Interior) {
          if (!inside(windows[0].y + ky * s.dilation_h, windows[0].x + kx * s.dilation_w, s.in_h, s.in_w)) {
            weight += run * W * N;
            continue;
          }
        }
        const float* input[P];
        const int64_t offset = (ky * s.dilation_h * s.in_w + kx * s.dilation_w) * s.in_c;
        for (int p = 0; p < P; ++p) input[p] = args.input + (origins[p] + offset);
        for (int64_t c = 0; c < run; ++c, weight += W * N) {
          F w[W];
#pragma GCC unroll 8
          for (int v = 0; v < W; ++v) w[v] = load<F>(weight + v * N);
#pragma GCC unroll 8
          for (int p = 0; p < P; ++p) {
#pragma GCC unroll 8
            for (int v = 0; v < W; ++v) {
              if constexpr (Depthwise) {
                sum[p][v] = sum[p][v] + load<F>(input[p] + v * N, block.outputs - v * N) * w[v];
              } else {
                sum[p][v] = sum[p][v] + input[p][c] * w[v];
              }
            }
          }
        }
      }
    }
#pragma GCC unroll 4
    for (int v = 0; v < W; ++v) {
      F y[P];
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) y[p] = sum[p][v];
      const int64_t channel = block.out_channel + v * N;
      finish<N>(args.epilogue, y, channel, pixel * s.out_c + channel, s.out_c, block.outputs - v * N, args.output);
    }
  }
};

}  // namespace
}  // namespace onebit
