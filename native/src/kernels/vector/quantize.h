// Floats to bytes, with the padding of a convolution around them.
#pragma once

#include "kernels/kernels.h"
#include "kernels/vector/simd.h"

namespace onebit {
namespace {

// rint in vectors: the floats from 2^23 to 2^24 are the integers, so adding 1.5 * 2^23 rounds halves to even, and the
// sum's lowest byte is the integer's.
template <int N>
struct Quantizer {
  using F = Float<N>;
  using U = typename Vector<N>::Unsigned;
  typedef uint8_t Bytes __attribute__((vector_size(N)));

  explicit Quantizer(const QuantizeArgs& args)
      : multiplier(F{} + args.multiplier),
        least(F{} + static_cast<float>(-args.zero_point)),
        most(F{} + static_cast<float>(255 - args.zero_point)),
        zero_point(U{} + static_cast<uint32_t>(args.zero_point)) {}

  Bytes operator()(F x) const {
    F q = x * multiplier;
    q = q > least ? q : least;  // NaN becomes the least
    q = q < most ? q : most;
    const F shifted = q + 12582912.0f;
    U bits;
    std::memcpy(&bits, &shifted, sizeof(bits));
    return __builtin_convertvector(bits + zero_point, Bytes);
  }

  F multiplier, least, most;
  U zero_point;
};

template <int N>
void quantize_rows(const QuantizeArgs& args, int64_t begin, int64_t end) {
  const Quantizer<N> quantizer(args);
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
    for (int64_t i = 0; i < values; i += N)
      store(output + left + i, quantizer(load<Float<N>>(input + i, values - i)), values - i);
    std::memset(output + left + values, args.zero_point, static_cast<size_t>(right));
  }
}

}  // namespace
}  // namespace onebit
