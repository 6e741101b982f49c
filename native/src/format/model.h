// A validated .obn file (docs/file-format.md), decoded. Nothing in it points to a byte that was not checked.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "kernels/kernels.h"

namespace onebit {

using MetaValue = std::variant<std::string, std::vector<std::string>, std::vector<float>, std::vector<uint32_t>>;
using Meta = std::map<std::string, MetaValue, std::less<>>;

enum class DType : uint32_t { f32 = 1, i32 = 2, bits = 3, i8 = 4 };

struct Tensor {
  DType dtype;
  uint32_t rank;
  std::array<uint32_t, 4> dims;
  const void* data;
  uint64_t bytes;

  const float* floats() const { return static_cast<const float*>(data); }
  const int32_t* integers() const { return static_cast<const int32_t*>(data); }
  const uint32_t* words() const { return static_cast<const uint32_t*>(data); }
  const int8_t* bytes8() const { return static_cast<const int8_t*>(data); }
};

enum class ValueType : uint32_t { f32 = 1, bits = 2 };

// An image per sample.
struct Value {
  ValueType type;
  uint32_t h, w, c;

  uint64_t elements() const { return uint64_t{h} * w * c; }
  uint64_t bytes() const {
    return type == ValueType::f32 ? 4 * elements() : 4 * uint64_t{h} * w * ((uint64_t{c} + 31) / 32);
  }
};

enum class Op : uint32_t {
  conv_float = 1,
  conv_binary = 2,
  binarize = 3,
  pointwise = 4,
  max_pool = 5,
  average_pool = 6,
  pad_channels = 7,
  conv_int8 = 8
};

const char* op_name(Op op);

// Fields that an operator does not use are null, 0 or `none`.
struct Node {
  static constexpr uint32_t none = 0xFFFFFFFFu;

  Op op;
  std::string name;
  uint32_t input, output;
  uint32_t residual = none;
  const Tensor *weight = nullptr, *scale = nullptr, *bias = nullptr, *slope = nullptr, *post = nullptr,
               *interval = nullptr, *multiplier = nullptr;
  int32_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1;
  int32_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  int32_t dilation_h = 1, dilation_w = 1, groups = 1;
  Activation activation = Activation::none;
  int32_t pad_value = 0, zero_point = 0;
  bool count_padding = false;
  uint32_t channels_before = 0;

  bool has_weight() const { return weight != nullptr; }
};

struct Output {
  uint32_t value;
  std::string name;
};

struct Model {
  Bytes bytes;
  Meta meta;
  std::vector<Tensor> tensors;
  std::vector<Value> values;
  std::vector<Node> nodes;  // in the order in which they run
  std::vector<Output> outputs;
  uint32_t input = 0;

  const Value& input_value() const { return values[input]; }

  // The entry of META, or null if it is absent or of another type.
  template <class Type>
  const Type* entry(std::string_view key) const {
    const auto found = meta.find(key);
    return found == meta.end() ? nullptr : std::get_if<Type>(&found->second);
  }
};

// Checks everything and decodes it. Throws Error.
std::shared_ptr<const Model> read_model(Bytes bytes);

}  // namespace onebit
