// Convolution of bytes in blocks of output channels: all that the instruction sets share around their inner step, which
// multiplies 4 neighbouring input bytes of P pixels with a block of outputs. Lanes are outputs.
//
// The sum of (q - z) * w is the sum of q * w less z * (sum of w), which the accumulators start from. The input holds
// its padding, so every tap is inside, and where groups and dilation allow it the taps of a kernel row are one span of
// bytes. A span is walked in steps of 4 bytes; what it leaves over is collected from all spans into steps at the end,
// or, if that is much, filled up with zero weights.
//
// Packed weights, for each block of up to kVectors * kLanes outputs of a group (the last one narrower: a multiple of
// kLanes): int32 start [width]; then steps of 4 * width bytes, in the order that Isa::place chooses.
#pragma once

#include "kernels/vector/epilogue.h"
#include "kernels/vector/window.h"

namespace onebit {
namespace {

// How a window is walked.
class Int8Geometry {
 public:
  static constexpr int64_t kMaxCollected = 64;  // bytes of a window

  explicit Int8Geometry(const ConvShape& s)
      : shape(s),
        channels(s.in_c / s.groups),
        joined(s.groups == 1 && s.dilation_w == 1),
        columns(joined ? 1 : s.kernel_w),
        spans(s.kernel_h * columns),
        span_bytes(joined ? channels * s.kernel_w : channels),
        collected(spans > 1 && span_bytes % 4 * spans <= kMaxCollected ? span_bytes % 4 : 0),
        span_steps((span_bytes - collected + 3) / 4),
        collected_steps((collected * spans + 3) / 4) {}

  const ConvShape& shape;
  int64_t channels;        // per group
  bool joined;             // a kernel row's taps lie side by side
  int64_t columns, spans;  // spans per kernel row and per kernel
  int64_t span_bytes;
  int64_t collected;  // bytes of a span
  int64_t span_steps, collected_steps;

  int64_t terms() const { return spans * span_bytes; }
  int64_t steps() const { return spans * span_steps + collected_steps; }

  // The place of a span, in input bytes from the window's corner.
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
      const int64_t width = block.vectors() * N, terms = geometry.terms();
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
    return rows_of(s) * s.groups * ((s.out_c / s.groups + kMaxOutputs - 1) / kMaxOutputs);
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
  static constexpr int64_t kMaxOutputs = Isa::kVectors * N;
  using Int = typename Vector<N>::Int;

  static int64_t block_bytes(const Int8Geometry& geometry, int64_t width) { return 4 * width * (1 + geometry.steps()); }

  static void place_output(const Int8Geometry& geometry, const int8_t* weight, int64_t lane, int64_t width,
                           uint8_t* step) {
    const int64_t step_bytes = 4 * width, whole = geometry.span_bytes - geometry.collected;
    int8_t collected[Int8Geometry::kMaxCollected + 4] = {};
    int64_t count = 0;
    for (int64_t span = 0; span < geometry.spans; ++span, weight += geometry.span_bytes) {
      for (int64_t i = 0; i < whole; i += 4, step += step_bytes) {
        int8_t four[4] = {};
        for (int64_t j = 0; j < 4 && i + j < whole; ++j) four[j] = weight[i + j];
        Isa::place(four, lane, step);
      }
      for (int64_t i = whole; i < geometry.span_bytes; ++i) collected[count++] = weight[i];
    }
    for (int64_t i = 0; i < count; i += 4, step += step_bytes) Isa::place(collected + i, lane, step);
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
      outputs_ = left < kMaxOutputs ? left : kMaxOutputs;
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
    Windows windows(call);
    const int64_t last = end * call.args.shape.out_w;
    for (int64_t pixel = begin * call.args.shape.out_w; pixel < last; pixel += Windows::kMax) {
      const int64_t count = last - pixel < Windows::kMax ? last - pixel : Windows::kMax;
      windows.find(pixel, count);
      tiles<V, Isa::pixels(V)>(call, windows, pixel, count, 0);
    }
  }

  // The windows of a run of pixels: their corners and their collected bytes.
  class Windows {
   public:
    static constexpr int64_t kMax = 96;

    explicit Windows(const Call& call)
        : geometry_(call.geometry),
          input_(call.args.input + call.block.first_in()),
          pixel_step_(int64_t{call.args.shape.stride_w} * call.args.shape.in_c),
          collected_bytes_(4 * call.geometry.collected_steps) {}

    void find(int64_t pixel, int64_t count) {
      const ConvShape& s = geometry_.shape;
      for (int64_t i = 0; i < count;) {  // row by row
        const int64_t row = (pixel + i) / s.out_w, x = (pixel + i) % s.out_w;
        const int64_t run = s.out_w - x < count - i ? s.out_w - x : count - i;
        const int64_t y = row / s.out_h * s.in_h + row % s.out_h * s.stride_h;
        const uint8_t* corner = input_ + y * s.in_w * s.in_c + x * pixel_step_;
        for (int64_t j = 0; j < run; ++j) corners_[i + j] = corner + j * pixel_step_;
        if (geometry_.collected > 0) collect(corner, run, collected_ + i * collected_bytes_);
        i += run;
      }
    }

