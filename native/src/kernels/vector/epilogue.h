// The epilogue of docs/file-format.md on N neighbouring channels of P pixels.
#pragma once

#include "kernels/kernels.h"
#include "kernels/vector/simd.h"

// In the loops that end a tile. Left to itself, the compiler inlines by how much a file grows, so that each further
// kernel in a file would slow the others.
#ifdef __OPTIMIZE_SIZE__
#define ONEBIT_INLINE inline
#else
#define ONEBIT_INLINE [[gnu::always_inline]] inline
#endif

namespace onebit {
namespace {

// `index` is the first value's place in the output (and the residual), pixels are `stride` apart; `count` of the N are
// real. A NaN passes through every activation.
template <int N, int P>
ONEBIT_INLINE void epilogue(const Epilogue& e, Float<N> (&y)[P], int64_t channel, int64_t index, int64_t stride,
                            int64_t count) {
  using F = Float<N>;
  const F zero = {};
  const F one = zero + 1.0f;
  if (e.scale) {
    const F scale = load<F>(e.scale + channel, count);
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) y[p] = y[p] * scale;
  }
  if (e.bias) {
    const F bias = load<F>(e.bias + channel, count);
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) y[p] = y[p] + bias;
  }
  if (e.residual) {
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) y[p] = y[p] + load<F>(e.residual + index + p * stride, count);
  }
  if (e.activation == Activation::relu) {
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) y[p] = y[p] < zero ? zero : y[p];
  } else if (e.activation == Activation::hardtanh) {
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) {
      y[p] = y[p] < -one ? -one : y[p];
      y[p] = y[p] > one ? one : y[p];
    }
  } else if (e.activation == Activation::prelu) {
    const F slope = load<F>(e.slope + channel, count);
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) y[p] = y[p] < zero ? y[p] * slope : y[p];
  }
  if (e.post) {
    const F post = load<F>(e.post + channel, count);
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) y[p] = y[p] + post;
  }
}

// The same, and the values written to `output`.
template <int N, int P>
ONEBIT_INLINE void finish(const Epilogue& e, Float<N> (&y)[P], int64_t channel, int64_t index, int64_t stride,
                          int64_t count, float* output) {
  epilogue<N, P>(e, y, channel, index, stride, count);
#pragma GCC unroll 16
  for (int p = 0; p < P; ++p) store(output + index + p * stride, y[p], count);
}

}  // namespace
}  // namespace onebit

#undef ONEBIT_INLINE
