// The gradient of a convolution's ±1 input: levels by signs, a convolution over the output's gradient.
#pragma once

#include "base/scratch.h"
#include "gradient/grid.h"

namespace onebit {

class InputGradient {
 public:
  // The inputs of a phase in both axes, and some of their channels.
  struct Part {
    Phase y, x;
    int64_t first, channels;
    ConvShape shape;               // over the levels
    const Int8ConvKernel* kernel;  // null where no output reads these inputs
    int64_t packed;                // where its weights begin

    int64_t pixels() const { return y.count * x.count; }  // per sample
  };

  explicit InputGradient(const TrainingKernels& kernels) : kernels_(kernels) {}

  // Packs the weights, sign bits [out_c][kernel_h][kernel_w][words]. Throws std::bad_alloc.
  void prepare(const ConvShape& s, const GradientAxis& y, const GradientAxis& x, const uint32_t* weight,
               ThreadPool& pool, int threads);

  // Sets the shift of the sums for each class of border pixels.
  void set_grid(const Grid& grid);

  const std::vector<Part>& parts() const { return parts_; }

  // Sums over the taps of levels by signs, integers, [samples][y.count][x.count][channels], of samples whose levels
  // [y.size][x.size][out_c] begin at `levels`; kInt8Slack bytes behind them are read.
  void product(const Part& part, const uint8_t* levels, int64_t samples, float* sums) const;

  // Writes a part's share of `output` for samples from `first` on, and takes the estimator's derivative at `input`;
  // both are [batch][in_h][in_w][in_c].
  void finish(const Part& part, const float* sums, int64_t first, int64_t samples, const float* input,
              Estimator estimator, float* output) const;

  // The shifts of an input pixel, whose gradient is scale * (sum - shift[c]) + shift[in_c + c].
  const float* shift(int64_t y, int64_t x) const {
    return row_shifts(y) + 2 * s_.in_c * column_class_[static_cast<size_t>(x)];
  }

 private:
  void plan(const GradientAxis& y, const GradientAxis& x);
  void pack(const Part& part, const uint32_t* weight, int8_t* signs);
  const float* row_shifts(int64_t y) const {  // per class of columns
    const auto columns = static_cast<int64_t>(column_taps_.size());
    return borders_.data() + 2 * s_.in_c * columns * row_class_[static_cast<size_t>(y)];
  }

  const TrainingKernels& kernels_;
  std::vector<Part> parts_;
  ConvShape s_ = {};
  Grid grid_ = {};
  int64_t lead_y_ = 0, lead_x_ = 0, row_bytes_ = 0, pixel_bytes_ = 0;  // where the levels lie
  std::vector<int32_t> row_class_, column_class_;
  std::vector<uint64_t> row_taps_, column_taps_;  // per class
  Scratch<uint8_t> packed_;
  Scratch<int8_t> signs_;
  Scratch<float> borders_;
  Scratch<int32_t> tap_sums_;
};

}  // namespace onebit
