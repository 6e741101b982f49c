// All weights of a model, rearranged for one table of kernels.
#pragma once

#include <vector>

#include "format/model.h"
#include "format/pages.h"
#include "kernels/kernels.h"

namespace onebit {

struct PackedWeights {
  PackedWeights(const Model& model, const Kernels& kernels);

  Pages memory;
  std::vector<uint64_t> offsets;  // one a node; of one without weights it means nothing
  uint64_t bytes = 0;
};

// The shape that an int8 convolution of `node` has once its input is padded.
ConvShape padded_shape(const Model& model, const Node& node, int32_t batch);

}  // namespace onebit
