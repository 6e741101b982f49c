// Which nodes run, and which run together.
#pragma once

#include <vector>

#include "format/model.h"

namespace onebit {

// Some nodes that pass over their output once.
struct Group {
  uint32_t node;                   // a convolution, a pool, a pointwise ...
  uint32_t pool = Node::none;      // the pool that alone reads the node's output: both run in row blocks
  uint32_t binarize = Node::none;  // a binarize of what the group makes: its bits are written beside the floats
};

// The groups that the wanted outputs need (indices into the model's), in an order in which they can run.
std::vector<Group> fuse(const Model& model, const std::vector<uint32_t>& outputs);

}  // namespace onebit
