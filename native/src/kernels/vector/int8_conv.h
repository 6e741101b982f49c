// Convolution of bytes in blocks of output channels: all that the instruction sets share around their inner step, which
// multiplies 4 neighbouring input bytes of P pixels with a block of outputs. Lanes are outputs.
//
// The sum of (q - z) * w is the sum of q * w less z * (sum of w), which the accumulators start from. The input holds
// its padding, so every tap is inside, and where groups and dilation allow it the taps of a kernel row are one span of
// bytes. A span is walked in steps of 4; what it leaves over is collected from all spans into steps of their own, or,
// if that is too much, filled up with zero weights.
//
// Packed weights, for each block of up to kVectors * kLanes outputs of a group (the last one narrower: a multiple of
// kLanes): int32 start [width]; then steps of Isa::kWeightBytes * 4 * width bytes, in the order that Isa::place
// chooses.
#pragma once

#include "kernels/vector/epilogue.h"
#include "kernels/vector/window.h"

namespace onebit {
namespace {

class Int8Geometry {
 public:
  explicit Int8Geometry(const ConvShape& s)
      : shape(s),
        channels(s.in_c / s.groups),
        joined(s.groups == 1 && s.dilation_w == 1),
        spans_x(joined ? 1 : s.kernel_w),
        spans(spans_x * s.kernel_h),
        span_bytes(joined ? channels * s.kernel_w : channels),
        collected(span_bytes % 4 * spans <= kMaxCollected ? span_bytes % 4 : 0),
        span_steps(collected > 0 ? span_bytes / 4 : (span_bytes + 3) / 4),
        collected_steps((collected * spans + 3) / 4) {}

  static constexpr int64_t kMaxCollected = 64;

  const ConvShape& shape;
  int64_t channels;  // of a group
  bool joined;       // a kernel row's taps lie side by side
  int64_t spans_x, spans, span_bytes;
  int64_t collected;  // bytes of each span
  int64_t span_steps, collected_steps;

  int64_t steps() const { return spans * span_steps + collected_steps; }

  // Of a span, in input bytes from the window's corner.
  int64_t offset(int64_t ky, int64_t kx) const {
    return (ky * shape.dilation_h * shape.in_w + kx * shape.dilation_w) * shape.in_c;
  }
};

template <class Isa>
class BlockedInt8Conv {
 public:
  // A depthwise convolution would fill one lane of a block.
  static bool fits(const ConvShape& s) { return s.groups == 1 || s.out_c > s.groups || s.in_c > s.groups; }

  static size_t pack_bytes(const ConvShape& s) {
    const Int8Geometry geometry(s);
    return static_cast<size_t>(s.groups * round_up(s.out_c / s.groups, N) * block_bytes(geometry, 1));
  }

  static void pack(const ConvShape& s, int32_t zero_point, const int8_t* weight, void* packed) {
    const Int8Geometry geometry(s);
    auto* to = static_cast<uint8_t*>(packed);
    for (Block block(s); !block.done(); block.next()) {
      const int64_t width = block.vectors() * N, terms = geometry.spans * geometry.span_bytes;
      std::memset(to, 0, static_cast<size_t>(block_bytes(geometry, width)));
      for (int64_t lane = 0; lane < block.outputs(); ++lane) {
        const int8_t* from = weight + (block.first() + lane) * terms;
        int32_t sum = 0;
        for (int64_t i = 0; i < terms; ++i) sum += from[i];
        const int32_t start = -zero_point * sum;
        std::memcpy(to + 4 * lane, &start, 4);
        place_output(geometry, from, lane, width, to + 4 * width);
      }
      to += block_bytes(geometry, width);
    }
  }

  // A unit is a row of one block of outputs, rows innermost.
  static int64_t units(const ConvShape& s) {
    return rows_of(s) * s.groups * ((s.out_c / s.groups + kMostOutputs - 1) / kMostOutputs);
  }

  static void run(const Int8ConvArgs& args, int64_t begin, int64_t end) {
    const Int8Geometry geometry(args.shape);
    const int64_t rows = rows_of(args.shape);
    const auto* weight = static_cast<const uint8_t*>(args.weight);
    for (Block block(args.shape); !block.done() && end > 0; block.next(), begin -= rows, end -= rows) {
      const int64_t from = begin > 0 ? begin : 0, to = end < rows ? end : rows;
      if (from < to) pixels<Isa::kVectors>({args, geometry, block, weight}, from, to);
      weight += block_bytes(geometry, block.vectors() * N);
    }
  }

 private:
  static constexpr int N = Isa::kLanes;
  static constexpr int64_t kMostOutputs = Isa::kVectors * N;
  using Int = typename Vector<N>::Int;

  static int64_t block_bytes(const Int8Geometry& geometry, int64_t width) {
    return 4 * width * (1 + Isa::kWeightBytes * geometry.steps());
  }

  static void place_output(const Int8Geometry& geometry, const int8_t* weight, int64_t lane, int64_t width,
                           uint8_t* steps) {
    const int64_t step_bytes = Isa::kWeightBytes * 4 * width, whole = geometry.span_bytes - geometry.collected;
    int8_t last[Int8Geometry::kMaxCollected + 4] = {};
    int64_t collected = 0;
    for (int64_t span = 0; span < geometry.spans; ++span) {
      for (int64_t i = 0; i < whole; i += 4, steps += step_bytes) {
        int8_t four[4] = {};
        for (int64_t j = 0; j < 4 && i + j < whole; ++j) four[j] = weight[i + j];
        Isa::place(four, lane, width, steps);
      }
      for (int64_t i = whole; i < geometry.span_bytes; ++i) last[collected++] = weight[i];
      weight += geometry.span_bytes;
    }
    for (int64_t i = 0; i < collected; i += 4, steps += step_bytes) Isa::place(last + i, lane, width, steps);
  }

