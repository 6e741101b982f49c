#include <cmath>

#include "format/sections.h"

namespace onebit {
namespace {

constexpr int32_t kMaxKernel = 1 << 10;     // also of strides and dilations
constexpr int64_t kMaxTerms = 1 << 24;      // per dot product, so that a binary one is exact in binary32
constexpr int64_t kMaxInt8Terms = 1 << 16;  // so that it is exact in 32 bits
constexpr int64_t kMaxInt8Image = 1 << 28;  // elements of a padded input

constexpr Signature kSignatures[] = {
    {"conv_float", 6, 11, true},   {"conv_binary", 6, 11, true}, {"binarize", 1, 0, false},
    {"pointwise", 4, 1, true},     {"max_pool", 0, 8, false},    {"average_pool", 0, 9, false},
    {"pad_channels", 0, 2, false}, {"conv_int8", 6, 11, true},
};

class OperatorReader {
 public:
  OperatorReader(const RawNode& raw, const Model& model, Node& node)
      : raw_(raw), model_(model), node_(node), in_(model.values[node.input]), out_(model.values[node.output]) {}

  void read() {
    switch (node_.op) {
      case Op::conv_float: return conv_float();
      case Op::conv_binary: return conv_binary();
      case Op::binarize: return binarize();
      case Op::pointwise: return pointwise();
      case Op::max_pool: return pool();
      case Op::average_pool: return pool();
      case Op::pad_channels: return pad_channels();
      case Op::conv_int8: return conv_int8();
    }
  }

 private:
  int32_t attribute(size_t index, const char* name, int32_t minimum, int32_t maximum) const {
    const int32_t value = raw_.attributes[index];
    if (value < minimum || value > maximum) bad_file(name, " ", value, " is outside ", minimum, " to ", maximum);
    return value;
  }

  const Tensor* tensor(size_t index, const char* name, DType dtype, uint32_t rank) const {
    const uint32_t number = raw_.tensors[index];
    if (number == Node::none) return nullptr;
    if (number >= model_.tensors.size()) bad_file("there is no tensor ", number, " for ", name);
    const Tensor& found = model_.tensors[number];
    if (found.dtype != dtype || found.rank != rank)
      bad_file("tensor ", number, " has not the type or the rank of ", name);
    return &found;
  }

  const Tensor* channels(size_t index, const char* name) const {
    const Tensor* found = tensor(index, name, DType::f32, 1);
    if (found == nullptr) return nullptr;
    if (found->dims[0] != out_.c) bad_file(name, " has ", found->dims[0], " elements for ", out_.c, " channels");
    expect_finite(*found, name);
    return found;
  }

  const Tensor* interval(size_t index, DType dtype) const {
    const Tensor* found = tensor(index, "interval", dtype, 2);
    if (found != nullptr && (found->dims[0] != out_.c || found->dims[1] != 2))
      bad_file("interval is not [", out_.c, ", 2]");
    return found;
  }

  static void expect_finite(const Tensor& tensor, const char* name) {
    for (uint64_t i = 0; i < tensor.bytes / 4; ++i)
      if (!std::isfinite(tensor.floats()[i])) bad_file(name, " has an infinite element");
  }

  void expect_type(const Value& value, ValueType type, const char* what) const {
    if (value.type != type) bad_file(what, " is not ", type == ValueType::f32 ? "f32" : "bits");
  }

  void expect_shape(const Value& value, int64_t h, int64_t w, int64_t c, const char* what) const {
    if (value.h != h || value.w != w || value.c != c)
      bad_file(what, " is ", value.h, " x ", value.w, " x ", value.c, " and should be ", h, " x ", w, " x ", c);
  }

  // The tensors of an epilogue, from `first` on, and its activation.
  void epilogue(size_t first, size_t activation) {
    node_.scale = channels(first, "scale");
    node_.bias = channels(first + 1, "bias");
    node_.slope = channels(first + 2, "slope");
    node_.post = channels(first + 3, "post");
    node_.activation = static_cast<Activation>(attribute(activation, "activation", 0, 3));
    if ((node_.slope != nullptr) != (node_.activation == Activation::prelu))
      bad_file("slope and activation do not fit");
    if (node_.residual != Node::none) {
      expect_type(model_.values[node_.residual], ValueType::f32, "the residual");
      expect_shape(model_.values[node_.residual], out_.h, out_.w, out_.c, "the residual");
    }
  }

  // Stride, padding and the size of the output; the kernel is known already.
  void window(size_t first, int64_t dilation_h, int64_t dilation_w, int64_t out_c) {
    const int64_t reach_h = dilation_h * (node_.kernel_h - 1) + 1;
    const int64_t reach_w = dilation_w * (node_.kernel_w - 1) + 1;
    node_.stride_h = attribute(first, "stride_h", 1, kMaxKernel);
    node_.stride_w = attribute(first + 1, "stride_w", 1, kMaxKernel);
    node_.pad_top = attribute(first + 2, "pad_top", 0, static_cast<int32_t>(reach_h - 1));
    node_.pad_left = attribute(first + 3, "pad_left", 0, static_cast<int32_t>(reach_w - 1));
    node_.pad_bottom = attribute(first + 4, "pad_bottom", 0, static_cast<int32_t>(reach_h - 1));
    node_.pad_right = attribute(first + 5, "pad_right", 0, static_cast<int32_t>(reach_w - 1));
    const int64_t room_h = int64_t{in_.h} + node_.pad_top + node_.pad_bottom - reach_h;
    const int64_t room_w = int64_t{in_.w} + node_.pad_left + node_.pad_right - reach_w;
    if (room_h < 0 || room_w < 0) bad_file("the kernel is larger than the padded input");
    expect_shape(out_, room_h / node_.stride_h + 1, room_w / node_.stride_w + 1, out_c, "the output");
  }

