// Binary convolution in blocks of output channels: all that the instruction sets share around their inner loop, which
// counts the mismatches (popcount of xor) of P pixels with a block of outputs.
//
// With K = taps * channels and m mismatches, dot = K - 2 m. A padded tap reads zero words, that is +1 in every channel,
// and so adds t = channels - 2 popcount(w_tap), the tap's dot with +1; the packed weights carry t, and a border pixel's
// dot becomes dot - (1 - pad_value) * sum of t over its padded taps. So the inner loop knows nothing of padding.
//
// Packed weights, for each block of up to Isa::kOutputs outputs of a group (the last one narrower: a multiple of
// Isa::kGranule):
//   steps [tap][word] of 4 * width bytes, in the order that Isa::place chooses; then int32 t [tap][width].
#pragma once

#include "kernels/vector/epilogue.h"
#include "kernels/vector/window.h"

namespace onebit {
namespace {

constexpr int64_t kMaxWords = 1024;
alignas(64) constexpr uint32_t kZeroWords[kMaxWords] = {};

inline uint32_t popcount(uint32_t x) {
  x = x - ((x >> 1) & 0x55555555u);
  x = (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
  return ((x + (x >> 4)) & 0x0f0f0f0fu) * 0x01010101u >> 24;
}

// What the loops over pixels need of a shape, worked out once.
struct BinaryGeometry {
  explicit BinaryGeometry(const ConvShape& s)
      : shape(s),
        channels(s.in_c / s.groups),
        words(words_of(channels)),
        taps(taps_of(s)),
        pixel_step(words_of(s.in_c)),
        tap_step(s.dilation_w * pixel_step),
        row_step(static_cast<int64_t>(s.dilation_h) * s.in_w * pixel_step),
        rows(s.groups == 1 && s.dilation_w == 1) {}
  const ConvShape& shape;
  int64_t channels, words, taps;           // of a group; words a tap
  int64_t pixel_step, tap_step, row_step;  // in input words
  bool rows;                               // a kernel row's taps lie side by side in memory
};

// The input words that P neighbouring output pixels read, as spans: a kernel row where that lies side by side, else a
// tap.
template <int P>
class PixelWords {
 public:
  PixelWords(const BinaryGeometry& geometry, const uint32_t* input, WindowCursor& cursor)
      : geometry_(geometry), input_(input), rows_(geometry.rows) {
    for (int p = 0; p < P; ++p) {
      windows_[p] = cursor.next();
      offsets_[p] = windows_[p].position * geometry.pixel_step;
      rows_ = rows_ && windows_[p].interior;
    }
  }

  int64_t spans() const { return rows_ ? geometry_.shape.kernel_h : geometry_.taps; }

  int64_t span_words() const { return rows_ ? geometry_.words * geometry_.shape.kernel_w : geometry_.words; }

  // The next span of each pixel, in the order ky, kx.
  void next(const uint32_t* (&words)[P]) {
    const int64_t offset = ky_ * geometry_.row_step + kx_ * geometry_.tap_step;
    if (rows_) {
      for (int p = 0; p < P; ++p) words[p] = input_ + (offsets_[p] + offset);
      ++ky_;
      return;
    }
    for (int p = 0; p < P; ++p) words[p] = inside_at(p, ky_, kx_) ? input_ + (offsets_[p] + offset) : kZeroWords;
    if (++kx_ == geometry_.shape.kernel_w) {
      kx_ = 0;
      ++ky_;
    }
  }

  bool inside_at(int p, int64_t ky, int64_t kx) const {
    const ConvShape& s = geometry_.shape;
    return windows_[p].interior ||
           inside(windows_[p].y + ky * s.dilation_h, windows_[p].x + kx * s.dilation_w, s.in_h, s.in_w);
  }

  bool is_interior(int p) const { return windows_[p].interior; }

 private:
  const BinaryGeometry& geometry_;
  const uint32_t* input_;
  int64_t ky_ = 0, kx_ = 0;
  Window windows_[P];
  int64_t offsets_[P];
  bool rows_;
};

template <class Isa>
class BlockedBinaryConv {
 public:
  // Whether blocks start at whole words, and counts stay within Isa's accumulators. Other shapes take the general
  // kernel.
  static bool fits(const ConvShape& s) {
    const int64_t channels = s.in_c / s.groups, outputs = s.out_c / s.groups;
    return (s.groups == 1 || (channels % 32 == 0 && outputs % 32 == 0)) && words_of(channels) <= kMaxWords &&
           taps_of(s) <= Isa::kMaxTerms / channels;
  }

  static size_t pack_bytes(const ConvShape& s) {
    return static_cast<size_t>(s.groups * (words_of(s.in_c / s.groups) + 1) * taps_of(s) *
                               round_up(s.out_c / s.groups, Isa::kGranule) * 4);
  }

  static void pack(const ConvShape& s, const uint32_t* weight, void* packed) {
    const int64_t channels = s.in_c / s.groups, words = words_of(channels), taps = taps_of(s);
    auto* to = static_cast<uint8_t*>(packed);
    for (Block block(s); !block.done(); block.next()) {
      const int64_t width = block.width();
      uint8_t* tap_dots = to + taps * words * width * 4;
      std::memset(to, 0, static_cast<size_t>(tap_dots - to + taps * width * 4));
      for (int64_t lane = 0; lane < block.outputs(); ++lane) {
        const uint32_t* from = weight + (block.first() + lane) * taps * words;
        for (int64_t tap = 0; tap < taps; ++tap) {
          int32_t ones = 0;
          for (int64_t w = 0; w < words; ++w, ++from) {
            Isa::place(*from, lane, width, to + (tap * words + w) * width * 4);
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
      int64_t pixel = (begin > 0 ? begin : 0) * args.shape.out_w;
      const int64_t last = (end < rows ? end : rows) * args.shape.out_w;
      WindowCursor cursor(args.shape, begin > 0 ? begin : 0);
      for (; pixel + Isa::kPixels <= last; pixel += Isa::kPixels)
        step<Isa::kPixels>(args, geometry, block, weight, cursor, pixel);
      for (; pixel < last; ++pixel) step<1>(args, geometry, block, weight, cursor, pixel);
      weight += (geometry.words + 1) * geometry.taps * block.width() * 4;
    }
  }

 private:
  // A run of output channels of one group.
  class Block {
   public:
    explicit Block(const ConvShape& s)
        : per_group_(s.out_c / s.groups), group_words_(s.in_c / s.groups / 32), end_(s.out_c) {
      measure();
    }
    bool done() const { return first_ == end_; }
    void next() {
      first_ += outputs_;
      measure();
    }
    int64_t first() const { return first_; }
    int64_t first_word() const { return first_word_; }
    int64_t outputs() const { return outputs_; }
    int64_t width() const { return round_up(outputs_, Isa::kGranule); }

   private:
    void measure() {
      const int64_t left = per_group_ - first_ % per_group_;
      outputs_ = left < Isa::kOutputs ? left : Isa::kOutputs;
      first_word_ = first_ / per_group_ * group_words_;
    }
    int64_t per_group_, group_words_, end_, first_ = 0, outputs_ = 0, first_word_ = 0;
  };

  template <int P>
  static void step(const BinaryConvArgs& args, const BinaryGeometry& geometry, const Block& block,
                   const uint8_t* weight, WindowCursor& cursor, int64_t pixel) {
    PixelWords<P> pixels(geometry, args.input + block.first_word(), cursor);
    alignas(64) int32_t dots[P][Isa::kOutputs];
    Isa::dots(pixels, static_cast<int32_t>(geometry.taps * geometry.channels), weight, block.width(), dots);
    if (args.pad_value != 1) {
      const uint8_t* tap_dots = weight + geometry.taps * geometry.words * block.width() * 4;
      for (int p = 0; p < P; ++p) {
        if (!pixels.is_interior(p)) {
          remove_padding(args.shape, pixels, p, tap_dots, block.width(), 1 - args.pad_value, dots[p]);
        }
      }
    }
    if (args.output) {
      write_floats<P>(args, block, pixel, dots);
    } else {
      for (int p = 0; p < P; ++p) write_bits(args, block, pixel + p, dots[p]);
    }
  }

  template <int P>
  static void remove_padding(const ConvShape& s, const PixelWords<P>& pixels, int p, const uint8_t* tap_dots,
                             int64_t width, int32_t factor, int32_t* dots) {
    for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
      for (int64_t kx = 0; kx < s.kernel_w; ++kx, tap_dots += width * 4) {
        if (pixels.inside_at(p, ky, kx)) continue;
        for (int64_t i = 0; i < width; i += Isa::kLanes) {
          const auto tap = load<Int>(reinterpret_cast<const int32_t*>(tap_dots) + i);
          store(dots + i, load<Int>(dots + i) - tap * factor, Isa::kLanes);
        }
      }
    }
  }

  template <int P>
  static void write_floats(const BinaryConvArgs& args, const Block& block, int64_t pixel,
                           const int32_t (&dots)[P][Isa::kOutputs]) {
    constexpr int N = Isa::kLanes;
    const int64_t stride = args.shape.out_c;
    for (int64_t i = 0; i < block.outputs(); i += N) {
      Float<N> y[P];
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) y[p] = __builtin_convertvector(load<Int>(dots[p] + i), Float<N>);
      const int64_t channel = block.first() + i;
      finish<N>(args.epilogue, y, channel, pixel * stride + channel, stride, block.outputs() - i, args.output);
    }
    if (!args.bits.words) return;
    for (int p = 0; p < P; ++p) {
      const float* values = args.output + (pixel + p) * stride + block.first();
      uint32_t* words = args.bits.words + (pixel + p) * words_of(stride) + block.first() / 32;
      const float* interval = args.bits.interval + 2 * block.first();
      for (int64_t i = 0; i < block.outputs(); i += 32)
        words[i / 32] = Isa::outside(values + i, interval + 2 * i, block.outputs() - i);
    }
  }

  static void write_bits(const BinaryConvArgs& args, const Block& block, int64_t pixel, const int32_t* dots) {
    uint32_t* output = args.output_bits + pixel * words_of(args.shape.out_c) + block.first() / 32;
    const int32_t* interval = args.interval + 2 * block.first();
    for (int64_t i = 0; i < block.outputs(); i += 32) {
      output[i / 32] = Isa::outside(dots + i, interval + 2 * i, block.outputs() - i);
    }
  }

  using Int = typename Vector<Isa::kLanes>::Int;
};

}  // namespace
}  // namespace onebit
