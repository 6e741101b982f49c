// The kernel that each convolution of a model takes from a table, and its weights as that kernel reads them.
#pragma once

#include <vector>

#include "base/pages.h"
#include "format/model.h"
#include "kernels/kernels.h"

namespace onebit {

struct PackedWeights {
  struct Layer {
    uint64_t offset;          // the weights' place, if the node has any
    int32_t kernel;           // a convolution's: its place in the table's list
    const char* kernel_name;  // for other nodes the table's
  };

  PackedWeights(const Model& model, const Kernels& kernels);

  Pages memory;
  std::vector<Layer> layers;  // one per node
  uint64_t bytes = 0;
};

// The shape that an int8 convolution of `node` has once its input is padded.
ConvShape padded_shape(const Model& model, const Node& node, int32_t batch);

}  // namespace onebit
