#include "learner/tail/read_model.h"

namespace onebit::learner {

uint32_t output_of(const Model& model, const char* name) {
  for (const Output& output : model.outputs)
    if (output.name == name) return output.value;
  refuse_tail("it has no output '", name, "'");
}

std::vector<const Node*> tail_nodes(const Model& model, uint32_t latents, uint32_t features) {
  std::vector<bool> depends(model.values.size()), needed(model.values.size());
  depends[latents] = needed[features] = true;
  const auto given = [](const Node& node, const std::vector<bool>& marked) {
    return marked[node.input] || (node.residual != Node::none && marked[node.residual]);
  };
  for (const Node& node : model.nodes)
    if (given(node, depends)) depends[node.output] = true;
  std::vector<const Node*> nodes;
  for (auto node = model.nodes.rbegin(); node != model.nodes.rend(); ++node) {
    if (!needed[node->output] || !depends[node->output] || node->output == latents) continue;
    nodes.push_back(&*node);
    for (const uint32_t input : {node->input, node->residual}) {
      if (input == Node::none) continue;
      if (!depends[input]) refuse_tail(quoted(node->name), " reads what comes from before the latents");
      needed[input] = true;
    }
  }
  std::reverse(nodes.begin(), nodes.end());
  return nodes;
}

double weight_level(const Tensor& weight) {
  constexpr double kLargestLevel = 96;
  float largest = 0;
  for (uint64_t i = 0; i < weight.bytes / sizeof(float); ++i)
    largest = std::max(largest, std::fabs(weight.floats()[i]));
  if (!valid_step(largest)) refuse_tail("the largest weight of a real-valued convolution is ", largest);
  return static_cast<double>(largest) / kLargestLevel;
}

}  // namespace onebit::learner
