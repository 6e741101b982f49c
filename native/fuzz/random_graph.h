// A random valid graph of all operators: values read by several nodes, by none, as input and residual at once, in the
// middle of the graph as outputs. Small, so that thousands of them run in a minute.
#pragma once

#include <numeric>

#include "random_tensors.h"

namespace onebit::fuzz {

class RandomGraph {
 public:
  explicit RandomGraph(Choices& choices) : choices_(choices), tensors_(writer_, choices) {}

  // The file has outputs "0", "1", ...
  test::FileWriter make() {
    writer_.text("weights.sha256", std::string(64, '0'));
    const auto side = [this] { return 1 + choices_.below(choices_.one_in(2) ? 30 : 10); };
    const uint32_t h = side(), w = side();
    writer_.value(ValueType::f32, h, w, channels());
    std::vector<uint32_t> ages(1 + choices_.below(4));  // of the outputs; chosen now, since the nodes take all bytes
    for (uint32_t& age : ages) age = choices_.one_in(2) ? choices_.below(256) : 0;
    while (choices_.any_left() && writer_.nodes.size() < 40) add_node();
    const std::vector<uint32_t> values = values_of(ValueType::f32);
    for (size_t i = 0; i < ages.size(); ++i)
      writer_.outputs.push_back({values[values.size() - 1 - ages[i] % values.size()], std::to_string(i)});
    return writer_;
  }

 private:
  static constexpr uint64_t kMaxElements = 6000;   // per value
  static constexpr uint64_t kMaxProducts = 40000;  // per node
  static constexpr uint64_t kAllProducts = 200000;  // of the graph
  static constexpr uint32_t kMaxInt8Terms = 1 << 16;

  struct Window {
    uint32_t kernel_h = 1, kernel_w = 1;
    int32_t stride_h = 1, stride_w = 1, pads[4] = {0, 0, 0, 0}, dilation_h = 1,
            dilation_w = 1;  // top, left, bottom, right
  };

  const Value& at(uint32_t value) const { return writer_.values[value]; }

  uint32_t channels() {
    constexpr uint32_t some[] = {3, 1, 2, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 40, 63, 64, 65, 70, 96, 128};
    return some[choices_.below(std::size(some))];
  }

  std::vector<uint32_t> values_of(ValueType type) const {
    std::vector<uint32_t> found;
    for (uint32_t i = 0; i < writer_.values.size(); ++i)
      if (at(i).type == type) found.push_back(i);
    return found;
  }

  // Often the newest.
  uint32_t choose(const std::vector<uint32_t>& values) {
    return choices_.one_in(3) ? values[choices_.below(values.size())] : values.back();
  }

  void add_node() {
    switch (choices_.below(12)) {
      case 0: return add_conv(Op::conv_float);
      case 1: return add_conv(Op::conv_int8);
      case 10: return add_pooled_conv(Op::conv_float);
      case 11: return add_pooled_conv(Op::conv_int8);
      case 2:
      case 3:
      case 4: return add_conv(Op::conv_binary);
      case 5: return add_binarize(choose(values_of(ValueType::f32)));
      case 6: return add_pointwise();
      case 7: return add_pool(Op::max_pool, choose(values_of(ValueType::f32)));
      case 8: return add_pool(Op::average_pool, choose(values_of(ValueType::f32)));
      default: return add_pad_channels();
    }
  }

  void add_binarize(uint32_t input) {
    const Value in = at(input);
    const uint32_t interval = tensors_.float_intervals(in.c);
    writer_.node(Op::binarize, {input}, writer_.value(ValueType::bits, in.h, in.w, in.c), {interval});
  }

