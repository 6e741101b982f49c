// Binary convolution in blocks of output channels: all that the instruction sets share around their inner loop, which counts the
// mismatches (popcount of xor) of P pixels with a block of outputs.
//
// With K = taps * channels and m mismatches, dot = K - 2 m. A padded tap reads zero words, that is +1 in every channel, and so adds
// t = channels - 2 popcount(w_tap), the tap's dot with +1; the packed weights carry t, and a border pixel's dot becomes
// dot - (1 - pad_value) * sum of t over its padded taps. So the inner loop knows nothing of padding.
//
// Packed weights, for each block of up to Isa::kOutputs outputs of a group (the last one narrower: a multiple of Isa::kGranule):
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

// The input words that P neighbouring output pixels read at a tap.
template <int P>
class PixelWords {
 public:
  PixelWords(const BinaryConvArgs& args, int64_t first_word, WindowCursor& cursor)
      : shape(args.shape), input_(args.input + first_word), stride_(words_of(args.shape.in_c)) {
    for (int p = 0; p < P; ++p) {
      windows_[p] = cursor.next();
      origins_[p] = ((windows_[p].sample * shape.in_h + windows_[p].y) * shape.in_w + windows_[p].x) * stride_;
      interior_[p] = interior(shape, windows_[p]);
      all_interior_ = all_interior_ && interior_[p];
    }
  }

  void at(int64_t ky, int64_t kx, const uint32_t* (&words)[P]) const {
    const int64_t offset = (ky * shape.dilation_h * shape.in_w + kx * shape.dilation_w) * stride_;
    for (int p = 0; p < P; ++p) {
      words[p] = all_interior_ || inside_at(p, ky, kx) ? input_ + (origins_[p] + offset) : kZeroWords;
    }
  }

  bool inside_at(int p, int64_t ky, int64_t kx) const {
    return inside(windows_[p].y + ky * shape.dilation_h, windows_[p].x + kx * shape.dilation_w, shape.in_h, shape.in_w);
  }

  bool is_interior(int p) const { return interior_[p]; }

  const ConvShape& shape;

 private:
  const uint32_t* input_;
  int64_t stride_;
  Window windows_[P];
  int64_t origins_[P];
  bool interior_[P], all_interior_ = true;
};

template <class Isa>
class BlockedBinaryConv {
 public:
  // Whether blocks start at whole words, and counts stay within Isa's accumulators. Other shapes take the general kernel.
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

  static void run(const BinaryConvArgs& args, int64_t begin, int64_t end) {
    const ConvShape& s = args.shape;
    const auto* weight = static_cast<const uint8_t*>(args.weight);
    for (Block block(s); !block.done(); block.next()) {
      WindowCursor cursor(s, begin);
      int64_t pixel = begin * s.out_w;
      const int64_t last = end * s.out_w;
      for (; pixel + Isa::kPixels <= last; pixel += Isa::kPixels) step<Isa::kPixels>(args, block, weight, cursor, pixel);
      for (; pixel < last; ++pixel) step<1>(args, block, weight, cursor, pixel);
      weight += (words_of(s.in_c / s.groups) + 1) * taps_of(s) * block.width() * 4;
    }
  }

 private:
  // A run of output channels of one group.
  class Block {
   public:
    explicit Block(const ConvShape& s) : per_group_(s.out_c / s.groups), group_channels_(s.in_c / s.groups), end_(s.out_c) {}
    bool done() const { return first_ == end_; }
    void next() { first_ += outputs(); }
    int64_t first() const { return first_; }
    int64_t first_word() const { return first_ / per_group_ * group_channels_ / 32; }
    int64_t outputs() const {
      const int64_t left = per_group_ - first_ % per_group_;
      return left < Isa::kOutputs ? left : Isa::kOutputs;
    }
    int64_t width() const { return round_up(outputs(), Isa::kGranule); }

   private:
    int64_t per_group_, group_channels_, end_, first_ = 0;
  };

  template <int P>
  static void step(const BinaryConvArgs& args, const Block& block, const uint8_t* weight, WindowCursor& cursor, int64_t pixel) {
    const ConvShape& s = args.shape;
    const PixelWords<P> pixels(args, block.first_word(), cursor);
    const int64_t words = words_of(s.in_c / s.groups), taps = taps_of(s);
    alignas(64) int32_t dots[P][Isa::kOutputs];
    Isa::mismatches(pixels, weight, words, block.width(), dots);
    const uint8_t* tap_dots = weight + taps * words * block.width() * 4;
    const auto terms = static_cast<int32_t>(taps * (s.in_c / s.groups));
    for (int p = 0; p < P; ++p) {
      for (int64_t i = 0; i < block.width(); ++i) dots[p][i] = terms - 2 * dots[p][i];
      if (args.pad_value != 1 && !pixels.is_interior(p)) {
        remove_padding(pixels, p, tap_dots, block.width(), 1 - args.pad_value, dots[p]);
      }
      if (args.output) {
        write_floats(args, block, pixel + p, dots[p]);
      } else {
        write_bits(args, block, pixel + p, dots[p]);
      }
    }
  }

  template <int P>
  static void remove_padding(const PixelWords<P>& pixels, int p, const uint8_t* tap_dots, int64_t width, int32_t factor,
                             int32_t* dots) {
    for (int64_t ky = 0; ky < pixels.shape.kernel_h; ++ky) {
      for (int64_t kx = 0; kx < pixels.shape.kernel_w; ++kx, tap_dots += width * 4) {
        if (pixels.inside_at(p, ky, kx)) continue;
        for (int64_t i = 0; i < width; i += Isa::kLanes) {
          const auto tap = load<Int>(reinterpret_cast<const int32_t*>(tap_dots) + i);
          store(dots + i, load<Int>(dots + i) - tap * factor, Isa::kLanes);
        }
      }
    }
  }

  static void write_floats(const BinaryConvArgs& args, const Block& block, int64_t pixel, const int32_t* dots) {
    constexpr int N = Isa::kLanes;
    const int64_t index = pixel * args.shape.out_c + block.first();
    for (int64_t i = 0; i < block.outputs(); i += N) {
      const int64_t count = block.outputs() - i;
      const auto y = __builtin_convertvector(load<Int>(dots + i), Float<N>);
      store(args.output + index + i, epilogue<N>(args.epilogue, y, block.first() + i, index + i, count), count);
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
