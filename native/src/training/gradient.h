// The gradient of a convolution's output on a grid of at most 256 levels: g = minimum + q * scale.
#pragma once

#include "graph/pool.h"
#include "kernels/kernels.h"
#include "kernels/training.h"
#include "training/phases.h"
#include "training/scratch.h"

namespace onebit {

struct Rounding {
  int32_t levels;  // the highest q, at most 255
  uint32_t seed;   // of the noise that rounds
};

// g = scale * (q - zero) + rest with a level `zero` next to 0, so that sums of g near 0 are sums of small integers. All
// are NaN where the gradient is not finite.
struct Grid {
  float minimum, scale, zero, rest;
};

class GridGradient {
 public:
  explicit GridGradient(const TrainingKernels& kernels) : kernels_(kernels) {}

  // Over the range of `gradient`, [batch][out_h][out_w][out_c]; zeros around each image, as the axes ask.
  void quantize(const ConvShape& s, const GradientAxis& y, const GradientAxis& x, const float* gradient,
                const Rounding& rounding, Pool& pool, int threads);

  const Grid& grid() const { return grid_; }
  const uint8_t* levels() const { return levels_.data(); }  // [batch][y.size][x.size][out_c], and kInt8Slack

 private:
  const TrainingKernels& kernels_;
  Grid grid_ = {};
  Scratch<uint8_t> levels_;
  std::vector<Range> ranges_;  // of each thread's share
};

}  // namespace onebit