  void add_conv(Op op, bool may_add = true) {
    if (op == Op::conv_binary && (values_of(ValueType::bits).empty() || choices_.one_in(3)))
      add_binarize(choose(values_of(ValueType::f32)));
    const uint32_t input = choose(values_of(op == Op::conv_binary ? ValueType::bits : ValueType::f32));
    const Value in = at(input);
    const uint32_t out_c = choices_.one_in(2) ? channels() : in.c;
    const uint32_t groups = choose_groups(std::gcd(in.c, out_c));
    const Window window = conv_window(in);
    const Value out = output_of(in, window, out_c);
    const uint64_t terms = uint64_t{window.kernel_h} * window.kernel_w * (in.c / groups);
    const uint64_t products = terms * out.elements();
    if (out.h == 0 || out.elements() > kMaxElements || products > kMaxProducts ||
        products_ + products > kAllProducts || (op == Op::conv_int8 && terms > kMaxInt8Terms))
      return;
    products_ += products;

    const std::vector<uint32_t> dims = {out_c, window.kernel_h, window.kernel_w, in.c / groups};
    const bool to_bits = op == Op::conv_binary && choices_.one_in(3);
    std::vector<uint32_t> inputs = {input}, tensors;
    if (op == Op::conv_float) tensors = {tensors_.floats(dims)};
    if (op == Op::conv_binary) tensors = {tensors_.bits(dims)};
    if (op == Op::conv_int8) tensors = {tensors_.bytes(dims)};
    int32_t activation = 0;
    if (to_bits)
      tensors.insert(tensors.end(), 4, test::absent);
    else
      activation = add_epilogue(out, inputs, tensors, may_add);
    int32_t last = 0;
    if (op == Op::conv_binary) last = choices_.between(-1, 1);
    if (op == Op::conv_int8) last = choices_.one_in(3) ? choices_.between(0, 255) : 128;
    uint32_t sixth = test::absent;
    if (to_bits) sixth = tensors_.integer_intervals(out_c, static_cast<uint32_t>(terms));
    if (op == Op::conv_int8) sixth = tensors_.multiplier();
    tensors.push_back(sixth);
    const auto& p = window.pads;
    writer_.node(op, inputs, writer_.value(to_bits ? ValueType::bits : ValueType::f32, out.h, out.w, out.c), tensors,
                 {window.stride_h, window.stride_w, p[0], p[1], p[2], p[3], window.dilation_h, window.dilation_w,
                  static_cast<int32_t>(groups), activation, last});
  }

  // Often one that the plan runs in row blocks.
  void add_pooled_conv(Op op) {
    add_conv(op, choices_.one_in(8));
    const auto newest = static_cast<uint32_t>(writer_.values.size() - 1);
    if (at(newest).type == ValueType::f32) add_pool(choices_.one_in(2) ? Op::average_pool : Op::max_pool, newest);
  }

  uint32_t choose_groups(uint32_t common) {
    const uint32_t kind = choices_.below(4);
    if (kind == 2) return common;
    if (kind < 2) return 1;
    std::vector<uint32_t> divisors;
    for (uint32_t i = 1; i <= common; ++i)
      if (common % i == 0) divisors.push_back(i);
    return divisors[choices_.below(divisors.size())];
  }

  Window conv_window(const Value& in) {
    Window window;
    const uint32_t kind = choices_.below(6);
    if (kind < 2) return {3, 3, 1, 1, {1, 1, 1, 1}, 1, 1};
    if (kind == 2) {
      window.stride_h = window.stride_w = choices_.between(1, 2);
    } else if (kind == 3) {  // a dense layer
      window.kernel_h = in.h, window.kernel_w = in.w;
    } else {
      window = any_window(4);
      window.dilation_h = choices_.between(1, 3), window.dilation_w = choices_.between(1, 3);
      pad(window);
    }
    return window;
  }

  Window any_window(int32_t most) {
    Window window;
    window.kernel_h = 1 + choices_.below(4), window.kernel_w = 1 + choices_.below(4);
    window.stride_h = choices_.between(1, most), window.stride_w = choices_.between(1, most);
    return window;
  }

  void pad(Window& window) {
    for (int i = 0; i < 4; ++i) {
      const uint32_t kernel = i % 2 == 0 ? window.kernel_h : window.kernel_w;
      const int32_t dilation = i % 2 == 0 ? window.dilation_h : window.dilation_w;
      window.pads[i] = choices_.between(0, dilation * (static_cast<int32_t>(kernel) - 1));
    }
  }