    const uint8_t* corner(int64_t index) const { return corners_[index]; }
    const uint8_t* collected(int64_t index) const { return collected_ + index * collected_bytes_; }

   private:
    void collect(const uint8_t* corner, int64_t count, uint8_t* to) {
      for (int64_t ky = 0; ky < geometry_.shape.kernel_h; ++ky) {
        for (int64_t kx = 0; kx < geometry_.columns; ++kx) {
          const uint8_t* from = corner + geometry_.offset(ky, kx) + 4 * geometry_.span_steps;
          for (int64_t i = 0; i < geometry_.collected; ++i) copy(from + i, pixel_step_, count, to++, collected_bytes_);
        }
      }
    }

    static void copy(const uint8_t* from, int64_t from_step, int64_t count, uint8_t* to, int64_t to_step) {
#pragma GCC unroll 4
      for (; count > 0; --count, from += from_step, to += to_step) *to = *from;
    }

    const Int8Geometry& geometry_;
    const uint8_t* input_;
    int64_t pixel_step_, collected_bytes_;
    const uint8_t* corners_[kMax];
    alignas(64) uint8_t collected_[kMax * (Int8Geometry::kMaxCollected + 4)];
  };

  // As many tiles of P pixels as fit, and smaller ones for the rest.
  template <int V, int P>
  static void tiles(const Call& call, const Windows& windows, int64_t pixel, int64_t count, int64_t done) {
    for (; done + P <= count; done += P) tile<V, P>(call, windows, pixel + done, done);
    if constexpr (P > 1) tiles<V, P / 2>(call, windows, pixel, count, done);
  }

  template <int V, int P>
  static void tile(const Call& call, const Windows& windows, int64_t pixel, int64_t index) {
    const Int8Geometry& geometry = call.geometry;
    const uint8_t *corner[P], *collected[P], *weight = call.weight;
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) {
      corner[p] = windows.corner(index + p);
      collected[p] = windows.collected(index + p);
    }
    Int sum[P][V];
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) {
#pragma GCC unroll 16
      for (int p = 0; p < P; ++p) sum[p][v] = load<Int>(weight + v * sizeof(Int));
    }
    weight += V * sizeof(Int);
    for (int64_t ky = 0; ky < geometry.shape.kernel_h; ++ky) {
      for (int64_t kx = 0; kx < geometry.columns; ++kx) {
        weight = walk<V, P>(corner, geometry.offset(ky, kx), geometry.span_steps, weight, sum);
      }
    }
    walk<V, P>(collected, 0, geometry.collected_steps, weight, sum);
    write<V, P>(call, pixel, sum);
  }

  // Steps from `first` on.
  template <int V, int P>
  static const uint8_t* walk(const uint8_t* const (&input)[P], int64_t first, int64_t steps, const uint8_t* weight,
                             Int (&sum)[P][V]) {
    for (int64_t at = first; at < first + 4 * steps; at += 4, weight += V * sizeof(Int))
      Isa::template step<V, P>(input, at, weight, sum);
    return weight;
  }

  template <int V, int P>
  static void write(const Call& call, int64_t pixel, const Int (&sum)[P][V]) {
    const int64_t stride = call.args.shape.out_c, index = pixel * stride + call.block.first();
    if (call.block.outputs() < V * N) {
      alignas(64) int32_t sums[P][V * N];
      std::memcpy(sums, sum, sizeof(sums));
      for (int p = 0; p < P; ++p) write_some(call, sums[p], index + p * stride);
      return;
    }
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) {
      Float<N> y[P];
#pragma GCC unroll 16
      for (int p = 0; p < P; ++p) y[p] = __builtin_convertvector(sum[p][v], Float<N>);
      finish<N>(call.args.epilogue, y, call.block.first() + v * N, index + v * N, stride, N, call.args.output);
    }
  }

  // A block that ends within a vector.
  __attribute__((noinline)) static void write_some(const Call& call, const int32_t* sums, int64_t index) {
    for (int64_t i = 0; i < call.block.outputs(); i += N) {
      Float<N> y[1] = {__builtin_convertvector(load<Int>(sums + i), Float<N>)};
      finish<N>(call.args.epilogue, y, call.block.first() + i, index + i, 0, call.block.outputs() - i,
                call.args.output);
    }
  }
};

// Where Isa takes an input byte q as the signed q - 128.
template <class Isa>
struct CentredInt8Conv : BlockedInt8Conv<Isa> {
  static void pack(const ConvShape& s, int32_t zero_point, const int8_t* weight, void* packed) {
    BlockedInt8Conv<Isa>::pack(s, zero_point - 128, weight, packed);
  }
};

}  // namespace
}  // namespace onebit
