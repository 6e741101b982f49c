// The learner's two quantisers: uniform, asymmetric, per tensor, with zero on the grid, so that a zero feature and a
// zero weight contribute exactly nothing.
//
//   step = (max - min) / (2^q_f - 1), zero = round(-min / step),   range widened to hold 0
//   Q(v) = clip(round(v / step) + zero, 0, 2^q_f - 1) - zero,      v^ = step * Q(v)
//
// Vorabbi et al. (arXiv 2308.15308) put min, not zero, on the grid; the difference is below half a step of the range's
// place.
#pragma once

#include <cstddef>
#include <cstdint>

#include "integer/fixed.h"

namespace onebit::integer {

constexpr int32_t kLevels = 255;  // 2^q_f - 1, q_f = 8

// Features: floats to integers in [-255, 255], with a calibrated range. This is the one place where the learner reads
// floats.
struct FeatureQuantizer {
  float step = 1;
  int32_t zero = 0;

  static FeatureQuantizer from_range(float low, float high);
  int16_t operator()(float value) const;
};

// Steps outside this range cannot come from a real network; inside it no product of steps leaves double's range.
inline bool valid_step(float step) { return step > 1e-30f && step < 1e30f; }

// Weights: int16 masters (in units of 2^-f) to integers in [-255, 255]. The range is the tensor's own, widened by 2 %
// of itself on each side: with r = max - min it is [min - r / 50, max + r / 50], so the step is 52 r / (50 * 255)
// units.
struct WeightQuantizer {
  int32_t span = 0;  // r
  int32_t zero = 0;

  static WeightQuantizer from_range(int32_t low, int32_t high);
  int16_t operator()(int16_t value) const {
    const int64_t level = clamp<0, kLevels>(round_div(int64_t{50 * kLevels} * value, int64_t{52} * span) + zero);
    return static_cast<int16_t>(level - zero);
  }
};

}  // namespace onebit::integer
