// The epilogue of docs/file-format.md on N neighbouring channels.
#pragma once

#include "kernels/kernels.h"
#include "kernels/vector/simd.h"

namespace onebit {
namespace {

// `index` is the first value's place in the output (and the residual); of the N values `count` are real.
template <int N>
inline Float<N> epilogue(const Epilogue& e, Float<N> y, int64_t channel, int64_t index, int64_t count) {
  using F = Float<N>;
  if (e.scale) y = y * load<F>(e.scale + channel, count);
  if (e.bias) y = y + load<F>(e.bias + channel, count);
  if (e.residual) y = y + load<F>(e.residual + index, count);
  const F zero = {};
  const F one = zero + 1.0f;
  switch (e.activation) {
    case Activation::none: break;
    case Activation::relu: y = y < zero ? zero : y; break;
    case Activation::hardtanh:
      y = y < -one ? -one : y;
      y = y > one ? one : y;
      break;
    case Activation::prelu: y = y < zero ? y * load<F>(e.slope + channel, count) : y; break;
  }
  if (e.post) y = y + load<F>(e.post + channel, count);
  return y;
}

}  // namespace
}  // namespace onebit
