// The epilogue of docs/file-format.md on one value.
#pragma once

#include "kernels/shape.h"

namespace onebit::reference {

// `index` is the value's place in the output (and the residual). A NaN passes through every activation.
inline float epilogue(const Epilogue& e, float y, int64_t channel, int64_t index) {
  if (e.scale) y = y * e.scale[channel];
  if (e.bias) y = y + e.bias[channel];
  if (e.residual) y = y + e.residual[index];
  switch (e.activation) {
    case Activation::none: break;
    case Activation::relu: y = y < 0.0f ? 0.0f : y; break;
    case Activation::hardtanh: y = y < -1.0f ? -1.0f : y > 1.0f ? 1.0f : y; break;
    case Activation::prelu: y = y < 0.0f ? y * e.slope[channel] : y; break;
  }
  if (e.post) y = y + e.post[channel];
  return y;
}

// Channels of a pixel come in ascending order.
inline void set_bit(const Bits& bits, int64_t pixel, int64_t channels, int64_t channel, float y) {
  uint32_t& word = bits.words[pixel * words_of(channels) + channel / 32];
  if (channel % 32 == 0) word = 0;
  const bool plus = bits.interval[2 * channel] <= y && y <= bits.interval[2 * channel + 1];
  word |= static_cast<uint32_t>(!plus) << (channel % 32);
}

}  // namespace onebit::reference
