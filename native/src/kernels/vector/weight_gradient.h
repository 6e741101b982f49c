// The loops around the product of the weights' gradient, which the instruction sets share. Isa::product<C, KH, KW> sums
// the taps from (ky, kx) on of C output channels and one input channel, over all pixels of a block of samples.
#pragma once

#include "kernels/training.h"

namespace onebit {
namespace {

// What a product reads: the planes of its channels.
struct Planes {
  const uint8_t* gradient;
  int64_t gradient_plane;  // from an output channel to the next
  const int8_t* input;     // at the tap (ky, kx)
};

template <class Isa>
class WeightGradient {
 public:
  static void run(const WeightGradientArgs& args, int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t o = 2 * unit;
      if (o + 1 < args.out_c) {
        channels<2>(args, o);
      } else {
        channels<1>(args, o);
      }
    }
  }

 private:
  template <int C>
  static void channels(const WeightGradientArgs& a, int64_t o) {
    const int64_t taps = a.kernel_h * a.kernel_w;
    int32_t* sums = a.sums + o * a.in_c * taps;
    for (int64_t i = 0; i < C * a.in_c * taps; ++i) sums[i] = 0;
    const int64_t gradient_plane = plane_bytes(a.out_h, a.out_w), input_plane = plane_bytes(a.in_h, a.in_w);
    for (int64_t block = 0; block < a.blocks; ++block) {
      const uint8_t* gradient = a.gradient + (block * a.out_c + o) * gradient_plane;
      for (int64_t c = 0; c < a.in_c; ++c) {
        const int8_t* input = a.input + (block * a.in_c + c) * input_plane;
        pair<C>(a, {gradient, gradient_plane, input}, sums + c * taps);
      }
    }
  }

  template <int C>
  static void pair(const WeightGradientArgs& a, const Planes& planes, int32_t* sums) {
    const int64_t step = a.in_c * a.kernel_h * a.kernel_w;
    if (a.kernel_h == 3 && a.kernel_w == 3) {
      int32_t taps[C][9];
      Isa::template product<C, 3, 3>(a, planes, taps);
      for (int c = 0; c < C; ++c)
        for (int t = 0; t < 9; ++t) sums[c * step + t] += taps[c][t];
      return;
    }
    for (int64_t ky = 0; ky < a.kernel_h; ++ky) {
      for (int64_t kx = 0; kx < a.kernel_w; ++kx, ++sums) {
        int32_t tap[C][1];
        Planes at = planes;
        at.input += (ky * a.in_w + kx) * kSamples;
        Isa::template product<C, 1, 1>(a, at, tap);
        for (int c = 0; c < C; ++c) sums[c * step] += tap[c][0];
      }
    }
  }
};

}  // namespace
}  // namespace onebit
