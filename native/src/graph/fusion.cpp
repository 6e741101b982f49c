#include "graph/fusion.h"

#include <algorithm>

namespace onebit {
namespace {

class Fusion {
 public:
  Fusion(const Model& model, const std::vector<uint32_t>& outputs)
      : model_(model), needed_(model.nodes.size(), false), readers_(model.values.size()), wanted_(model.values.size()) {
    std::vector<bool> read(model.values.size(), false);
    for (const uint32_t output : outputs)
      read[model.outputs[output].value] = wanted_[model.outputs[output].value] = true;
    for (auto i = static_cast<uint32_t>(model.nodes.size()); i-- > 0;) {
      const Node& node = model.nodes[i];
      if (!read[node.output]) continue;
      needed_[i] = true;
      for (const uint32_t value : {node.input, node.residual}) {
        if (value == Node::none) continue;
        read[value] = true;
        readers_[value].insert(readers_[value].begin(), i);  // in the order in which they run
      }
    }
  }

  std::vector<Group> groups() {
    std::vector<Group> groups;
    for (uint32_t i = 0; i < model_.nodes.size(); ++i) {
      if (!needed_[i]) continue;
      Group group{i};
      needed_[i] = false;
      group.pool = take_pool(i);
      group.binarize = take_binarize(group.pool == Node::none ? i : group.pool);
      groups.push_back(group);
    }
    return groups;
  }

 private:
  static bool is_pool(Op op) { return op == Op::max_pool || op == Op::average_pool; }

  uint32_t take_pool(uint32_t index) {
    const Node& node = model_.nodes[index];
    const bool conv = node.op == Op::conv_float || node.op == Op::conv_int8;
    const auto& readers = readers_[node.output];
    if (!conv || node.residual != Node::none || wanted_[node.output] || readers.size() != 1) return Node::none;
    // A pool that overlaps much would have much computed twice, and one over the whole image is a single row block.
    const Node& pool = model_.nodes[readers[0]];
    if (!is_pool(pool.op) || pool.kernel_h > 2 * pool.stride_h || model_.values[pool.output].h < 2) return Node::none;
    needed_[readers[0]] = false;
    return readers[0];
  }

  uint32_t take_binarize(uint32_t index) {
    const Node& node = model_.nodes[index];
    const bool writes_bits = node.op == Op::conv_binary || node.op == Op::pointwise || is_pool(node.op);
    if (!writes_bits || model_.values[node.output].type != ValueType::f32) return Node::none;
    for (const uint32_t reader : readers_[node.output]) {
      if (model_.nodes[reader].op != Op::binarize) continue;
      needed_[reader] = false;
      return reader;
    }
    return Node::none;
  }

  const Model& model_;
  std::vector<bool> needed_;
  std::vector<std::vector<uint32_t>> readers_;
  std::vector<bool> wanted_;
};

}  // namespace

std::vector<Group> fuse(const Model& model, const std::vector<uint32_t>& outputs) {
  return Fusion(model, outputs).groups();
}

}  // namespace onebit