  // Decodes what all convolutions have in common.
  void conv(ValueType input, DType weight, int64_t max_terms) {
    expect_type(in_, input, "the input");
    node_.dilation_h = attribute(6, "dilation_h", 1, kMaxKernel);
    node_.dilation_w = attribute(7, "dilation_w", 1, kMaxKernel);
    node_.groups = attribute(8, "groups", 1, static_cast<int32_t>(in_.c));
    const auto groups = static_cast<uint32_t>(node_.groups);
    if (in_.c % groups != 0 || out_.c % groups != 0) bad_file(groups, " groups do not divide the channels");
    node_.weight = tensor(0, "weight", weight, 4);
    if (node_.weight == nullptr) bad_file("weight is absent");
    const auto& dims = node_.weight->dims;
    if (dims[0] != out_.c || dims[3] != in_.c / groups)
      bad_file("the weight's channels do not fit the input and the output");
    if (dims[1] > kMaxKernel || dims[2] > kMaxKernel) bad_file("a kernel side is more than ", kMaxKernel);
    if (int64_t{dims[1]} * dims[2] > max_terms / dims[3])
      bad_file("a dot product has more than ", max_terms, " terms");
    node_.kernel_h = static_cast<int32_t>(dims[1]);
    node_.kernel_w = static_cast<int32_t>(dims[2]);
    window(0, node_.dilation_h, node_.dilation_w, out_.c);
    epilogue(1, 9);
  }

  void conv_float() {
    conv(ValueType::f32, DType::f32, kMaxTerms);
    attribute(10, "padding value", 0, 0);
    if (raw_.tensors[5] != Node::none) bad_file("conv_float has no sixth tensor");
    expect_finite(*node_.weight, "weight");
    expect_type(out_, ValueType::f32, "the output");
  }

  void conv_int8() {
    conv(ValueType::f32, DType::i8, kMaxInt8Terms);
    node_.zero_point = attribute(10, "zero point", 0, 255);
    node_.multiplier = tensor(5, "multiplier", DType::f32, 1);
    if (node_.multiplier == nullptr) bad_file("multiplier is absent");
    if (node_.multiplier->dims[0] != 1) bad_file("multiplier has ", node_.multiplier->dims[0], " elements");
    const float multiplier = node_.multiplier->floats()[0];
    if (!(multiplier > 0.0f) || !std::isfinite(multiplier)) bad_file("the multiplier is not finite and above 0");
    const int64_t padded_h = int64_t{in_.h} + node_.pad_top + node_.pad_bottom;
    const int64_t padded_w = int64_t{in_.w} + node_.pad_left + node_.pad_right;
    if (padded_h > kMaxInt8Image / padded_w || padded_h * padded_w > kMaxInt8Image / in_.c)
      bad_file("the padded input has more than ", kMaxInt8Image, " elements");
    expect_type(out_, ValueType::f32, "the output");
  }

  void conv_binary() {
    conv(ValueType::bits, DType::bits, kMaxTerms);
    node_.pad_value = attribute(10, "padding value", -1, 1);
    node_.interval = interval(5, DType::i32);
    expect_output();
  }

  // Floats from the epilogue, or bits from the interval and nothing else.
  void expect_output() {
    if (out_.type == ValueType::f32) {
      if (node_.interval != nullptr) bad_file("an interval needs an output of bits");
      return;
    }
    if (node_.interval == nullptr) bad_file("an output of bits needs an interval");
    if (node_.scale != nullptr || node_.bias != nullptr || node_.post != nullptr || node_.residual != Node::none ||
        node_.activation != Activation::none)
      bad_file("an output of bits has no epilogue");
  }

  void binarize() {
    expect_type(in_, ValueType::f32, "the input");
    expect_type(out_, ValueType::bits, "the output");
    expect_shape(out_, in_.h, in_.w, in_.c, "the output");
    node_.interval = interval(0, DType::f32);
    if (node_.interval == nullptr) bad_file("interval is absent");
  }

  void pointwise() {
    expect_type(in_, ValueType::f32, "the input");
    expect_type(out_, ValueType::f32, "the output");
    expect_shape(out_, in_.h, in_.w, in_.c, "the output");
    epilogue(0, 0);
  }

  void pool() {
    expect_type(in_, ValueType::f32, "the input");
    expect_type(out_, ValueType::f32, "the output");
    node_.kernel_h = attribute(0, "kernel_h", 1, kMaxKernel);
    node_.kernel_w = attribute(1, "kernel_w", 1, kMaxKernel);
    window(2, 1, 1, in_.c);
    if (node_.op == Op::average_pool) node_.count_padding = attribute(8, "counting of the padding", 0, 1) == 1;
  }

  void pad_channels() {
    expect_type(in_, ValueType::f32, "the input");
    expect_type(out_, ValueType::f32, "the output");
    const int32_t maximum = 1 << 24;
    node_.channels_before = static_cast<uint32_t>(attribute(0, "channels before", 0, maximum));
    const int32_t after = attribute(1, "channels after", 0, maximum);
    expect_shape(out_, in_.h, in_.w, int64_t{node_.channels_before} + in_.c + after, "the output");
  }

  const RawNode& raw_;
  const Model& model_;
  Node& node_;
  const Value& in_;
  const Value& out_;
};

}  // namespace

const Signature* signature(uint32_t op) {
  return op >= 1 && op <= std::size(kSignatures) ? &kSignatures[op - 1] : nullptr;
}

const char* op_name(Op op) { return signature(static_cast<uint32_t>(op))->name; }

void read_operator(const RawNode& raw, const Model& model, Node& node) { OperatorReader(raw, model, node).read(); }

}  // namespace onebit
