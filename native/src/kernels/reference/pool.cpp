#include "kernels/reference/epilogue.h"
#include "kernels/reference/tables.h"
#include "kernels/shape.h"

namespace onebit::reference {
namespace {

void finish(const PoolArgs& args, int64_t pixel, int64_t channel, float y) {
  args.output[pixel * args.channels + channel] = y;
  if (args.bits.words) set_bit(args.bits, pixel, args.channels, channel, y);
}

}  // namespace

// Among equal values (+0 and -0) the first in the order ky, kx stays. Inputs hold no NaN.
void max_pool(const PoolArgs& args, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const int64_t sample = row / args.out_h, oy = row % args.out_h;
    for (int64_t ox = 0; ox < args.out_w; ++ox) {
      for (int64_t c = 0; c < args.channels; ++c) {
        bool found = false;
        float best = 0.0f;
        for (int64_t ky = 0; ky < args.kernel_h; ++ky) {
          for (int64_t kx = 0; kx < args.kernel_w; ++kx) {
            const int64_t y = oy * args.stride_h - args.pad_top + ky, x = ox * args.stride_w - args.pad_left + kx;
            if (!inside(y, x, args.in_h, args.in_w)) continue;
            const float value = args.input[((sample * args.in_h + y) * args.in_w + x) * args.channels + c];
            if (!found || value > best) best = value;
            found = true;
          }
        }
        finish(args, row * args.out_w + ox, c, best);
      }
    }
  }
}

void average_pool(const PoolArgs& args, int64_t begin, int64_t end) {
  const int64_t bottom = args.in_h + args.pad_bottom, right = args.in_w + args.pad_right;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t sample = row / args.out_h, oy = row % args.out_h;
    for (int64_t ox = 0; ox < args.out_w; ++ox) {
      for (int64_t c = 0; c < args.channels; ++c) {
        float sum = 0.0f;
        int64_t count = 0;
        for (int64_t ky = 0; ky < args.kernel_h; ++ky) {
          for (int64_t kx = 0; kx < args.kernel_w; ++kx) {
            const int64_t y = oy * args.stride_h - args.pad_top + ky, x = ox * args.stride_w - args.pad_left + kx;
            const bool real = inside(y, x, args.in_h, args.in_w);
            if (real) sum = sum + args.input[((sample * args.in_h + y) * args.in_w + x) * args.channels + c];
            if (real || (args.count_padding && y < bottom && x < right)) ++count;
          }
        }
        finish(args, row * args.out_w + ox, c, sum / static_cast<float>(count));
      }
    }
  }
}

}  // namespace onebit::reference
