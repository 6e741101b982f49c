#pragma once

#include "kernels/shape.h"

namespace onebit {
namespace {

template <class Isa>
void binarize_rows(const BinarizeArgs& args, int64_t begin, int64_t end) {
  uint32_t* output = args.output + begin * args.pixels_per_row * words_of(args.channels);
  for (int64_t pixel = begin * args.pixels_per_row; pixel < end * args.pixels_per_row; ++pixel) {
    const float* input = args.input + pixel * args.channels;
    for (int64_t c = 0; c < args.channels; c += 32) {
      *output++ = Isa::outside(input + c, args.interval + 2 * c, args.channels - c);
    }
  }
}

}  // namespace
}  // namespace onebit
