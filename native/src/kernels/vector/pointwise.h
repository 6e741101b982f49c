#pragma once

#include "kernels/vector/binarize.h"
#include "kernels/vector/epilogue.h"

namespace onebit {
namespace {

template <class Isa>
void pointwise_rows(const PointwiseArgs& args, int64_t begin, int64_t end) {
  constexpr int N = Isa::kLanes;
  for (int64_t pixel = begin * args.pixels_per_row; pixel < end * args.pixels_per_row; ++pixel) {
    for (int64_t c = 0; c < args.channels; c += N) {
      const int64_t index = pixel * args.channels + c, count = args.channels - c;
      Float<N> y[1] = {load<Float<N>>(args.input + index, count)};
      finish<N>(args.epilogue, y, c, index, 0, count, args.output);
    }
    if (args.bits.words) binarize_pixel<Isa>(args.output + pixel * args.channels, args.bits, pixel, args.channels);
  }
}

}  // namespace
}  // namespace onebit
