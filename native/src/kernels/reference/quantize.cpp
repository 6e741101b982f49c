#include <cmath>

#include "kernels/reference/tables.h"
#include "kernels/shape.h"

namespace onebit::reference {

void quantize(const QuantizeArgs& args, int64_t begin, int64_t end) {
  const int64_t padded_h = int64_t{args.pad_top} + args.in_h + args.pad_bottom;
  const int64_t padded_w = int64_t{args.pad_left} + args.in_w + args.pad_right;
  const auto minimum = static_cast<float>(-args.zero_point), maximum = static_cast<float>(255 - args.zero_point);
  for (int64_t row = begin; row < end; ++row) {
    const int64_t sample = row / padded_h, y = row % padded_h - args.pad_top;
    for (int64_t column = 0; column < padded_w; ++column) {
      const int64_t x = column - args.pad_left;
      uint8_t* output = args.output + (row * padded_w + column) * args.channels;
      for (int64_t c = 0; c < args.channels; ++c) {
        float q = 0.0f;
        if (inside(y, x, args.in_h, args.in_w)) {
          q = args.input[((sample * args.in_h + y) * args.in_w + x) * args.channels + c] * args.multiplier;
          q = std::nearbyint(q > minimum ? q < maximum ? q : maximum : minimum);  // NaN becomes the minimum
        }
        output[c] = static_cast<uint8_t>(static_cast<int32_t>(q) + args.zero_point);
      }
    }
  }
}

}  // namespace onebit::reference
