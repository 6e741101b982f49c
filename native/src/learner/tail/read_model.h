// What the two readers of a file's tail share (tail.cpp, tail_masters.cpp).
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/cursor.h"
#include "base/error.h"
#include "learner/tail/tail.h"

namespace onebit::learner {

template <class... Parts>
[[noreturn]] void refuse_tail(const Parts&... parts) {
  throw Error(ONEBIT_INVALID_ARGUMENT, text("the tail of this model cannot be trained: ", parts...),
              "export the model again with onebit, teachable");
}

template <class Type>
const Type& entry(const Model& model, const char* key) {
  const Type* found = model.entry<Type>(key);
  if (!found) refuse_tail("META ", key, " is absent");
  return *found;
}

inline int32_t fixed(double value, double limit = static_cast<double>(kMaxMaster)) {
  return static_cast<int32_t>(std::nearbyint(std::clamp(value, -limit, limit)));
}

// The number of an output of the file.
uint32_t output_of(const Model& model, const char* name);

// The nodes between `latents` and `features`, in order.
std::vector<const Node*> tail_nodes(const Model& model, uint32_t latents, uint32_t features);

// What a level of a real-valued convolution's weights stands for: the largest has kLargestLevel, so that weights may
// grow by a third.
double weight_level(const Tensor& weight);

}  // namespace onebit::learner