  // A run of output channels of one group.
  class Block {
   public:
    explicit Block(const ConvShape& s) : per_group_(s.out_c / s.groups), group_in_(s.in_c / s.groups), end_(s.out_c) {
      measure();
    }
    bool done() const { return first_ == end_; }
    void next() {
      first_ += outputs_;
      measure();
    }
    int64_t first() const { return first_; }
    int64_t first_in() const { return first_ / per_group_ * group_in_; }
    int64_t outputs() const { return outputs_; }
    int64_t vectors() const { return (outputs_ + N - 1) / N; }

   private:
    void measure() {
      const int64_t left = per_group_ - first_ % per_group_;
      outputs_ = left < kMostOutputs ? left : kMostOutputs;
    }
    int64_t per_group_, group_in_, end_, first_ = 0, outputs_ = 0;
  };

  struct Call {
    const Int8ConvArgs& args;
    const Int8Geometry& geometry;
    const Block& block;
    const uint8_t* weight;
  };

  template <int V>
  static void pixels(const Call& call, int64_t begin, int64_t end) {
    if constexpr (V > 1) {
      if (call.block.vectors() < V) return pixels<V - 1>(call, begin, end);
    }
    WindowCursor cursor(call.args.shape, begin);
    tiles<V, Isa::pixels(V)>(call, cursor, begin * call.args.shape.out_w, end * call.args.shape.out_w);
  }

  // As many tiles of P pixels as fit, and smaller ones for the rest.
  template <int V, int P>
  static void tiles(const Call& call, WindowCursor& cursor, int64_t pixel, int64_t last) {
    for (; pixel + P <= last; pixel += P) tile<V, P>(call, cursor, pixel);
    if constexpr (P > 1) tiles<V, P / 2>(call, cursor, pixel, last);
  }

  template <int V, int P>
  static void tile(const Call& call, WindowCursor& cursor, int64_t pixel) {
    const Int8Geometry& geometry = call.geometry;
    const uint8_t* corner[P];
    for (int p = 0; p < P; ++p)
      corner[p] = call.args.input + cursor.next().position * geometry.shape.in_c + call.block.first_in();
    uint8_t collected[P][Int8Geometry::kMaxCollected + 4];
    if (geometry.collected > 0) collect<P>(geometry, corner, collected);

    const uint8_t* weight = call.weight;
    Int sum[P][V];
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) {
#pragma GCC unroll 16
      for (int p = 0; p < P; ++p) sum[p][v] = load<Int>(weight + v * sizeof(Int));
    }
    weight += V * sizeof(Int);
    const uint8_t* input[P];
    for (int64_t ky = 0; ky < geometry.shape.kernel_h; ++ky) {
      for (int64_t kx = 0; kx < geometry.spans_x; ++kx) {
        const int64_t offset = geometry.offset(ky, kx);
        for (int p = 0; p < P; ++p) input[p] = corner[p] + offset;
        weight = walk<V, P>(input, geometry.span_steps, weight, sum);
      }
    }
    for (int p = 0; p < P; ++p) input[p] = collected[p];
    walk<V, P>(input, geometry.collected_steps, weight, sum);
    write<V, P>(call, pixel, sum);
  }

  template <int P>
  static void collect(const Int8Geometry& geometry, const uint8_t* const (&corner)[P],
                      uint8_t (&collected)[P][Int8Geometry::kMaxCollected + 4]) {
    for (int p = 0; p < P; ++p) {
      uint8_t* to = collected[p];
      for (int64_t ky = 0; ky < geometry.shape.kernel_h; ++ky) {
        for (int64_t kx = 0; kx < geometry.spans_x; ++kx) {
          const uint8_t* from = corner[p] + geometry.offset(ky, kx) + 4 * geometry.span_steps;
          for (int64_t i = 0; i < geometry.collected; ++i) *to++ = from[i];
        }
      }
      std::memset(to, 0, 4);
    }
  }

  template <int V, int P>
  static const uint8_t* walk(const uint8_t* const (&input)[P], int64_t steps, const uint8_t* weight, Int (&sum)[P][V]) {
    for (int64_t at = 0; at < 4 * steps; at += 4, weight += Isa::kWeightBytes * V * sizeof(Int))
      Isa::template step<V, P>(input, at, weight, sum);
    return weight;
  }

  template <int V, int P>
  static void write(const Call& call, int64_t pixel, Int (&sum)[P][V]) {
    constexpr int Q = P % 4 == 0 ? 4 : P % 3 == 0 ? 3 : P % 2 == 0 ? 2 : 1;  // pixels at a time
    const int64_t stride = call.args.shape.out_c;
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) {
      const int64_t channel = call.block.first() + v * N;
#pragma GCC unroll 16
      for (int p = 0; p < P; p += Q) {
        Float<N> y[Q];
#pragma GCC unroll 16
        for (int q = 0; q < Q; ++q) y[q] = __builtin_convertvector(sum[p + q][v], Float<N>);
        finish<N>(call.args.epilogue, y, channel, (pixel + p) * stride + channel, stride, call.block.outputs() - v * N,
                  call.args.output);
      }
    }
  }
};

}  // namespace
}  // namespace onebit
