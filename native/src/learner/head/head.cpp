#include "learner/head/head.h"

#include <algorithm>
#include <cmath>

namespace onebit::learner {

Factor Numbers::score_factor(int32_t span) const {
  constexpr double log2e = 1.4426950408889634;
  const double unit = static_cast<double>(quantizer.step) * log2e * (52.0 / (50.0 * kLevels));
  return Factor::from(std::ldexp(unit, -fraction)).times(static_cast<uint32_t>(span));
}

void Numbers::quantize(const float* sample, int16_t* levels) const {
  for (uint32_t i = 0; i < features; ++i) levels[i] = quantizer(sample[i]);
  if (bias) levels[features] = bias_level();
}

WeightQuantizer quantize_weights(const HeadKernels& kernels, const int16_t* masters, size_t rows, size_t width,
                                 int16_t* weights) {
  const auto classes = static_cast<int64_t>(rows), levels = static_cast<int64_t>(width);
  const HeadRange range = kernels.range(masters, classes * levels);
  const auto q = WeightQuantizer::from_range(range.low, range.high);
  if (q.span) {
    kernels.quantize({masters, classes, levels, q.span, q.zero, weights});
  } else {
    std::fill_n(weights, classes * head_pitch(levels), int16_t{0});
  }
  return q;
}

Trainer::Trainer(const Numbers& numbers, const HeadKernels& kernels, size_t rows, size_t samples)
    : numbers_(numbers),
      kernels_(kernels),
      rows_(static_cast<int64_t>(rows)),
      width_(numbers.width()),
      pitch_(head_pitch(width_)),
      order_(samples),
      weight_rows_(rows) {
  const int64_t even = (rows_ + 1) / 2 * 2;
  std::fill_n(weights_.at_least(rows_ * pitch_), rows_ * pitch_, int16_t{0});
  for (int64_t k = 0; k < rows_; ++k) weight_rows_[static_cast<size_t>(k)] = weights_.data() + k * pitch_;
  packed_.at_least(std::max(kGroup, even) * pitch_);
  std::fill_n(scores_.at_least(rows_ * kGroup), rows_ * kGroup, 0);
  gradient_.at_least(rows_ * width_);
  errors_.at_least(rows_ * kGroup);
  std::fill_n(sample_errors_.at_least(kGroup * even), kGroup * even, int16_t{0});
}

void shuffle(std::vector<uint32_t>& order, Random& random) {
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(static_cast<uint32_t>(i))]);
}

void Trainer::begin(const int16_t* masters) {
  span_ = quantize_weights(kernels_, masters, static_cast<size_t>(rows_), static_cast<size_t>(width_), weights_.data())
              .span;
  factor_ = numbers_.score_factor(span_);
  std::fill_n(gradient_.data(), rows_ * width_, 0);
}

void Trainer::add(const int16_t* const* inputs, const uint32_t* targets, size_t count, int32_t* to_input) {
  for (size_t first = 0; first < count; first += kGroup) {
    const auto group = static_cast<int64_t>(std::min<size_t>(kGroup, count - first));
    add_group(inputs + first, targets + first, group);
    if (to_input) add_to_input(group, to_input + first * numbers_.features);
  }
}

void Trainer::add_group(const int16_t* const* inputs, const uint32_t* targets, int64_t count) {
  kernels_.scores({weights_.data(), rows_, width_, inputs, count, scores_.data(), kGroup});
  kernels_.errors({scores_.data(), rows_, count, factor_.mantissa, factor_.shift, targets, errors_.data()});
  kernels_.pack(inputs, count, width_, packed_.data());
  kernels_.product({errors_.data(), rows_, kGroup, packed_.data(), count, width_, gradient_.data(), width_});
}

void Trainer::add_to_input(int64_t count, int32_t* to_input) {
  const int64_t features = numbers_.features, even = (rows_ + 1) / 2 * 2;
  for (int64_t k = 0; k < rows_; ++k)
    for (int64_t s = 0; s < count; ++s) sample_errors_.data()[s * even + k] = errors_.data()[k * kGroup + s];
  kernels_.pack(weight_rows_.data(), rows_, features, packed_.data());
  std::fill_n(to_input, count * features, 0);
  kernels_.product({sample_errors_.data(), count, even, packed_.data(), rows_, features, to_input, features});
}

void Trainer::update(int16_t* masters, uint32_t count, double learning_rate, Random& random) {
  const Factor rate =
      Factor::from(
          std::ldexp(learning_rate * static_cast<double>(numbers_.quantizer.step) * (2.0 / kLevels), numbers_.fraction))
          .over(count);
  const int64_t max = int64_t{128} * kLevels * count;  // the largest error times the largest level, of each sample
  kernels_.update({gradient_.data(), rows_ * width_, max, rate.mantissa, rate.shift, random.next(), masters});
}

void Trainer::train(int16_t* masters, const int16_t* inputs, const uint32_t* targets, const TrainOptions& options,
                    Random& random) {
  for (size_t i = 0; i < order_.size(); ++i) order_[i] = static_cast<uint32_t>(i);
  const int16_t* group[kGroup];
  uint32_t group_targets[kGroup];
  size_t first = 0;
  for (uint32_t step = 0; step < options.steps; ++step) {
    if (first == 0) shuffle(order_, random);
    const size_t last = std::min(order_.size(), first + options.batch);
    begin(masters);
    for (size_t i = first; i < last;) {
      size_t count = 0;
      for (; i < last && count < kGroup; ++i, ++count) {
        group[count] = inputs + order_[i] * numbers_.width();
        group_targets[count] = targets[order_[i]];
      }
      add(group, group_targets, count);
    }
    update(masters, static_cast<uint32_t>(last - first), options.learning_rate, random);
    first = last == order_.size() ? 0 : last;
  }
}

}  // namespace onebit::learner
