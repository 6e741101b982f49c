#include "integer/quantizer.h"

#include <algorithm>
#include <cmath>

namespace onebit::integer {

FeatureQuantizer FeatureQuantizer::from_range(float low, float high) {
  low = std::min(low, 0.0f);
  high = std::max(high, 0.0f);
  FeatureQuantizer q;
  q.step = (high - low) / static_cast<float>(kLevels);
  if (valid_step(q.step)) q.zero = static_cast<int32_t>(std::nearbyint(-low / q.step));  // else there is no such level
  return q;
}

int16_t FeatureQuantizer::operator()(float value) const {
  // Clipped as a float first: a conversion out of the integer's range would be undefined.
  const float level = std::nearbyint(value / step) + static_cast<float>(zero);
  const float clipped = std::min(std::max(level, 0.0f), static_cast<float>(kLevels));
  return static_cast<int16_t>(static_cast<int32_t>(clipped) - zero);
}

WeightQuantizer WeightQuantizer::from_range(int32_t low, int32_t high) {
  low = std::min(low, 0);
  high = std::max(high, 0);
  WeightQuantizer q;
  q.span = high - low;
  if (q.span)
    q.zero = static_cast<int32_t>(round_div(int64_t{kLevels} * (q.span - 50 * int64_t{low}), int64_t{52} * q.span));
  return q;
}

}  // namespace onebit::integer
