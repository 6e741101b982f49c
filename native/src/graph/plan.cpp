#include "graph/plan.h"

#include <algorithm>

#include "error.h"
#include "graph/arena.h"

namespace onebit {
namespace {

// Pairs of an output position and a tap along one side that meet inside the image.
uint64_t taps_inside(uint32_t side, uint32_t out, int32_t kernel, int32_t stride, int32_t dilation, int32_t pad) {
  uint64_t count = 0;
  for (int64_t tap = 0; tap < kernel; ++tap) {
    // The output positions o with 0 <= o * stride + tap * dilation - pad < side.
    const int64_t shift = tap * dilation - pad;
    const int64_t first = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
    const int64_t reach = int64_t{side} - 1 - shift;
    const int64_t last = reach < 0 ? -1 : std::min<int64_t>(reach / stride, int64_t{out} - 1);
    if (last >= first) count += static_cast<uint64_t>(last - first + 1);
  }
  return count;
}

}  // namespace

ConvShape conv_shape(const Model& model, const Node& node, int32_t batch) {
  const Value& in = model.values[node.input];
  const Value& out = model.values[node.output];
  const auto side = [](uint32_t value) { return static_cast<int32_t>(value); };
  return {batch,         side(in.h),      side(in.w),      side(in.c),    side(out.h),   side(out.w),
          side(out.c),   node.kernel_h,   node.kernel_w,   node.stride_h, node.stride_w, node.pad_top,
          node.pad_left, node.dilation_h, node.dilation_w, node.groups};
}

ConvShape padded_shape(const Model& model, const Node& node, int32_t batch) {
  ConvShape shape = conv_shape(model, node, batch);
  shape.in_h += node.pad_top + node.pad_bottom;
  shape.in_w += node.pad_left + node.pad_right;
  shape.pad_top = shape.pad_left = 0;
  return shape;
}

uint64_t operations(const Model& model, const Node& node) {
  if (!node.has_weight()) return 0;
  const Value& in = model.values[node.input];
  const Value& out = model.values[node.output];
  const uint64_t rows = taps_inside(in.h, out.h, node.kernel_h, node.stride_h, node.dilation_h, node.pad_top);
  const uint64_t columns = taps_inside(in.w, out.w, node.kernel_w, node.stride_w, node.dilation_w, node.pad_left);
  return rows * columns * (in.c / static_cast<uint32_t>(node.groups)) * out.c;
}

PackedWeights::PackedWeights(const Model& model, const Kernels& kernels) : offsets(model.nodes.size(), Plan::nowhere) {
  for (size_t i = 0; i < model.nodes.size(); ++i) {
    const Node& node = model.nodes[i];
    if (!node.has_weight()) continue;
    const ConvShape shape = conv_shape(model, node, 1);
    const uint64_t size = node.op == Op::conv_float  ? kernels.float_conv_pack_bytes(shape)
                          : node.op == Op::conv_int8 ? kernels.int8_conv_pack_bytes(padded_shape(model, node, 1))
                                                     : kernels.binary_conv_pack_bytes(shape);
    offsets[i] = bytes;
    bytes += (size + kAlignment - 1) / kAlignment * kAlignment;
  }
  memory = allocate_aligned(bytes);
  for (size_t i = 0; i < model.nodes.size(); ++i) {
    const Node& node = model.nodes[i];
    if (!node.has_weight()) continue;
    const ConvShape shape = conv_shape(model, node, 1);
    void* packed = memory.get() + offsets[i];
    if (node.op == Op::conv_float) {
      kernels.float_conv_pack(shape, node.weight->floats(), packed);
    } else if (node.op == Op::conv_int8) {
      kernels.int8_conv_pack(padded_shape(model, node, 1), node.zero_point, node.weight->bytes8(), packed);
    } else {
      kernels.binary_conv_pack(shape, node.weight->words(), packed);
    }
  }
}

Plan::Plan(std::shared_ptr<const Model> model, const Kernels& kernels, std::shared_ptr<const PackedWeights> weights,
           int32_t batch, const std::vector<std::string>& outputs)
    : model(std::move(model)), kernels(kernels), weights(std::move(weights)), batch(batch) {
  if (batch < 1 || batch > kMaxBatch)
    throw Error(ONEBIT_INVALID_ARGUMENT, text("batch ", batch, " is outside 1 to ", kMaxBatch));
  choose_outputs(outputs);
  choose_steps();
  place_values();
}

void Plan::choose_outputs(const std::vector<std::string>& names) {
  const auto& all = model->outputs;
  if (names.empty())
    for (uint32_t i = 0; i < all.size(); ++i) outputs.push_back(i);
  for (const std::string& name : names) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const Output& output) { return output.name == name; });
    if (found == all.end()) {
      std::string have;
      for (const Output& output : all) have += (have.empty() ? "" : ", ") + output.name;
      throw Error(ONEBIT_INVALID_ARGUMENT, text("the model has no output ", quoted(name)), "its outputs: " + have);
    }
    outputs.push_back(static_cast<uint32_t>(found - all.begin()));
  }
}

void Plan::choose_steps() {
  std::vector<bool> needed(model->values.size(), false);
  for (const uint32_t output : outputs) needed[model->outputs[output].value] = true;
  for (auto i = static_cast<uint32_t>(model->nodes.size()); i-- > 0;) {
    const Node& node = model->nodes[i];
    if (!needed[node.output]) continue;
    needed[node.input] = true;
    if (node.residual != Node::none) needed[node.residual] = true;
    steps.push_back(i);
  }
  std::reverse(steps.begin(), steps.end());
}

void Plan::place_values() {
  std::vector<uint32_t> last(model->values.size(), 0);
  for (uint32_t step = 0; step < steps.size(); ++step) {
    const Node& node = model->nodes[steps[step]];
    last[node.output] = step;
    last[node.input] = step;
    if (node.residual != Node::none) last[node.residual] = step;
  }
  for (const uint32_t output : outputs) last[model->outputs[output].value] = static_cast<uint32_t>(steps.size());

  std::vector<Lifetime> lifetimes;
  for (uint32_t step = 0; step < steps.size(); ++step) {
    const uint32_t value = model->nodes[steps[step]].output;
    lifetimes.push_back({model->values[value].bytes() * static_cast<uint64_t>(batch), step, last[value]});
  }
  const Arena arena = place(lifetimes);
  arena_bytes = arena.bytes;
  offsets.assign(model->values.size(), nowhere);
  for (uint32_t step = 0; step < steps.size(); ++step) offsets[model->nodes[steps[step]].output] = arena.offsets[step];
}

}  // namespace onebit