  // 0 x 0 if the window does not fit.
  static Value output_of(const Value& in, const Window& w, uint32_t channels) {
    const auto side = [](uint32_t size, uint32_t kernel, int32_t stride, int32_t pads, int32_t dilation) {
      const int32_t room = static_cast<int32_t>(size) + pads - dilation * (static_cast<int32_t>(kernel) - 1) - 1;
      return room < 0 ? 0u : static_cast<uint32_t>(room / stride + 1);
    };
    const uint32_t h = side(in.h, w.kernel_h, w.stride_h, w.pads[0] + w.pads[2], w.dilation_h);
    const uint32_t width = side(in.w, w.kernel_w, w.stride_w, w.pads[1] + w.pads[3], w.dilation_w);
    return h == 0 || width == 0 ? Value{ValueType::f32, 0, 0, 0} : Value{ValueType::f32, h, width, channels};
  }

  // Appends scale, bias, slope, post and perhaps a residual; returns the activation.
  int32_t add_epilogue(const Value& out, std::vector<uint32_t>& inputs, std::vector<uint32_t>& tensors,
                       bool may_add = true) {
    std::vector<uint32_t> alike;
    for (const uint32_t value : values_of(ValueType::f32))
      if (at(value).h == out.h && at(value).w == out.w && at(value).c == out.c) alike.push_back(value);
    if (may_add && !alike.empty() && !choices_.one_in(3)) inputs.push_back(alike[choices_.below(alike.size())]);
    const int32_t activation = choices_.between(0, 3);
    const uint32_t present = choices_.below(8);
    tensors.push_back(present & 1 ? tensors_.channels(out.c) : test::absent);
    tensors.push_back(present & 2 ? tensors_.channels(out.c) : test::absent);
    tensors.push_back(activation == 3 ? tensors_.channels(out.c) : test::absent);
    tensors.push_back(present & 4 ? tensors_.channels(out.c) : test::absent);
    return activation;
  }

  void add_pointwise() {
    const uint32_t input = choose(values_of(ValueType::f32));
    const Value in = at(input);
    std::vector<uint32_t> inputs = {input}, tensors;
    const int32_t activation = add_epilogue(in, inputs, tensors);
    writer_.node(Op::pointwise, inputs, writer_.value(ValueType::f32, in.h, in.w, in.c), tensors, {activation});
  }

  void add_pool(Op op, uint32_t input) {
    const Value in = at(input);
    Window window;
    const uint32_t kind = choices_.below(5);
    if (kind == 0) {
      window = {3, 3, 2, 2, {1, 1, 1, 1}, 1, 1};
    } else if (kind == 1) {  // of the whole image
      window.kernel_h = in.h, window.kernel_w = in.w;
    } else {
      window = any_window(5);
      pad(window);
    }
    const Value out = output_of(in, window, in.c);
    if (out.h == 0 || out.elements() > kMaxElements) return;
    const auto& p = window.pads;
    std::vector<int32_t> attributes = {static_cast<int32_t>(window.kernel_h),
                                       static_cast<int32_t>(window.kernel_w),
                                       window.stride_h,
                                       window.stride_w,
                                       p[0],
                                       p[1],
                                       p[2],
                                       p[3]};
    if (op == Op::average_pool) attributes.push_back(choices_.between(0, 1));
    writer_.node(op, {input}, writer_.value(ValueType::f32, out.h, out.w, out.c), {}, attributes);
  }

  void add_pad_channels() {
    const uint32_t input = choose(values_of(ValueType::f32));
    const Value in = at(input);
    const int32_t before = choices_.between(0, 4), after = choices_.between(0, 33);
    const uint32_t c = in.c + static_cast<uint32_t>(before + after);
    if (uint64_t{in.h} * in.w * c > kMaxElements) return;
    writer_.node(Op::pad_channels, {input}, writer_.value(ValueType::f32, in.h, in.w, c), {}, {before, after});
  }

  Choices& choices_;
  test::FileWriter writer_;
  RandomTensors tensors_;
  uint64_t products_ = 0;
};

}  // namespace onebit::fuzz
