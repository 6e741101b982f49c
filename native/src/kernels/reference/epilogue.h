// The epilogue of docs/file-format.md on one value.
#pragma once

#include "kernels/kernels.h"

namespace onebit::reference {

// `index` is the value's place in the output (and the residual). A NaN passes through every activation.
inline float epilogue(const Epilogue& e, float y, int64_t channel, int64_t index) {
  if (e.scale) y = y * e.scale[channel];
  if (e.bias) y = y + e.bias[channel];
  if (e.residual) y = y + e.residual[index];
  switch (e.activation) {
    case Activation::none:
      break;
    case Activation::relu:
      y = y < 0.0f ? 0.0f : y;
      break;
    case Activation::hardtanh:
      y = y < -1.0f ? -1.0f : y > 1.0f ? 1.0f : y;
      break;
    case Activation::prelu:
      y = y < 0.0f ? y * e.slope[channel] : y;
      break;
  }
  if (e.post) y = y + e.post[channel];
  return y;
}

}  // namespace onebit::reference
