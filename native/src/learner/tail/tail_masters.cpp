// The first masters and items of a tail, from the file.
#include "kernels/shape.h"
#include "learner/tail/read_model.h"

namespace onebit::learner {
namespace {

// The nodes of the file that the layers stand for, in order.
std::vector<const Node*> layer_nodes(const Model& model) {
  auto nodes = tail_nodes(model, output_of(model, "latents"), output_of(model, "features"));
  nodes.erase(std::remove_if(nodes.begin(), nodes.end(), [](const Node* node) { return node->op == Op::binarize; }),
              nodes.end());
  return nodes;
}

}  // namespace

TailMasters first_masters(const Model& model, const Tail& tail) {
  TailMasters masters;
  masters.weights.reserve(static_cast<size_t>(tail.weights));
  masters.parameters.reserve(static_cast<size_t>(tail.parameters));
  masters.reals.reserve(static_cast<size_t>(tail.reals));
  const auto nodes = layer_nodes(model);
  const auto& latents = entry<std::vector<uint32_t>>(model, "tail.latent");
  size_t convolutions = 0;
  for (size_t i = 0; i < tail.layers.size(); ++i) {
    const TailLayer& layer = tail.layers[i];
    if (!layer.trained()) continue;
    const Node& node = *nodes[i];
    const TailValue& out = tail.values[i + 1];
    if (layer.op == Op::conv_binary) {
      const Tensor& latent = model.tensors[latents[convolutions++]];
      if (latent.dims != node.weight->dims)
        refuse_tail("the latent weights of ", quoted(node.name), " have another shape");
      const int64_t rows = latent.bytes / latent.dims[3], words = words_of(latent.dims[3]);
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t c = 0; c < latent.dims[3]; ++c) {
          const bool negative = node.weight->words()[row * words + c / 32] >> (c % 32) & 1u;
          const int8_t weight = latent.bytes8()[row * latent.dims[3] + c];
          if (negative != (weight < 0)) refuse_tail("the latent weights of ", quoted(node.name), " have other signs");
          masters.weights.push_back(weight);
        }
      }
    }
    if (layer.op == Op::conv_float) {
      for (int64_t j = 0; j < layer.weight_count(); ++j) {
        const double levels = static_cast<double>(node.weight->floats()[j]) / layer.level;
        masters.reals.push_back(static_cast<int16_t>(fixed(std::ldexp(levels, kRealParts))));
      }
    }
    const auto add = [&](const Tensor* tensor, double absent, const auto& scaled) {
      for (int32_t c = 0; c < out.c; ++c)
        masters.parameters.push_back(fixed(scaled(tensor ? static_cast<double>(tensor->floats()[c]) : absent)));
    };
    add(node.scale, 1, [&](double scale) { return std::ldexp(scale * layer.source / out.step(), layer.fraction()); });
    add(node.bias, 0, [&](double bias) { return bias / out.step() * 65536; });
    add(node.slope, 0, [](double slope) { return slope * 65536; });
    add(node.post, 0, [&](double post) { return post / out.step() * 65536; });
  }
  return masters;
}

TailItems first_items(const Model& model, const Tail& tail) {
  TailItems items;
  const auto* replay = model.entry<std::vector<uint32_t>>("tail.replay");
  if (!replay) return items;
  const Tensor& bits = model.tensors[replay->front()];
  const TailValue& latents = tail.latents();
  const auto side = [](int32_t v) { return static_cast<uint32_t>(v); };
  if (bits.dims[1] != side(latents.h) || bits.dims[2] != side(latents.w) || bits.dims[3] != side(latents.c))
    refuse_tail("the items of META tail.replay have another shape than the latents");
  items.count = bits.dims[0];
  items.bits = bits.words();
  items.labels.assign(replay->begin() + 1, replay->end());
  return items;
}

}  // namespace onebit::learner
