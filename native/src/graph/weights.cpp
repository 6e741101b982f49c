#include "graph/weights.h"

#include "graph/operations.h"
#include "kernels/autotune.h"

namespace onebit {
namespace {

ConvShape shape_of(const Model& model, const Node& node) {
  return node.op == Op::conv_int8 ? padded_shape(model, node, 1) : conv_shape(model, node, 1);
}

template <class List>
void place(const List& list, int32_t kernel, const ConvShape& shape, PackedWeights& weights) {
  weights.layers.push_back({weights.bytes, kernel, list[kernel].name});
  weights.bytes = (weights.bytes + list[kernel].pack_bytes(shape) + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

PackedWeights::PackedWeights(const Model& model, const Kernels& kernels) {
  std::vector<KernelQuery> queries;
  for (const Node& node : model.nodes) {
    switch (node.op) {
      case Op::conv_float: queries.push_back({&kernels.float_conv, shape_of(model, node)}); break;
      case Op::conv_binary: queries.push_back({&kernels.binary_conv, shape_of(model, node)}); break;
      case Op::conv_int8: queries.push_back({&kernels.int8_conv, shape_of(model, node)}); break;
      default: break;
    }
  }
  const std::vector<int32_t> chosen = choose_kernels(queries);
  for (size_t i = 0, next = 0; i < model.nodes.size(); ++i) {
    if (!model.nodes[i].has_weight()) {
      layers.push_back({0, 0, kernels.name});
      continue;
    }
    const KernelQuery& query = queries[next];
    std::visit([&](const auto* list) { place(*list, chosen[next], query.shape, *this); }, query.list);
    ++next;
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
