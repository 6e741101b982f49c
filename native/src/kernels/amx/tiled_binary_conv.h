// Binary convolution on tiles of bytes: bits become the bytes +1 and -1, and a tile operation adds the products of 16
// pixels with 16 outputs, 64 channels deep, into 32-bit integers. Padding is the byte pad_value, so borders are as any
// other place. No intrinsics here: `Isa` has the tile operations, and a test has them in plain C++.
//
// Rows of the image are expanded, with their padding, into a strip in the kernel's own memory. With stride 1 the
// strip's pixels are one line, on which output rows follow each other: pixel m of the line is row m / width and column
// m % width, of which the last kernel_w - 1 are no outputs; so tiles are full where rows are short. With another stride
// an output row is a line. Weights stay bits, expanded 32 outputs and at most kPanelSteps * 64 terms at a time; while
// one panel follows another the sums of the strip wait in memory.
//
// Packed weights, for each 32 outputs: [step of 64 terms, in the order ky, kx, channel][16 outputs][row of a tile] of
// 64 bits, bit 4 n + j of row r being term 4 r + j of output n (the layout of the second operand, a bit a byte).
#pragma once

#include "kernels/shape.h"
#include "kernels/vector/epilogue.h"

namespace onebit {
namespace {

template <class Isa>
class TiledBinaryConv {
 public:
  static constexpr int64_t kOutputs = 32, kTerms = 64, kRows = 16;  // of a block; of a step; of a tile

  // One group, whole steps and blocks, the taps of a kernel row side by side, and a strip of one output row within the
  // kernel's memory.
  static bool fits(const ConvShape& s) {
    return s.groups == 1 && s.in_c % kTerms == 0 && s.out_c % kOutputs == 0 && s.dilation_w == 1 && Strip(s, 1).fits();
  }

  static size_t pack_bytes(const ConvShape& s) { return static_cast<size_t>(s.out_c * steps_of(s) * kTerms / 8); }

  static void pack(const ConvShape& s, const uint32_t* weight, void* packed) {
    const int64_t steps = steps_of(s), words = steps * 2;
    auto* to = static_cast<uint64_t*>(packed);
    for (int64_t block = 0; block < s.out_c; block += kOutputs) {
      for (int64_t step = 0; step < steps; ++step) {
        for (int64_t row = 0; row < 2 * kRows; ++row) {
          uint64_t bits = 0;
          for (int64_t n = 0; n < 16; ++n) {
            const int64_t output = block + row / kRows * 16 + n, term = step * kTerms + row % kRows * 4;
            const uint64_t four = weight[output * words + term / 32] >> term % 32 & 15;
            bits |= four << 4 * n;
          }
          *to++ = bits;
        }
      }
    }
  }

  // A unit is a row of one block of outputs, rows innermost.
  static int64_t units(const ConvShape& s) { return rows_of(s) * (s.out_c / kOutputs); }

  static void run(const BinaryConvArgs& args, int64_t begin, int64_t end) {
    const ConvShape& s = args.shape;
    const int64_t rows = rows_of(s);
    Memory memory;
    Isa::configure();
    while (begin < end) {
      // Of one block and one sample.
      const int64_t row = begin % rows, block = begin / rows;
      int64_t count = s.out_h - row % s.out_h;
      if (count > end - begin) count = end - begin;
      const Strip strip = longest(s, count);
      run_strip(args, strip, memory, block, row);
      begin += strip.rows;
    }
    Isa::release();
  }

 private:
  static constexpr int N = Isa::kLanes;
  using Int = typename Vector<N>::Int;
  using Unsigned = typename Vector<N>::Unsigned;

  static constexpr int64_t kImageBytes = 48 * 1024, kPixels = 128, kPanelSteps = 9;

  struct Memory {
    alignas(64) int8_t image[kImageBytes];
    alignas(64) int8_t panel[kPanelSteps][2][kRows * kTerms];
    alignas(64) int32_t dots[kPixels][kOutputs];
  };

