// Convolution of signs by signs to 16-bit dot products, by looking up sums of four: all that the instruction sets
// share.
//
// Lanes are output pixels. The signs of 4 neighbouring channels at a tap are a nibble, and for each of the 16 nibbles
// that weights can be there is a table of 16 bytes from the input's nibble to half the dot product of both, -2 to 2; 0
// for an index of 128, which the padding has. Bytes are added to 16 bits before they overflow. So a look-up and an
// addition make 4 products in each byte of a vector, and a vector of indices serves all outputs.
//
// A tile is as many pixels as a vector has bytes, in the order of the output. Its indices are copied from planes of
// nibbles [group of channels][sample][padded row][phase of the stride][column], in runs of pixels of one row.
#pragma once

#include <cstring>

#include "kernels/fused.h"
#include "kernels/shape.h"

namespace onebit {
namespace {

template <class Isa>
class LookUpConv {
 public:
  static bool fits(const ConvShape& s) {
    return s.groups == 1 && s.dilation_h == 1 && s.dilation_w == 1 && s.in_c % 4 == 0 &&
           taps_of(s) * s.in_c <= INT16_MAX;
  }

  // Weights: for each block of kOutputs, [group of channels][tap][output] where its table begins; then the tables.
  static size_t pack_bytes(const ConvShape& s) {
    return static_cast<size_t>(kTableBytes + 2 * blocks_of(s) * kOutputs * taps_of(s) * groups_of(s));
  }

  static void pack(const ConvShape& s, const uint32_t* weight, void* packed) {
    auto* tables = static_cast<int8_t*>(packed);
    for (uint32_t w = 0; w < 16; ++w) {
      for (uint32_t i = 0; i < kLanes; ++i)
        tables[w * kLanes + i] = static_cast<int8_t>(2 - static_cast<int32_t>(popcount(w ^ (i % 16))));
    }
    auto* to = reinterpret_cast<uint16_t*>(tables + kTableBytes);
    const int64_t taps = taps_of(s), words = words_of(s.in_c);
    for (int64_t block = 0; block < blocks_of(s); ++block) {
      for (int64_t group = 0; group < groups_of(s); ++group) {
        for (int64_t tap = 0; tap < taps; ++tap) {
          for (int64_t o = block * kOutputs; o < (block + 1) * kOutputs; ++o, ++to) {
            const uint32_t word = o < s.out_c ? weight[(o * taps + tap) * words + group / 8] : 0;
            *to = static_cast<uint16_t>((word >> group % 8 * 4 & 15u) * kLanes);
          }
        }
      }
    }
  }

  static size_t scratch_bytes(const ConvShape& s) {
    const Planes planes(s);
    return static_cast<size_t>(round_up(groups_of(s) * planes.size + kLanes, 64) +
                               (groups_of(s) * taps_of(s) + 1) * kLanes + 4 * groups_of(s) * taps_of(s));
  }

  static void run(const SignConvArgs& args) {
    const ConvShape& s = args.shape;
    const Planes planes(s);
    auto* nibbles = static_cast<uint8_t*>(args.scratch);
    uint8_t* indices = nibbles + round_up(groups_of(s) * planes.size + kLanes, 64);
    auto* offsets = reinterpret_cast<int32_t*>(indices + (groups_of(s) * taps_of(s) + 1) * kLanes);
    int32_t* next = offsets;
    for (int64_t group = 0; group < groups_of(s); ++group) {
      for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
        for (int64_t kx = 0; kx < s.kernel_w; ++kx)
          *next++ = static_cast<int32_t>(group * planes.size + ky * planes.row + planes.at(kx));
      }
    }
    spread(args, planes, nibbles);
    const int64_t pixels = rows_of(s) * s.out_w;
    for (int64_t pixel = 0; pixel < pixels; pixel += kLanes) {
      const int64_t some = pixels - pixel < kLanes ? pixels - pixel : kLanes;
      collect(s, planes, nibbles, offsets, pixel, some, indices);
      const auto* tables = static_cast<const int8_t*>(args.weight);
      const auto* weight = reinterpret_cast<const uint16_t*>(tables + kTableBytes);
      for (int64_t o = 0; o < s.out_c; o += kOutputs, weight += kOutputs * groups_of(s) * taps_of(s)) {
        const int64_t outputs = s.out_c - o < kOutputs ? s.out_c - o : kOutputs;
        tile(indices, groups_of(s) * taps_of(s), tables, weight, args.y + pixel * s.out_c + o, s.out_c, some, outputs);
      }
    }
  }

  static constexpr SignConvKernel kernel() { return {fits, pack_bytes, pack, scratch_bytes, run}; }

 private:
  static constexpr int64_t kLanes = Isa::kBytes, kOutputs = Isa::kOutputs, kTableBytes = 16 * kLanes;
  static constexpr int64_t kSteps = 63;  // look-ups of at most 2 that fit a byte
  using Bytes = typename Isa::Bytes;

  static int64_t groups_of(const ConvShape& s) { return s.in_c / 4; }
  static int64_t blocks_of(const ConvShape& s) { return (s.out_c + kOutputs - 1) / kOutputs; }

