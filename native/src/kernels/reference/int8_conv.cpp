#include <cstring>

#include "kernels/reference/epilogue.h"
#include "kernels/reference/tables.h"

namespace onebit::reference {
namespace {

// Packed weights: the zero point, then the file's weights.
struct Weights {
  int32_t zero_point;
  const int8_t* values;
};

Weights weights(const void* packed) {
  Weights found;
  std::memcpy(&found.zero_point, packed, sizeof(int32_t));
  found.values = static_cast<const int8_t*>(packed) + sizeof(int32_t);
  return found;
}

int32_t dot(const Int8ConvArgs& args, int64_t sample, int64_t oy, int64_t ox, int64_t o) {
  const ConvShape& s = args.shape;
  const int64_t channels = s.in_c / s.groups;
  const int64_t first = o / (s.out_c / s.groups) * channels;
  const Weights packed = weights(args.weight);
  const int8_t* weight = packed.values + o * taps_of(s) * channels;
  int32_t sum = 0;
  for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
    for (int64_t kx = 0; kx < s.kernel_w; ++kx, weight += channels) {
      const int64_t y = oy * s.stride_h + ky * s.dilation_h, x = ox * s.stride_w + kx * s.dilation_w;
      const uint8_t* pixel = args.input + ((sample * s.in_h + y) * s.in_w + x) * s.in_c + first;
      for (int64_t c = 0; c < channels; ++c) sum += (pixel[c] - packed.zero_point) * weight[c];
    }
  }
  return sum;
}

bool fits(const ConvShape&) { return true; }

size_t pack_bytes(const ConvShape& s) {
  return sizeof(int32_t) + static_cast<size_t>(s.out_c * taps_of(s) * (s.in_c / s.groups));
}

void pack(const ConvShape& s, int32_t zero_point, const int8_t* weight, void* packed) {
  std::memcpy(packed, &zero_point, sizeof(int32_t));
  std::memcpy(static_cast<int8_t*>(packed) + sizeof(int32_t), weight, pack_bytes(s) - sizeof(int32_t));
}

void run(const Int8ConvArgs& args, int64_t begin, int64_t end) {
  const ConvShape& s = args.shape;
  for (int64_t row = begin; row < end; ++row) {
    for (int64_t ox = 0; ox < s.out_w; ++ox) {
      for (int64_t o = 0; o < s.out_c; ++o) {
        const int64_t index = (row * s.out_w + ox) * s.out_c + o;
        const int32_t sum = dot(args, row / s.out_h, row % s.out_h, ox, o);
        args.output[index] = epilogue(args.epilogue, static_cast<float>(sum), o, index);
      }
    }
  }
}

}  // namespace

constexpr Int8ConvKernel int8_conv = {"reference", false, fits, pack_bytes, pack, rows_of, run};

}  // namespace onebit::reference
