#include "training/weight_gradient.h"

#include <cstring>

#include "kernels/shape.h"

namespace onebit {

void WeightGradient::run(const ConvShape& s, const GradientAxis& y, const GradientAxis& x, const GridGradient& gradient,
                         const uint32_t* bits, float* output, Pool& pool) {
  args_.blocks = (s.batch + kSamples - 1) / kSamples;
  args_.out_h = s.out_h, args_.out_w = s.out_w, args_.out_c = s.out_c + 1;
  args_.in_h = (s.out_h - 1) * s.stride_h + s.kernel_h, args_.in_w = (s.out_w - 1) * s.stride_w + s.kernel_w;
  args_.in_c = s.in_c;
  args_.kernel_h = s.kernel_h, args_.kernel_w = s.kernel_w;
  args_.stride_h = s.stride_h, args_.stride_w = s.stride_w;
  args_.sums = sums_.at_least(args_.out_c * s.in_c * taps_of(s));
  spread_gradient(s, y, x, gradient.levels(), pool);
  spread_input(s, bits, pool);
  pool.split((args_.out_c + 1) / 2,
             [&](int64_t begin, int64_t end, size_t) { kernels_.weight_gradient(args_, begin, end); });
  finish(s, gradient.grid(), output, pool);
}

void WeightGradient::spread_gradient(const ConvShape& s, const GradientAxis& y, const GradientAxis& x,
                                     const uint8_t* levels, Pool& pool) {
  const int64_t plane = plane_bytes(s.out_h, s.out_w), image = y.size * x.size * s.out_c;
  uint8_t* to = gradient_.at_least(args_.blocks * args_.out_c * plane);
  args_.gradient = to;
  pool.split(args_.blocks * s.out_h, [&](int64_t begin, int64_t end, size_t) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t block = row / s.out_h, oy = row % s.out_h, samples = std::min(kSamples, s.batch - block * kSamples);
      const uint8_t* from = levels + block * kSamples * image + ((y.lead + oy) * x.size + x.lead) * s.out_c;
      uint8_t* first = to + block * args_.out_c * plane + oy * s.out_w * kSamples;
      uint8_t* ones = first + s.out_c * plane;
      for (int64_t ox = 0; ox < s.out_w; ++ox) {
        kernels_.gather(from + ox * s.out_c, image, samples, s.out_c, first + ox * kSamples, plane);
        std::memset(ones + ox * kSamples, 0, static_cast<size_t>(kSamples));
        std::memset(ones + ox * kSamples, 1, static_cast<size_t>(samples));
      }
    }
  });
}

// Samples beyond the batch are of no matter: their gradient is 0.
void WeightGradient::spread_input(const ConvShape& s, const uint32_t* bits, Pool& pool) {
  const int64_t plane = plane_bytes(args_.in_h, args_.in_w), words = words_of(s.in_c);
  const int64_t image = int64_t{s.in_h} * s.in_w * words;
  int8_t* to = input_.at_least(args_.blocks * s.in_c * plane);
  args_.input = to;
  pool.split(args_.blocks * args_.in_h, [&](int64_t begin, int64_t end, size_t) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t block = row / args_.in_h, y = row % args_.in_h - s.pad_top;
      const int64_t samples = std::min(kSamples, s.batch - block * kSamples);
      for (int64_t column = 0; column < args_.in_w; ++column) {
        const int64_t x = column - s.pad_left;
        int8_t* pixel = to + block * s.in_c * plane + (row % args_.in_h * args_.in_w + column) * kSamples;
        if (!inside(y, x, s.in_h, s.in_w)) {
          for (int64_t c = 0; c < s.in_c; ++c) std::memset(pixel + c * plane, 0, static_cast<size_t>(kSamples));
          continue;
        }
        const uint32_t* from = bits + block * kSamples * image + (y * s.in_w + x) * words;
        for (int64_t w = 0; w < words; ++w) {
          uint32_t word[kSamples] = {};
          for (int64_t n = 0; n < samples; ++n) word[n] = from[n * image + w];
          kernels_.expand(word, std::min<int64_t>(32, s.in_c - 32 * w), pixel + 32 * w * plane, plane);
        }
      }
    }
  });
}

// In double: both terms are large where the gradient is small.
void WeightGradient::finish(const ConvShape& s, const Grid& grid, float* output, Pool& pool) const {
  const int64_t taps = taps_of(s), size = taps * s.in_c;
  const int32_t* ones = sums_.data() + s.out_c * size;
  const double scale = static_cast<double>(grid.scale), minimum = static_cast<double>(grid.minimum);
  pool.split(s.out_c, [&](int64_t begin, int64_t end, size_t) {
    for (int64_t o = begin; o < end; ++o) {
      const int32_t* sums = sums_.data() + o * size;
      float* to = output + o * size;
      for (int64_t tap = 0; tap < taps; ++tap) {
        for (int64_t c = 0; c < s.in_c; ++c) {
          const int64_t i = c * taps + tap;
          to[tap * s.in_c + c] = static_cast<float>(scale * sums[i] + minimum * ones[i]);
        }
      }
    }
  });
}

}  // namespace onebit
