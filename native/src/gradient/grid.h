// The gradient of a convolution's output on a grid of at most 256 levels: g = minimum + q * scale.
#pragma once

#include "base/thread_pool.h"
#include "gradient/phases.h"
#include "kernels/kernels.h"
#include "kernels/training.h"

namespace onebit {

struct Rounding {
  int32_t levels;  // the highest q, at most 255
  uint32_t seed;   // seeds the noise that rounds
};

// g = scale * (q - zero) + rest with a level `zero` next to 0, so that sums of g near 0 are sums of small integers. All
// are NaN where the gradient is not finite.
struct Grid {
  float minimum, scale, zero, rest;
};

Grid grid_of(const Range& range, int32_t levels);

// Both products take a chunk of samples while its levels are in the cache: as many as have about 1024 output pixels.
// A function of the shape without its batch.
inline int64_t chunk_samples(const ConvShape& s) {
  const int64_t samples = 1024 / (int64_t{s.out_h} * s.out_w);
  return std::clamp<int64_t>(samples, 1, 16);
}

class GridGradient {
 public:
  explicit GridGradient(const TrainingKernels& kernels) : kernels_(kernels) {}

  // Takes the range of `gradient`, [batch][out_h][out_w][out_c].
  void measure(const ConvShape& s, const float* gradient, const Rounding& rounding, ThreadPool& pool, int threads);

  const Grid& grid() const { return grid_; }

  // The levels of samples [begin, end), [samples][y.size][x.size][out_c], with zeros around each image as the axes ask.
  void quantize(const ConvShape& s, const GradientAxis& y, const GradientAxis& x, const float* gradient,
                const Rounding& rounding, int64_t begin, int64_t end, uint8_t* levels) const;

 private:
  const TrainingKernels& kernels_;
  Grid grid_ = {};
  std::vector<Range> ranges_;  // per thread, over its share
};

}  // namespace onebit
