// Pools with channels in lanes. The part of a window inside the image is found once per pixel.
#pragma once

#include "kernels/vector/binarize.h"
#include "kernels/vector/simd.h"

namespace onebit {
namespace {

// Positions [y0, y1) x [x0, x1) of the image, and their number in the window with its padding.
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

// Combines V vectors of neighbouring channels over a window, in the order ky, kx; `read` loads one of the image.
template <int V, class F, class Read, class Add>
[[gnu::always_inline]] inline void walk(const PoolArgs& args, const PoolWindow& window, const float* image,
                                        F (&result)[V], Read read, Add add) {
  constexpr int64_t lanes = sizeof(F) / sizeof(float);
  for (int64_t y = window.y0; y < window.y1; ++y) {
    const float* from = image + (y * args.in_w + window.x0) * args.channels;
    for (int64_t x = window.x0; x < window.x1; ++x, from += args.channels) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) result[v] = add(result[v], read(from + v * lanes));
    }
  }
}

// Among equal values (+0 and -0) the first stays. Inputs hold no NaN.
struct Maximum {
  template <int V, class F, class Read>
  static void reduce(const PoolArgs& args, const PoolWindow& window, const float* image, F (&best)[V], Read read) {
    constexpr int64_t lanes = sizeof(F) / sizeof(float);
    const float* first = image + (window.y0 * args.in_w + window.x0) * args.channels;
    for (int v = 0; v < V; ++v) best[v] = read(first + v * lanes);
    walk(args, window, image, best, read, [](F max, F value) { return value > max ? value : max; });
  }
};

struct Average {
  template <int V, class F, class Read>
  static void reduce(const PoolArgs& args, const PoolWindow& window, const float* image, F (&sum)[V], Read read) {
    for (int v = 0; v < V; ++v) sum[v] = F{};
    walk(args, window, image, sum, read, [](F total, F value) { return total + value; });
    const int64_t divisor = args.count_padding ? window.padded_count : window.count();
    const auto number = static_cast<float>(divisor);
    // A power of two has an exact reciprocal, and the product then rounds as the quotient does.
    const bool power = (divisor & (divisor - 1)) == 0;
    for (int v = 0; v < V; ++v) sum[v] = power ? sum[v] * (1.0f / number) : sum[v] / number;
  }
};

template <class Isa, class Pool>
void pool_rows(const PoolArgs& args, int64_t begin, int64_t end) {
  constexpr int64_t lanes = Isa::kLanes, together = 4;  // vectors
  using F = Float<Isa::kLanes>;
  for (int64_t row = begin; row < end; ++row) {
    const float* image = args.input + row / args.out_h * args.in_h * args.in_w * args.channels;
    for (int64_t ox = 0; ox < args.out_w; ++ox) {
      const PoolWindow window(args, row % args.out_h, ox);
      float* output = args.output + (row * args.out_w + ox) * args.channels;
      int64_t c = 0;
      for (; c + together * lanes <= args.channels; c += together * lanes) {
        F result[together];
        Pool::reduce(args, window, image + c, result, [](const float* from) { return load<F>(from); });
        std::memcpy(output + c, result, sizeof result);
      }
      for (; c < args.channels; c += lanes) {
        const int64_t count = args.channels - c;
        F result[1];
        Pool::reduce(args, window, image + c, result, [&](const float* from) { return load<F>(from, count); });
        store(output + c, result[0], count);
      }
      if (args.bits.words) binarize_pixel<Isa>(output, args.bits, row * args.out_w + ox, args.channels);
    }
  }
}

template <class Isa>
void max_pool_rows(const PoolArgs& args, int64_t begin, int64_t end) {
  pool_rows<Isa, Maximum>(args, begin, end);
}

template <class Isa>
void average_pool_rows(const PoolArgs& args, int64_t begin, int64_t end) {
  pool_rows<Isa, Average>(args, begin, end);
}

}  // namespace
}  // namespace onebit
