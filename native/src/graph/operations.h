// A node's shape and the size of its work.
#pragma once

#include "format/model.h"

namespace onebit {

// The shape of a convolution as the file states it; of other operators the sides, the kernel and the strides.
ConvShape conv_shape(const Model& model, const Node& node, int32_t batch);

// Multiply-accumulates of a node for one sample; taps outside the image are left out. 0 without weights.
uint64_t operations(const Model& model, const Node& node);

}  // namespace onebit
