// Pools with channels in lanes. The part of a window inside the image is found once a pixel.
#pragma once

#include "kernels/vector/binarize.h"
#include "kernels/vector/simd.h"

namespace onebit {
namespace {

// Positions [y0, y1) x [x0, x1) of the image, and how many the window has with its padding.
struct PoolWindow {
  PoolWindow(const PoolArgs& args, int64_t oy, int64_t ox) {
    const int64_t top = oy * args.stride_h - args.pad_top, left = ox * args.stride_w - args.pad_left;
    const int64_t bottom = top + args.kernel_h, right = left + args.kernel_w;
    y0 = top > 0 ? top : 0;
    x0 = left > 0 ? left : 0;
    y1 = bottom < args.in_h ? bottom : args.in_h;
    x1 = right < args.in_w ? right : args.in_w;
    const int64_t padded_h = args.in_h + args.pad_bottom, padded_w = args.in_w + args.pad_right;
    padded_count = ((bottom < padded_h ? bottom : padded_h) - top) * ((right < padded_w ? right : padded_w) - left);
  }
  int64_t count() const { return (y1 - y0) * (x1 - x0); }
  int64_t y0, y1, x0, x1, padded_count;
};

template <class Isa, class Reduce>
void pool_rows(const PoolArgs& args, int64_t begin, int64_t end, Reduce reduce) {
  for (int64_t row = begin; row < end; ++row) {
    const float* image = args.input + row / args.out_h * args.in_h * args.in_w * args.channels;
    for (int64_t ox = 0; ox < args.out_w; ++ox) {
      const PoolWindow window(args, row % args.out_h, ox);
      float* output = args.output + (row * args.out_w + ox) * args.channels;
      for (int64_t c = 0; c < args.channels; c += Isa::kLanes) {
        const int64_t count = args.channels - c;
        store(output + c, reduce(args, window, image + c, count), count);
      }
      if (args.bits.words) binarize_pixel<Isa>(output, args.bits, row * args.out_w + ox, args.channels);
    }
  }
}

// Of equal values (+0 and -0) the first in the order ky, kx stays. Inputs hold no NaN.
template <class Isa>
void max_pool_rows(const PoolArgs& args, int64_t begin, int64_t end) {
  using F = Float<Isa::kLanes>;
  pool_rows<Isa>(args, begin, end, [](const PoolArgs& a, const PoolWindow& window, const float* image, int64_t count) {
    F best = load<F>(image + (window.y0 * a.in_w + window.x0) * a.channels, count);
    for (int64_t y = window.y0; y < window.y1; ++y) {
      for (int64_t x = window.x0; x < window.x1; ++x) {
        const F value = load<F>(image + (y * a.in_w + x) * a.channels, count);
        best = value > best ? value : best;
      }
    }
    return best;
  });
}

template <class Isa>
void average_pool_rows(const PoolArgs& args, int64_t begin, int64_t end) {
  using F = Float<Isa::kLanes>;
  pool_rows<Isa>(args, begin, end, [](const PoolArgs& a, const PoolWindow& window, const float* image, int64_t count) {
    F sum = {};
    for (int64_t y = window.y0; y < window.y1; ++y) {
      for (int64_t x = window.x0; x < window.x1; ++x) sum = sum + load<F>(image + (y * a.in_w + x) * a.channels, count);
    }
    const int64_t divisor = a.count_padding ? window.padded_count : window.count();
    // A power of two has an exact reciprocal, and the product then rounds as the quotient does.
    if ((divisor & (divisor - 1)) == 0) return sum * (1.0f / static_cast<float>(divisor));
    return sum / static_cast<float>(divisor);
  });
}

}  // namespace
}  // namespace onebit
