#include "kernels/reference/epilogue.h"
#include "kernels/reference/tables.h"

namespace onebit::reference {

void pointwise(const PointwiseArgs& args, int64_t begin, int64_t end) {
  for (int64_t pixel = begin * args.pixels_per_row; pixel < end * args.pixels_per_row; ++pixel) {
    for (int64_t c = 0; c < args.channels; ++c) {
      const int64_t index = pixel * args.channels + c;
      args.output[index] = epilogue(args.epilogue, args.input[index], c, index);
      if (args.bits.words) set_bit(args.bits, pixel, args.channels, c, args.output[index]);
    }
  }
}

}  // namespace onebit::reference
