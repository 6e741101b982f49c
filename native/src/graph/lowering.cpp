#include "graph/lowering.h"

#include <algorithm>

#include "graph/arena.h"
#include "graph/operations.h"

namespace onebit {
namespace {

// Bytes of a second-level cache that a row block of a convolution may take.
constexpr int64_t kRowBlockBytes = 448 * 1024;

class Lowering {
 public:
  Lowering(const std::vector<Group>& groups, Plan& plan)
      : groups_(groups),
        plan_(plan),
        model_(*plan.model),
        last_(model_.values.size(), 0),
        storage_(model_.values.size(), nowhere) {}

  void run() {
    find_last_uses();
    for (time_ = 0; time_ < groups_.size(); ++time_) emit(groups_[time_]);
    const Arena arena = place(lifetimes_);
    plan_.arena_bytes = arena.bytes;
    for (Step& step : plan_.steps)
      for (Address* address : {&step.input, &step.residual, &step.output, &step.bits})
        if (address->base == Base::arena) address->offset = arena.offsets[address->offset];
    for (const uint32_t output : plan_.outputs) {
      Address address = value_address(model_.outputs[output].value);
      if (address.base == Base::arena) address.offset = arena.offsets[address.offset];
      plan_.output_values.push_back(address);
    }
  }

 private:
  static constexpr uint32_t nowhere = 0xFFFFFFFFu;

  // A group is one moment: the values that its nodes read live until its end.
  void find_last_uses() {
    for (uint32_t time = 0; time < groups_.size(); ++time) {
      const Group& group = groups_[time];
      for (const uint32_t index : {group.node, group.pool, group.binarize}) {
        if (index == Node::none) continue;
        const Node& node = model_.nodes[index];
        for (const uint32_t value : {node.input, node.residual, node.output})
          if (value != Node::none) last_[value] = time;
      }
    }
    for (const uint32_t output : plan_.outputs)
      last_[model_.outputs[output].value] = static_cast<uint32_t>(groups_.size());
  }

  void emit(const Group& group) {
    const Node& node = model_.nodes[group.node];
    Step step = describe(group.node);
    if (node.op == Op::conv_int8) step.input = emit_quantize(group.node);
    if (group.pool != Node::none) {
      Step pool = describe(group.pool);
      step.block_rows = block_rows(node, pool);
      step.output = pool.input = {Base::scratch, 0, 0};
      plan_.steps.push_back(step);
      step = pool;
    }
    const uint32_t last = group.pool == Node::none ? group.node : group.pool;
    write_output(model_.nodes[last], step);
    if (group.binarize != Node::none) {
      const Node& binarize = model_.nodes[group.binarize];
      step.bits = new_value(binarize.output);
      step.bits_interval = constant(binarize.interval);
    }
    plan_.steps.push_back(step);
  }

  // Everything except the places of the outputs.
  Step describe(uint32_t index) const {
    const Node& node = model_.nodes[index];
    Step step = {};
    step.kind = kind(node.op);
    step.node = index;
    step.shape = node.op == Op::conv_int8 ? padded_shape(model_, node, 1) : conv_shape(model_, node, 1);
    step.pad_bottom = node.pad_bottom, step.pad_right = node.pad_right;
    step.activation = node.activation;
    step.pad_value = node.pad_value;
    step.count_padding = node.count_padding ? 1 : 0;
    step.channels_before = static_cast<int32_t>(node.channels_before);
    step.input = value_address(node.input);
    if (node.residual != Node::none) step.residual = value_address(node.residual);
    if (node.has_weight()) step.weight = {Base::weights, 0, plan_.weights->layers[index].offset};
    step.kernel = plan_.weights->layers[index].kernel;
    step.scale = constant(node.scale), step.bias = constant(node.bias);
    step.slope = constant(node.slope), step.post = constant(node.post);
    step.interval = constant(node.interval);
    return step;
  }

