#pragma once

#include "kernels/vector/epilogue.h"

namespace onebit {
namespace {

template <int N>
void pointwise_rows(const PointwiseArgs& args, int64_t begin, int64_t end) {
  for (int64_t pixel = begin * args.pixels_per_row; pixel < end * args.pixels_per_row; ++pixel) {
    for (int64_t c = 0; c < args.channels; c += N) {
      const int64_t index = pixel * args.channels + c, count = args.channels - c;
      Float<N> y[1] = {load<Float<N>>(args.input + index, count)};
      finish<N>(args.epilogue, y, c, index, 0, count, args.output);
    }
  }
}

}  // namespace
}  // namespace onebit