  // The layout of the nibbles of one group of channels.
  struct Planes {
    explicit Planes(const ConvShape& s)
        : stride(s.stride_w),
          phase(((s.out_w - 1) * s.stride_w + s.kernel_w + s.stride_w - 1) / s.stride_w),
          row(stride * phase),
          sample(((s.out_h - 1) * int64_t{s.stride_h} + s.kernel_h) * row),
          size(s.batch * sample) {}
    int64_t stride, phase, row, sample, size;
    int64_t at(int64_t column) const { return column % stride * phase + column / stride; }
  };

  static void spread(const SignConvArgs& args, const Planes& planes, uint8_t* nibbles) {
    const ConvShape& s = args.shape;
    const int64_t words = words_of(s.in_c), groups = groups_of(s), rows = planes.sample / planes.row;
    const int64_t room = planes.row - s.pad_left, width = room < s.in_w ? room : s.in_w;  // what the windows reach
    std::memset(nibbles, 0x80, static_cast<size_t>(groups * planes.size));
    for (int64_t n = 0; n < s.batch; ++n) {
      for (int64_t y = 0; y < s.in_h && y + s.pad_top < rows; ++y) {
        const uint32_t* from = args.bits + (n * s.in_h + y) * s.in_w * words;
        uint8_t* row = nibbles + n * planes.sample + (y + s.pad_top) * planes.row;
        for (int64_t group = 0; group < groups; ++group) {
          const uint32_t* word = from + group / 8;
          uint8_t* to = row + group * planes.size;
          const auto shift = static_cast<uint32_t>(group % 8 * 4);
          if (planes.stride == 1 && words == 1) {
            for (int64_t x = 0; x < width; ++x) to[s.pad_left + x] = static_cast<uint8_t>(word[x] >> shift & 15u);
            continue;
          }
          for (int64_t first = 0; first < planes.stride; ++first) {  // a phase begins with each of these columns
            uint8_t* column = to + planes.at(first + s.pad_left);
            for (int64_t x = first; x < width; x += planes.stride)
              *column++ = static_cast<uint8_t>(word[x * words] >> shift & 15u);
          }
        }
      }
    }
  }

  // A tile's pixels of one row.
  struct Run {
    const uint8_t* from;  // the first pixel's window, in the first plane
    int64_t lane, count;
  };

  // [group][tap][lane]
  static void collect(const ConvShape& s, const Planes& planes, const uint8_t* nibbles, const int32_t* offsets,
                      int64_t pixel, int64_t count, uint8_t* indices) {
    Run runs[kLanes];
    int64_t many = 0;
    for (int64_t lane = 0; lane < count;) {
      const int64_t at = pixel + lane, x = at % s.out_w, y = at / s.out_w % s.out_h, n = at / s.out_w / s.out_h;
      const int64_t some = count - lane < s.out_w - x ? count - lane : s.out_w - x;
      runs[many++] = {nibbles + n * planes.sample + y * s.stride_h * planes.row + x, lane, some};
      lane += some;
    }
    const int64_t steps = groups_of(s) * taps_of(s);
    for (const Run* run = runs; run < runs + many; ++run) {
      if (s.out_w >= 32) {
        collect<32>(*run, offsets, steps, indices);
      } else if (s.out_w >= 16) {
        collect<16>(*run, offsets, steps, indices);
      } else {
        collect<8>(*run, offsets, steps, indices);
      }
    }
  }

  // In pieces of some bytes: what one copies too many, the next replaces.
  template <int64_t Bytes>
  static void collect(const Run& run, const int32_t* offsets, int64_t steps, uint8_t* indices) {
    for (int64_t i = 0; i < run.count; i += Bytes) {
      const uint8_t* from = run.from + i;
      uint8_t* to = indices + run.lane + i;
      const int64_t room = kLanes - run.lane - i;  // the lanes behind are the next step's
      if (room >= Bytes) {
        for (int64_t step = 0; step < steps; ++step, to += kLanes) std::memcpy(to, from + offsets[step], Bytes);
      } else {
        for (int64_t step = 0; step < steps; ++step, to += kLanes)
          std::memcpy(to, from + offsets[step], static_cast<size_t>(room));
      }
    }
  }

  static void tile(const uint8_t* indices, int64_t steps, const int8_t* tables, const uint16_t* weight, int16_t* y,
                   int64_t channels, int64_t pixels, int64_t outputs) {
    alignas(64) int16_t sums[kOutputs][kLanes];
    for (int64_t step = 0; step < steps;) {
      const int64_t last = steps - step < kSteps ? steps : step + kSteps;
      Bytes bytes[kOutputs];
#pragma GCC unroll 16
      for (int o = 0; o < kOutputs; ++o) bytes[o] = Isa::zero();
      const bool first = step == 0;
      for (; step < last; ++step, indices += kLanes, weight += kOutputs) {
        const auto index = Isa::load(indices);
#pragma GCC unroll 16
        for (int o = 0; o < kOutputs; ++o) Isa::add(bytes[o], tables + weight[o], index);
      }
#pragma GCC unroll 16
      for (int o = 0; o < kOutputs; ++o) first ? Isa::widen(bytes[o], sums[o]) : Isa::add_widened(bytes[o], sums[o]);
    }
    if (pixels == kLanes && outputs == kOutputs) return Isa::write(sums, y, channels);
    for (int64_t pixel = 0; pixel < pixels; ++pixel) {
      for (int64_t o = 0; o < outputs; ++o)
        y[pixel * channels + o] = static_cast<int16_t>(2 * sums[o][Isa::place(pixel)]);
    }
  }
};

}  // namespace
}  // namespace onebit
