// Floats to bytes, with the padding of a convolution around them. The loop is left to the compiler, which vectorises
// it in each folder.
#pragma once

#include <cstring>

#include "kernels/kernels.h"

namespace onebit {
namespace {

// rint by addition: the floats from 2^23 to 2^24 are the integers, so adding 1.5 * 2^23 rounds halves to even, and the
// lowest byte of the sum's bits is the integer's.
inline void quantize_values(const float* __restrict input, int64_t count, float multiplier, int32_t zero_point,
                            uint8_t* __restrict output) {
  const auto minimum = static_cast<float>(-zero_point), maximum = static_cast<float>(255 - zero_point);
  for (int64_t i = 0; i < count; ++i) {
    float q = input[i] * multiplier;
    q = q > minimum ? q : minimum;  // NaN becomes the minimum
    q = q < maximum ? q : maximum;
    const float shifted = q + 12582912.0f;
    uint32_t bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    output[i] = static_cast<uint8_t>(bits + static_cast<uint32_t>(zero_point));
  }
}

inline void quantize_rows(const QuantizeArgs& args, int64_t begin, int64_t end) {
  const int64_t padded_h = int64_t{args.pad_top} + args.in_h + args.pad_bottom;
  const int64_t values = int64_t{args.in_w} * args.channels, left = int64_t{args.pad_left} * args.channels,
                right = int64_t{args.pad_right} * args.channels;
  uint8_t* output = args.output + begin * (left + values + right);
  for (int64_t row = begin; row < end; ++row, output += left + values + right) {
    const int64_t y = row % padded_h - args.pad_top;
    if (y < 0 || y >= args.in_h) {
      std::memset(output, args.zero_point, static_cast<size_t>(left + values + right));
      continue;
    }
    const float* input = args.input + (row / padded_h * args.in_h + y) * values;
    std::memset(output, args.zero_point, static_cast<size_t>(left));
    quantize_values(input, values, args.multiplier, args.zero_point, output + left);
    std::memset(output + left + values, args.zero_point, static_cast<size_t>(right));
  }
}

}  // namespace
}  // namespace onebit
