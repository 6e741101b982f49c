#include "graph/weights.h"

#include "graph/choice.h"
#include "graph/operations.h"

namespace onebit {
namespace {

ConvShape shape_of(const Model& model, const Node& node) {
  return node.op == Op::conv_int8 ? padded_shape(model, node, 1) : conv_shape(model, node, 1);
}

// The kernel of a convolution; its weights begin at `offset` and end where the offset returned is.
template <class Kernel>
uint64_t choose(const KernelList<Kernel>& list, const ConvShape& shape, uint64_t offset,
                std::vector<PackedWeights::Layer>& layers) {
  const int32_t index = choose_kernel(list, shape);
  layers.push_back({offset, index, list[index].name});
  return (offset + list[index].pack_bytes(shape) + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

PackedWeights::PackedWeights(const Model& model, const Kernels& kernels) {
  for (const Node& node : model.nodes) {
    const ConvShape shape = node.has_weight() ? shape_of(model, node) : ConvShape{};
    switch (node.op) {
      case Op::conv_float: bytes = choose(kernels.float_conv, shape, bytes, layers); break;
      case Op::conv_binary: bytes = choose(kernels.binary_conv, shape, bytes, layers); break;
      case Op::conv_int8: bytes = choose(kernels.int8_conv, shape, bytes, layers); break;
      default: layers.push_back({0, 0, kernels.name});
    }
  }
  memory = allocate_pages(bytes);
  for (size_t i = 0; i < model.nodes.size(); ++i) {
    const Node& node = model.nodes[i];
    const int32_t kernel = layers[i].kernel;
    void* to = memory.get() + layers[i].offset;
    switch (node.op) {
      case Op::conv_float: kernels.float_conv[kernel].pack(shape_of(model, node), node.weight->floats(), to); break;
      case Op::conv_binary: kernels.binary_conv[kernel].pack(shape_of(model, node), node.weight->words(), to); break;
      case Op::conv_int8:
        kernels.int8_conv[kernel].pack(shape_of(model, node), node.zero_point, node.weight->bytes8(), to);
        break;
      default: break;
    }
  }
}

ConvShape padded_shape(const Model& model, const Node& node, int32_t batch) {
  ConvShape shape = conv_shape(model, node, batch);
  shape.in_h += node.pad_top + node.pad_bottom;
  shape.in_w += node.pad_left + node.pad_right;
  shape.pad_top = shape.pad_left = 0;
  return shape;
}

}  // namespace onebit