  Address emit_quantize(uint32_t index) {
    const Node& node = model_.nodes[index];
    Step step = {};
    step.kind = StepKind::quantize;
    step.node = index;
    step.shape = conv_shape(model_, node, 1);
    step.pad_bottom = node.pad_bottom, step.pad_right = node.pad_right;
    const ConvShape padded = padded_shape(model_, node, 1);
    step.shape.out_h = padded.in_h;
    step.zero_point = node.zero_point;
    step.multiplier = node.multiplier->floats()[0];
    step.input = value_address(node.input);
    const auto bytes = static_cast<uint64_t>(padded.in_h) * static_cast<uint64_t>(padded.in_w) *
                           static_cast<uint64_t>(padded.in_c) * static_cast<uint64_t>(plan_.batch) +
                       kInt8Slack;
    step.output = {Base::arena, 0, lifetimes_.size()};
    lifetimes_.push_back({bytes, time_, time_});
    plan_.steps.push_back(step);
    return step.output;
  }

  // Rows of the pool in a block. A block's convolution stays in a cache, and every thread has some blocks.
  int32_t block_rows(const Node& conv, const Step& pool) {
    const Value& value = model_.values[conv.output];
    const auto row_bytes = static_cast<int64_t>(4 * uint64_t{value.w} * value.c);
    int32_t rows = plan_.threads == 1 ? pool.shape.out_h : std::max(1, pool.shape.out_h / (4 * plan_.threads));
    while (rows > 1 && block_conv_rows(pool, rows) * row_bytes > kRowBlockBytes) --rows;
    const auto bytes = static_cast<uint64_t>(block_conv_rows(pool, rows) * row_bytes);
    plan_.scratch_bytes = std::max(plan_.scratch_bytes, (bytes + kAlignment - 1) / kAlignment * kAlignment);
    return rows;
  }

  void write_output(const Node& node, Step& step) {
    if (node.op == Op::binarize || model_.values[node.output].type == ValueType::bits) {
      step.bits = new_value(node.output);
    } else if (may_overwrite(node)) {
      storage_[node.output] = storage_[node.residual];
      Lifetime& lifetime = lifetimes_[storage_[node.output]];
      lifetime.last = std::max(lifetime.last, last_[node.output]);
      step.output = value_address(node.output);
    } else {
      step.output = new_value(node.output);
    }
  }

  // Every element of the residual is read right before the output's element is written; if nobody reads it later, the
  // output takes its place.
  bool may_overwrite(const Node& node) const {
    return node.residual != Node::none && node.residual != node.input && storage_[node.residual] != nowhere &&
           last_[node.residual] == time_;
  }

  // Arena addresses hold the number of the lifetime until the arena is known.
  Address new_value(uint32_t value) {
    storage_[value] = static_cast<uint32_t>(lifetimes_.size());
    lifetimes_.push_back({model_.values[value].bytes() * static_cast<uint64_t>(plan_.batch), time_, last_[value]});
    return value_address(value);
  }

  Address value_address(uint32_t value) const {
    if (value == model_.input) return {Base::input, 0, 0};
    return {Base::arena, 0, storage_[value]};
  }

  Address constant(const Tensor* tensor) const {
    if (tensor == nullptr) return {};
    const auto* data = static_cast<const uint8_t*>(tensor->data);
    return {Base::file, 0, static_cast<uint64_t>(data - model_.bytes.data())};
  }

  static StepKind kind(Op op) {
    switch (op) {
      case Op::conv_float: return StepKind::float_conv;
      case Op::conv_binary: return StepKind::binary_conv;
      case Op::conv_int8: return StepKind::int8_conv;
      case Op::binarize: return StepKind::binarize;
      case Op::pointwise: return StepKind::pointwise;
      case Op::max_pool: return StepKind::max_pool;
      case Op::average_pool: return StepKind::average_pool;
      case Op::pad_channels: return StepKind::pad_channels;
    }
    return StepKind::pointwise;
  }

  const std::vector<Group>& groups_;
  Plan& plan_;
  const Model& model_;
  std::vector<uint32_t> last_;     // the moment at which a value is read for the last time
  std::vector<uint32_t> storage_;  // a value's lifetime
  std::vector<Lifetime> lifetimes_;
  uint32_t time_ = 0;
};

}  // namespace

void lower(const std::vector<Group>& groups, Plan& plan) { Lowering(groups, plan).run(); }

}  // namespace onebit
