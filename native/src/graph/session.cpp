#include "graph/session.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "error.h"

namespace onebit {
namespace {

// Nanoseconds of a layer below which waking the other threads costs more than they save.
constexpr uint64_t kWorthSplitting = 10000;

// A layer's nanoseconds on a fast core, roughly: what kWorthSplitting is compared with, and nothing else.
uint64_t work_of(const Model& model, const Node& node) {
  const uint64_t elements = model.values[node.input].elements() + model.values[node.output].elements();
  const uint64_t products = operations(model, node);
  return elements / 16 + (node.op == Op::conv_binary ? products / 512 : products / 32);
}

void pad_channels(const float* input, int64_t pixels, int64_t in_c, int64_t out_c, int64_t before,
                  float* output) noexcept {
  std::memset(output, 0, static_cast<size_t>(pixels * out_c) * sizeof(float));
  for (int64_t i = 0; i < pixels; ++i)
    std::memcpy(output + i * out_c + before, input + i * in_c, static_cast<size_t>(in_c) * sizeof(float));
}

// Of the largest input of a conv_int8 with its padding.
size_t int8_bytes(const Plan& plan) {
  size_t most = 0;
  for (const uint32_t step : plan.steps) {
    const Node& node = plan.model->nodes[step];
    if (node.op != Op::conv_int8) continue;
    const ConvShape s = padded_shape(*plan.model, node, plan.batch);
    most = std::max(most, static_cast<size_t>(s.batch) * static_cast<size_t>(s.in_h) * static_cast<size_t>(s.in_w) *
                                  static_cast<size_t>(s.in_c) +
                              kInt8Slack);
  }
  return most;
}

int checked_threads(int threads) {
  if (threads < 1 || threads > kMaxThreads)
    throw Error(ONEBIT_INVALID_ARGUMENT, text(threads, " threads, outside 1 to ", kMaxThreads));
  return threads;
}

}  // namespace

Session::Session(std::shared_ptr<const Plan> plan, int threads)
    : plan_(std::move(plan)),
      pool_(checked_threads(threads)),
      arena_(allocate_aligned(plan_->arena_bytes)),
      bytes_(allocate_aligned(int8_bytes(*plan_))),
      pointers_(plan_->model->values.size(), nullptr),
      times_(plan_->model->nodes.size(), 0) {
  for (size_t value = 0; value < pointers_.size(); ++value)
    if (plan_->offsets[value] != Plan::nowhere) pointers_[value] = arena_.get() + plan_->offsets[value];
  for (const Node& node : plan_->model->nodes) work_.push_back(work_of(*plan_->model, node));
}

void Session::run(const float* input, int32_t count, float* const* outputs) noexcept {
  using Clock = std::chrono::steady_clock;
  const Model& model = *plan_->model;
  pointers_[model.input] = input;
  auto before = Clock::now();
  for (const uint32_t step : plan_->steps) {
    run_node(model.nodes[step], step, count);
    const auto after = Clock::now();
    times_[step] = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(after - before).count());
    before = after;
  }
  for (size_t i = 0; i < plan_->outputs.size(); ++i) {
    const uint32_t value = model.outputs[plan_->outputs[i]].value;
    std::memcpy(outputs[i], pointers_[value], model.values[value].bytes() * static_cast<uint64_t>(count));
  }
}

template <class Args, class Kernel>
void Session::split(int64_t rows, uint64_t work, const Args& args, Kernel kernel) noexcept {
  if (work < kWorthSplitting) {
    kernel(args, 0, rows);
  } else {
    pool_.split(rows, [&](int64_t begin, int64_t end) { kernel(args, begin, end); });
  }
}

Epilogue Session::epilogue(const Node& node) const noexcept {
  const auto floats = [](const Tensor* tensor) { return tensor == nullptr ? nullptr : tensor->floats(); };
  const float* residual = node.residual == Node::none ? nullptr : at<float>(node.residual);
  return {floats(node.scale), floats(node.bias), residual, floats(node.slope), floats(node.post), node.activation};
}

void Session::run_node(const Node& node, uint32_t index, int32_t count) noexcept {
  const Model& model = *plan_->model;
  const Kernels& kernels = plan_->kernels;
  const Value& in = model.values[node.input];
  const Value& out = model.values[node.output];
  const auto in_c = static_cast<int32_t>(in.c);
  const int64_t in_rows = int64_t{count} * in.h;
  const int64_t out_rows = int64_t{count} * out.h;
  const uint64_t work = work_[index] * static_cast<uint64_t>(count);
  switch (node.op) {
    case Op::conv_float: {
      const void* weight = plan_->weights->memory.get() + plan_->weights->offsets[index];
      const FloatConvArgs args{conv_shape(model, node, count), at<float>(node.input), weight, epilogue(node),
                               target<float>(node)};
      return split(kernels.float_conv_units(args.shape), work, args, kernels.float_conv);
    }
    case Op::conv_binary: {
      const void* weight = plan_->weights->memory.get() + plan_->weights->offsets[index];
      const bool bits = out.type == ValueType::bits;
      const BinaryConvArgs args{conv_shape(model, node, count),
                                node.pad_value,
                                at<uint32_t>(node.input),
                                weight,
                                epilogue(node),
                                bits ? node.interval->integers() : nullptr,
                                bits ? nullptr : target<float>(node),
                                bits ? target<uint32_t>(node) : nullptr};
      return split(kernels.binary_conv_units(args.shape), work, args, kernels.binary_conv);
    }
    case Op::conv_int8: {
      const void* weight = plan_->weights->memory.get() + plan_->weights->offsets[index];
      const ConvShape shape = padded_shape(model, node, count);
      const QuantizeArgs image{count,
                               static_cast<int32_t>(in.h),
                               static_cast<int32_t>(in.w),
                               in_c,
                               node.pad_top,
                               node.pad_left,
                               node.pad_bottom,
                               node.pad_right,
                               node.multiplier->floats()[0],
                               node.zero_point,
                               at<float>(node.input),
                               bytes_.get()};
      split(int64_t{count} * shape.in_h, work, image, kernels.quantize);
      const Int8ConvArgs args{shape, bytes_.get(), weight, epilogue(node), target<float>(node)};
      return split(kernels.int8_conv_units(shape), work, args, kernels.int8_conv);
    }
    case Op::binarize: {
      const BinarizeArgs args{in.w, in_c, at<float>(node.input), node.interval->floats(), target<uint32_t>(node)};
      return split(in_rows, work, args, kernels.binarize);
    }
    case Op::pointwise: {
      const PointwiseArgs args{in.w, in_c, at<float>(node.input), epilogue(node), target<float>(node)};
      return split(in_rows, work, args, kernels.pointwise);
    }
    case Op::max_pool:
    case Op::average_pool: {
      const ConvShape shape = conv_shape(model, node, count);
      const PoolArgs args{count,
                          shape.in_h,
                          shape.in_w,
                          in_c,
                          shape.out_h,
                          shape.out_w,
                          node.kernel_h,
                          node.kernel_w,
                          node.stride_h,
                          node.stride_w,
                          node.pad_top,
                          node.pad_left,
                          node.pad_bottom,
                          node.pad_right,
                          node.count_padding,
                          at<float>(node.input),
                          target<float>(node)};
      return split(out_rows, work, args, node.op == Op::max_pool ? kernels.max_pool : kernels.average_pool);
    }
    case Op::pad_channels:
      return pad_channels(at<float>(node.input), in_rows * in.w, in.c, out.c, node.channels_before,
                          target<float>(node));
  }
}

}  // namespace onebit
