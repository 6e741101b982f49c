#pragma once

#include "kernels/shape.h"

namespace onebit {
namespace {

template <class Isa>
void binarize_pixel(const float* values, const Bits& bits, int64_t pixel, int64_t channels) {
  uint32_t* words = bits.words + pixel * words_of(channels);
  for (int64_t c = 0; c < channels; c += 32) *words++ = Isa::outside(values + c, bits.interval + 2 * c, channels - c);
}

template <class Isa>
void binarize_rows(const BinarizeArgs& args, int64_t begin, int64_t end) {
  for (int64_t pixel = begin * args.pixels_per_row; pixel < end * args.pixels_per_row; ++pixel) {
    binarize_pixel<Isa>(args.input + pixel * args.channels, {args.output, args.interval}, pixel, args.channels);
  }
}

}  // namespace
}  // namespace onebit
