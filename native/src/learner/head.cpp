#include "learner/head.h"

#include <algorithm>
#include <cmath>

#include "learner/softmax.h"

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

void head_scores(const int16_t* weights, size_t rows, size_t width, const int16_t* input, int32_t* scores) {
  for (size_t k = 0; k < rows; ++k) {
    const int16_t* row = weights + k * width;
    int32_t sum = 0;
    for (size_t i = 0; i < width; ++i) sum += int32_t{row[i]} * input[i];
    scores[k] = sum;
  }
}

Trainer::Trainer(const Numbers& numbers, size_t rows, size_t samples)
    : numbers_(numbers),
      rows_(rows),
      order_(samples),
      weights_(rows * numbers.width()),
      scores_(rows),
      powers_(rows),
      gradient_(rows * numbers.width()) {}

void shuffle(std::vector<uint32_t>& order, Random& random) {
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(static_cast<uint32_t>(i))]);
}

void Trainer::begin(const int16_t* masters) {
  span_ = quantize_weights(masters, weights_.size(), weights_.data()).span;
  factor_ = numbers_.score_factor(span_);
  std::fill(gradient_.begin(), gradient_.end(), 0);
}

void Trainer::add(const int16_t* input, uint32_t target, int32_t* to_input) {
  const size_t width = numbers_.width();
  head_scores(weights_.data(), rows_, width, input, scores_.data());
  const int64_t sum = softmax_powers(scores_.data(), rows_, factor_, powers_.data());
  if (to_input) std::fill_n(to_input, numbers_.features, 0);
  for (size_t k = 0; k < rows_; ++k) {
    const int64_t p = round_div(kLevels * powers_[k], sum);
    const auto error = static_cast<int32_t>(clamp<-128, 127>(round_shift(p - (k == target ? kLevels : 0), 1)));
    if (error == 0) continue;
    int32_t* gradient = gradient_.data() + k * width;
    for (size_t i = 0; i < width; ++i) gradient[i] += error * input[i];
    if (!to_input) continue;
    const int16_t* weights = weights_.data() + k * width;
    for (size_t i = 0; i < numbers_.features; ++i) to_input[i] += error * weights[i];
  }
}

void Trainer::update(int16_t* masters, uint32_t count, double learning_rate, Random& random) {
  const Factor rate =
      Factor::from(
          std::ldexp(learning_rate * static_cast<double>(numbers_.quantizer.step) * (2.0 / kLevels), numbers_.fraction))
          .over(count);
  const uint32_t key = random.next();
  for (size_t i = 0; i < gradient_.size(); ++i) {
    if (gradient_[i] == 0) continue;
    const int64_t step = (multiply(gradient_[i], rate, 16) + noise16(key, static_cast<uint32_t>(i))) >> 16;
    masters[i] = saturate16(masters[i] - step);
  }
}

void Trainer::train(int16_t* masters, const int16_t* inputs, const uint32_t* targets, const TrainOptions& options,
                    Random& random) {
  const size_t width = numbers_.width();
  for (size_t i = 0; i < order_.size(); ++i) order_[i] = static_cast<uint32_t>(i);
  size_t first = 0;
  for (uint32_t step = 0; step < options.steps; ++step) {
    if (first == 0) shuffle(order_, random);
    const size_t last = std::min(order_.size(), first + options.batch);
    begin(masters);
    for (size_t i = first; i < last; ++i) add(inputs + order_[i] * width, targets[order_[i]]);
    update(masters, static_cast<uint32_t>(last - first), options.learning_rate, random);
    first = last == order_.size() ? 0 : last;
  }
}

}  // namespace onebit::learner
