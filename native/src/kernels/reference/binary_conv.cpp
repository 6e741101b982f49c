#include <cstring>

#include "kernels/reference/epilogue.h"
#include "kernels/reference/tables.h"
#include "kernels/shape.h"

namespace onebit::reference {
namespace {

int sign_at(const uint32_t* words, int64_t channel) { return (words[channel / 32] >> (channel % 32) & 1) ? -1 : 1; }

int32_t dot(const BinaryConvArgs& args, int64_t sample, int64_t oy, int64_t ox, int64_t o) {
  const ConvShape& s = args.shape;
  const int64_t channels = s.in_c / s.groups;
  const int64_t first = o / (s.out_c / s.groups) * channels;
  const auto* weight = static_cast<const uint32_t*>(args.weight) + o * taps_of(s) * words_of(channels);
  int32_t sum = 0;
  for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
    for (int64_t kx = 0; kx < s.kernel_w; ++kx, weight += words_of(channels)) {
      const int64_t y = oy * s.stride_h - s.pad_top + ky * s.dilation_h;
      const int64_t x = ox * s.stride_w - s.pad_left + kx * s.dilation_w;
      const bool padded = !inside(y, x, s.in_h, s.in_w);
      const uint32_t* pixel = padded ? nullptr : args.input + ((sample * s.in_h + y) * s.in_w + x) * words_of(s.in_c);
      for (int64_t c = 0; c < channels; ++c) {
        sum += (padded ? args.pad_value : sign_at(pixel, first + c)) * sign_at(weight, c);
      }
    }
  }
  return sum;
}

bool fits(const ConvShape&) { return true; }

size_t pack_bytes(const ConvShape& s) {
  return static_cast<size_t>(s.out_c * taps_of(s) * words_of(s.in_c / s.groups)) * sizeof(uint32_t);
}

void pack(const ConvShape& s, const uint32_t* weight, void* packed) { std::memcpy(packed, weight, pack_bytes(s)); }

void run(const BinaryConvArgs& args, int64_t begin, int64_t end) {
  const ConvShape& s = args.shape;
  for (int64_t row = begin; row < end; ++row) {
    for (int64_t ox = 0; ox < s.out_w; ++ox) {
      const int64_t pixel = row * s.out_w + ox;
      for (int64_t o = 0; o < s.out_c; ++o) {
        const int32_t sum = dot(args, row / s.out_h, row % s.out_h, ox, o);
        if (args.output) {
          const int64_t index = pixel * s.out_c + o;
          args.output[index] = epilogue(args.epilogue, static_cast<float>(sum), o, index);
          if (args.bits.words) set_bit(args.bits, pixel, s.out_c, o, args.output[index]);
        } else {
          uint32_t& word = args.output_bits[pixel * words_of(s.out_c) + o / 32];
          if (o % 32 == 0) word = 0;
          const bool plus = args.interval[2 * o] <= sum && sum <= args.interval[2 * o + 1];
          word |= static_cast<uint32_t>(!plus) << (o % 32);
        }
      }
    }
  }
}

}  // namespace

constexpr BinaryConvKernel binary_conv = {"reference", false, fits, pack_bytes, pack, rows_of, run};

}  // namespace onebit::reference