  static int64_t steps_of(const ConvShape& s) { return taps_of(s) * s.in_c / kTerms; }

  // How `rows` output rows lie in memory.
  struct Strip {
    Strip(const ConvShape& s, int64_t output_rows)
        : rows(output_rows),
          width(static_cast<int64_t>(s.out_w - 1) * s.stride_w + s.kernel_w),
          height((output_rows - 1) * s.stride_h + static_cast<int64_t>(s.kernel_h - 1) * s.dilation_h + 1),
          row_bytes(width * s.in_c),
          pixel_bytes(static_cast<int64_t>(s.stride_w) * s.in_c) {
      if (s.stride_h == 1 && s.stride_w == 1) {
        lines = 1;
        length = (rows - 1) * width + s.out_w;
        line_bytes = 0;
        row_dots = width;
      } else {
        lines = rows;
        length = s.out_w;
        line_bytes = s.stride_h * row_bytes;
        row_dots = round_up(s.out_w, kRows);
      }
    }

    // The last tile of a line may read and write up to 15 pixels too many.
    bool fits() const {
      return height * row_bytes + (kRows - 1) * pixel_bytes <= kImageBytes &&
             (lines - 1) * row_dots + round_up(length, kRows) <= kPixels;
    }

    int64_t rows, width, height;     // output rows; pixels of the image, padding included
    int64_t row_bytes, pixel_bytes;  // from an image row to the next; from an output's pixel to the next one's
    int64_t lines, length, line_bytes;
    int64_t row_dots;  // from an output row's first dots to the next one's
  };

  static Strip longest(const ConvShape& s, int64_t most_rows) {
    int64_t rows = 1;
    while (rows < most_rows && Strip(s, rows + 1).fits()) ++rows;
    return Strip(s, rows);
  }

  static void run_strip(const BinaryConvArgs& args, const Strip& strip, Memory& memory, int64_t block, int64_t row) {
    const ConvShape& s = args.shape;
    const int64_t steps = steps_of(s), row_steps = s.kernel_w * s.in_c / kTerms;
    const auto* weight = static_cast<const uint64_t*>(args.weight) + block * steps * 2 * kRows;
    expand_image(args, strip, row, memory.image);
    for (int64_t first = 0; first < steps; first += kPanelSteps) {
      const int64_t count = steps - first < kPanelSteps ? steps - first : kPanelSteps;
      for (int64_t i = 0; i < count * 2 * kRows; ++i) Isa::expand(*weight++, memory.panel[0][0] + i * kTerms);
      for (int64_t line = 0; line < strip.lines; ++line) {
        for (int64_t m = 0; m < strip.length; m += 2 * kRows) {
          const int8_t* image = memory.image + line * strip.line_bytes + m * strip.pixel_bytes;
          int32_t* dots = memory.dots[line * strip.row_dots + m];
          const bool two = m + kRows < strip.length;
          sum_tiles(strip, s, image, memory.panel, first, count, row_steps, two, dots);
        }
      }
    }
    write(args, strip, memory, block, row);
  }

  // The image of a strip as bytes.
  static void expand_image(const BinaryConvArgs& args, const Strip& strip, int64_t row, int8_t* to) {
    const ConvShape& s = args.shape;
    const int64_t sample = row / s.out_h, words = words_of(s.in_c);
    for (int64_t i = 0; i < strip.height; ++i) {
      const int64_t y = row % s.out_h * s.stride_h - s.pad_top + i;
      for (int64_t j = 0; j < strip.width; ++j, to += s.in_c) {
        const int64_t x = j - s.pad_left;
        if (!inside(y, x, s.in_h, s.in_w)) {
          std::memset(to, args.pad_value, static_cast<size_t>(s.in_c));
          continue;
        }
        const uint32_t* from = args.input + ((sample * s.in_h + y) * s.in_w + x) * words;
        for (int64_t w = 0; w < words; w += 2) Isa::expand(from[w] | uint64_t{from[w + 1]} << 32, to + w * 32);
      }
    }
    std::memset(to, 0, static_cast<size_t>((kRows - 1) * strip.pixel_bytes));  // read, but no output's
  }

