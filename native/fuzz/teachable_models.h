// Small models with a teachable tail, for fuzzers to change.
#pragma once

#include "../tests/support/tail_file.h"
#include "choices.h"

namespace onebit::fuzz {

constexpr size_t kTeachableModels = 4;

// One of kTeachableModels: a convolution with a residual, a pointwise operator and a pool, each time wider.
inline test::Buffer teachable_model(size_t number) {
  const auto width = static_cast<uint32_t>(3 + 10 * number);
  test::Random random(static_cast<uint32_t>(number));
  test::TailFile file(random, 2, 3, width, 2);
  uint32_t value = file.values().back();
  value = file.conv(value, width, {3, 3}, {1, 1, 1, 1}, {true, true, true, Activation::prelu, value});
  value = file.pointwise(value, {true, true, false, Activation::hardtanh, value});
  value = file.conv(value, width + 1, {1, 2}, {0, 0, 0, 0}, {});
  file.pool(value);
  return file.finish(2);
}

// Writes over some runs of bytes, as the choices say, most of them near the start.
inline void patch(std::vector<uint8_t>& bytes, Choices& choices) {
  while (choices.any_left() && !bytes.empty()) {
    size_t at = choices.below(256);
    if (choices.one_in(2)) at = 256 * at + choices.below(256);
    at %= bytes.size();
    for (uint32_t count = 1 + choices.below(8); count > 0 && at < bytes.size(); --count, ++at)
      bytes[at] = static_cast<uint8_t>(choices.below(256));
  }
}

}  // namespace onebit::fuzz
