#include "kernels/reference/tables.h"
#include "kernels/shape.h"

namespace onebit::reference {

void binarize(const BinarizeArgs& args, int64_t begin, int64_t end) {
  for (int64_t pixel = begin * args.pixels_per_row; pixel < end * args.pixels_per_row; ++pixel) {
    const float* input = args.input + pixel * args.channels;
    uint32_t* output = args.output + pixel * words_of(args.channels);
    for (int64_t c = 0; c < args.channels; ++c) {
      if (c % 32 == 0) output[c / 32] = 0;
      const bool plus = args.interval[2 * c] <= input[c] && input[c] <= args.interval[2 * c + 1];
      output[c / 32] |= static_cast<uint32_t>(!plus) << (c % 32);
    }
  }
}

}  // namespace onebit::reference