  // Adds the steps [first, first + count) of one or two tiles of pixels with the block's two tiles of outputs. Tiles
  // 0 to 3 are the sums, 4 and 5 pixels, 6 and 7 weights.
  static void sum_tiles(const Strip& strip, const ConvShape& s, const int8_t* image,
                        const int8_t (*panel)[2][kRows * kTerms], int64_t first, int64_t count, int64_t row_steps,
                        bool two, int32_t* dots) {
    constexpr int64_t dots_bytes = kOutputs * 4, next_dots = kRows * kOutputs;
    const int64_t next_tile = kRows * strip.pixel_bytes;
    if (first == 0) {
      Isa::template zero<0>();
      Isa::template zero<1>();
      Isa::template zero<2>();
      Isa::template zero<3>();
    } else {
      Isa::template read<0>(dots, dots_bytes);
      Isa::template read<1>(dots + 16, dots_bytes);
      if (two) {
        Isa::template read<2>(dots + next_dots, dots_bytes);
        Isa::template read<3>(dots + next_dots + 16, dots_bytes);
      }
    }
    for (int64_t i = 0; i < count; ++i) {
      const int64_t step = first + i, ky = step / row_steps;
      const int8_t* pixels = image + ky * s.dilation_h * strip.row_bytes + (step - ky * row_steps) * kTerms;
      Isa::template read<4>(pixels, strip.pixel_bytes);
      Isa::template read<6>(panel[i][0], kTerms);
      Isa::template multiply<0, 4, 6>();
      Isa::template read<7>(panel[i][1], kTerms);
      Isa::template multiply<1, 4, 7>();
      if (two) {
        Isa::template read<5>(pixels + next_tile, strip.pixel_bytes);
        Isa::template multiply<2, 5, 6>();
        Isa::template multiply<3, 5, 7>();
      }
    }
    Isa::template write<0>(dots, dots_bytes);
    Isa::template write<1>(dots + 16, dots_bytes);
    if (two) {
      Isa::template write<2>(dots + next_dots, dots_bytes);
      Isa::template write<3>(dots + next_dots + 16, dots_bytes);
    }
  }

  static void write(const BinaryConvArgs& args, const Strip& strip, const Memory& memory, int64_t block, int64_t row) {
    const ConvShape& s = args.shape;
    const int64_t channel = block * kOutputs;
    for (int64_t i = 0; i < strip.rows; ++i) {
      for (int64_t x = 0; x < s.out_w; ++x) {
        const int64_t pixel = (row + i) * s.out_w + x;
        const int32_t* dots = memory.dots[i * strip.row_dots + x];
        if (args.output) {
          write_floats(args, dots, pixel, channel);
        } else {
          args.output_bits[pixel * words_of(s.out_c) + block] = outside(dots, args.interval + 2 * channel);
        }
      }
    }
  }

  static void write_floats(const BinaryConvArgs& args, const int32_t* dots, int64_t pixel, int64_t channel) {
    const int64_t channels = args.shape.out_c, index = pixel * channels + channel;
    for (int64_t i = 0; i < kOutputs; i += N) {
      Float<N> y[1] = {__builtin_convertvector(load<Int>(dots + i), Float<N>)};
      finish<N>(args.epilogue, y, channel + i, index + i, 0, N, args.output);
    }
    if (args.bits.words) {
      args.bits.words[pixel * words_of(channels) + channel / 32] =
          Isa::outside(args.output + index, args.bits.interval + 2 * channel, kOutputs);
    }
  }

  // Of 32 outputs: one bit each, 1 where the dot is outside its interval.
  static uint32_t outside(const int32_t* dots, const int32_t* interval) {
    uint32_t bits = 0;
    for (int64_t i = 0; i < kOutputs; ++i)
      bits |= static_cast<uint32_t>((dots[i] < interval[2 * i]) | (dots[i] > interval[2 * i + 1])) << i;
    return bits;
  }
};

}  // namespace
}  // namespace onebit
