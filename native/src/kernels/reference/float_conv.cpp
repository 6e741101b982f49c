#include <cstring>

#include "kernels/reference/epilogue.h"
#include "kernels/reference/tables.h"
#include "kernels/shape.h"

namespace onebit::reference {
namespace {

float dot(const FloatConvArgs& args, int64_t sample, int64_t oy, int64_t ox, int64_t o) {
  const ConvShape& s = args.shape;
  const int64_t channels = s.in_c / s.groups;
  const int64_t first = o / (s.out_c / s.groups) * channels;
  const auto* weight = static_cast<const float*>(args.weight) + o * taps_of(s) * channels;
  float sum = 0.0f;
  for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
    for (int64_t kx = 0; kx < s.kernel_w; ++kx, weight += channels) {
      const int64_t y = oy * s.stride_h - s.pad_top + ky * s.dilation_h;
      const int64_t x = ox * s.stride_w - s.pad_left + kx * s.dilation_w;
      if (!inside(y, x, s.in_h, s.in_w)) continue;
      const float* pixel = args.input + ((sample * s.in_h + y) * s.in_w + x) * s.in_c + first;
      for (int64_t c = 0; c < channels; ++c) sum = sum + pixel[c] * weight[c];
    }
  }
  return sum;
}

bool fits(const ConvShape&) { return true; }

size_t pack_bytes(const ConvShape& s) {
  return static_cast<size_t>(s.out_c * taps_of(s) * (s.in_c / s.groups)) * sizeof(float);
}

void pack(const ConvShape& s, const float* weight, void* packed) { std::memcpy(packed, weight, pack_bytes(s)); }

void run(const FloatConvArgs& args, int64_t begin, int64_t end) {
  const ConvShape& s = args.shape;
  for (int64_t row = begin; row < end; ++row) {
    for (int64_t ox = 0; ox < s.out_w; ++ox) {
      for (int64_t o = 0; o < s.out_c; ++o) {
        const int64_t index = (row * s.out_w + ox) * s.out_c + o;
        args.output[index] = epilogue(args.epilogue, dot(args, row / s.out_h, row % s.out_h, ox, o), o, index);
      }
    }
  }
}

}  // namespace

constexpr FloatConvKernel float_conv = {"reference", false, fits, pack_bytes, pack, rows_of, run};

}  // namespace onebit::reference
