// The output of a model in the plainest way: one sample, node by node, each with a reference kernel on whole buffers of
// its own. It shares nothing with the plan: no fusion, no row blocks, no arena, and the reference's weights alone.
#pragma once

#include <cmath>
#include <cstring>
#include <vector>

#include "format/model.h"
#include "kernels/reference/tables.h"

namespace onebit::fuzz {

class Interpreter {
 public:
  explicit Interpreter(const Model& model) : model_(model), floats_(model.values.size()), words_(model.values.size()) {}

  void run(const float* input) {
    const Value& image = model_.input_value();
    floats_[model_.input].assign(input, input + image.elements());
    for (const Node& node : model_.nodes) {
      const Value& out = model_.values[node.output];
      if (out.type == ValueType::f32)
        floats_[node.output].assign(out.elements(), 0.0f);
      else
        words_[node.output].assign(out.bytes() / 4, 0);
      run(node);
    }
  }

  const std::vector<float>& value(uint32_t index) const { return floats_[index]; }

  // Whether the kernels promise the same bits: of a maximum with a NaN they do not.
  bool is_defined() const {
    for (const Node& node : model_.nodes) {
      if (node.op != Op::max_pool) continue;
      for (const float x : floats_[node.input])
        if (std::isnan(x)) return false;
    }
    return true;
  }

 private:
  void run(const Node& node) {
    switch (node.op) {
      case Op::conv_float: return conv_float(node);
      case Op::conv_binary: return conv_binary(node);
      case Op::conv_int8: return conv_int8(node);
      case Op::binarize: return binarize(node);
      case Op::pointwise: return pointwise(node);
      case Op::max_pool:
      case Op::average_pool: return pool(node);
      case Op::pad_channels: return pad_channels(node);
    }
  }

  static int32_t side(uint32_t size) { return static_cast<int32_t>(size); }

  ConvShape shape(const Node& node) const {
    const Value& in = model_.values[node.input];
    const Value& out = model_.values[node.output];
    ConvShape s = {};
    s.batch = 1;
    s.in_h = side(in.h), s.in_w = side(in.w), s.in_c = side(in.c);
    s.out_h = side(out.h), s.out_w = side(out.w), s.out_c = side(out.c);
    s.kernel_h = node.kernel_h, s.kernel_w = node.kernel_w;
    s.stride_h = node.stride_h, s.stride_w = node.stride_w;
    s.pad_top = node.pad_top, s.pad_left = node.pad_left;
    s.dilation_h = node.dilation_h, s.dilation_w = node.dilation_w, s.groups = node.groups;
    return s;
  }

  Epilogue epilogue(const Node& node) const {
    const auto floats = [](const Tensor* tensor) { return tensor == nullptr ? nullptr : tensor->floats(); };
    const float* residual = node.residual == Node::none ? nullptr : floats_[node.residual].data();
    return {floats(node.scale), floats(node.bias), residual, floats(node.slope), floats(node.post), node.activation};
  }

  void conv_float(const Node& node) {
    const FloatConvArgs args{shape(node), floats_[node.input].data(), node.weight->data, epilogue(node),
                             floats_[node.output].data()};
    reference::float_conv.run(args, 0, args.shape.out_h);
  }

  void conv_binary(const Node& node) {
    const bool to_bits = node.interval != nullptr;
    const BinaryConvArgs args{shape(node),
                              node.pad_value,
                              words_[node.input].data(),
                              node.weight->data,
                              epilogue(node),
                              to_bits ? node.interval->integers() : nullptr,
                              to_bits ? nullptr : floats_[node.output].data(),
                              to_bits ? words_[node.output].data() : nullptr,
                              {}};
    reference::binary_conv.run(args, 0, args.shape.out_h);
  }

  void conv_int8(const Node& node) {
    ConvShape s = shape(node);
    const QuantizeArgs image{1,
                             s.in_h,
                             s.in_w,
                             s.in_c,
                             node.pad_top,
                             node.pad_left,
                             node.pad_bottom,
                             node.pad_right,
                             node.multiplier->floats()[0],
                             node.zero_point,
                             floats_[node.input].data(),
                             nullptr};
    s.in_h += node.pad_top + node.pad_bottom, s.in_w += node.pad_left + node.pad_right;
    s.pad_top = s.pad_left = 0;
    std::vector<uint8_t> bytes(static_cast<size_t>(s.in_h) * static_cast<size_t>(s.in_w) * static_cast<size_t>(s.in_c));
    QuantizeArgs quantize = image;
    quantize.output = bytes.data();
    reference::quantize(quantize, 0, s.in_h);
    std::vector<uint8_t> weight(reference::int8_conv.pack_bytes(s));
    reference::int8_conv.pack(s, node.zero_point, node.weight->bytes8(), weight.data());
    const Int8ConvArgs args{s, bytes.data(), weight.data(), epilogue(node), floats_[node.output].data()};
    reference::int8_conv.run(args, 0, s.out_h);
  }

  void binarize(const Node& node) {
    const Value& in = model_.values[node.input];
    const BinarizeArgs args{in.w, side(in.c), floats_[node.input].data(), node.interval->floats(),
                            words_[node.output].data()};
    reference::binarize(args, 0, in.h);
  }

  void pointwise(const Node& node) {
    const Value& in = model_.values[node.input];
    const PointwiseArgs args{in.w, side(in.c), floats_[node.input].data(), epilogue(node), floats_[node.output].data(),
                             {}};
    reference::pointwise(args, 0, in.h);
  }

  void pool(const Node& node) {
    const ConvShape s = shape(node);
    const PoolArgs args{1,
                        s.in_h,
                        s.in_w,
                        s.in_c,
                        s.out_h,
                        s.out_w,
                        s.kernel_h,
                        s.kernel_w,
                        s.stride_h,
                        s.stride_w,
                        s.pad_top,
                        s.pad_left,
                        node.pad_bottom,
                        node.pad_right,
                        node.count_padding,
                        floats_[node.input].data(),
                        floats_[node.output].data(),
                        {}};
    if (node.op == Op::max_pool) return reference::max_pool(args, 0, s.out_h);
    reference::average_pool(args, 0, s.out_h);
  }

  void pad_channels(const Node& node) {
    const size_t in_c = model_.values[node.input].c, out_c = model_.values[node.output].c;
    const std::vector<float>& input = floats_[node.input];
    for (size_t i = 0; i < input.size(); ++i)
      floats_[node.output][i / in_c * out_c + node.channels_before + i % in_c] = input[i];
  }

  const Model& model_;
  std::vector<std::vector<float>> floats_;
  std::vector<std::vector<uint32_t>> words_;
};

}  // namespace onebit::fuzz
