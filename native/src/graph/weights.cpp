#include "graph/weights.h"

#include "graph/operations.h"

namespace onebit {
namespace {

size_t packed_bytes(const Model& model, const Node& node, const Kernels& kernels) {
  switch (node.op) {
    case Op::conv_float: return kernels.float_conv_pack_bytes(conv_shape(model, node, 1));
    case Op::conv_binary: return kernels.binary_conv_pack_bytes(conv_shape(model, node, 1));
    case Op::conv_int8: return kernels.int8_conv_pack_bytes(padded_shape(model, node, 1));
    default: return 0;
  }
}

void pack(const Model& model, const Node& node, const Kernels& kernels, void* packed) {
  switch (node.op) {
    case Op::conv_float: return kernels.float_conv_pack(conv_shape(model, node, 1), node.weight->floats(), packed);
    case Op::conv_binary: return kernels.binary_conv_pack(conv_shape(model, node, 1), node.weight->words(), packed);
    case Op::conv_int8:
      return kernels.int8_conv_pack(padded_shape(model, node, 1), node.zero_point, node.weight->bytes8(), packed);
    default: return;
  }
}

}  // namespace

PackedWeights::PackedWeights(const Model& model, const Kernels& kernels) {
  for (const Node& node : model.nodes) {
    offsets.push_back(bytes);
    bytes += (packed_bytes(model, node, kernels) + kAlignment - 1) / kAlignment * kAlignment;
  }
  memory = allocate_pages(bytes);
  for (size_t i = 0; i < model.nodes.size(); ++i) pack(model, model.nodes[i], kernels, memory.get() + offsets[i]);
}

ConvShape padded_shape(const Model& model, const Node& node, int32_t batch) {
  ConvShape shape = conv_shape(model, node, batch);
  shape.in_h += node.pad_top + node.pad_bottom;
  shape.in_w += node.pad_left + node.pad_right;
  shape.pad_top = shape.pad_left = 0;
  return shape;
}

}  // namespace onebit
