#include "capi/model.h"

#include "capi/status.h"
#include "graph/operations.h"

using onebit::Model;
using onebit::Node;
using onebit::Tensor;
using onebit::Value;

namespace {

onebit_shape shape_of(const Value& value) { return {value.h, value.w, value.c}; }

uint32_t weight_bits(onebit::Op op) {
  switch (op) {
    case onebit::Op::conv_float: return 32;
    case onebit::Op::conv_binary: return 1;
    case onebit::Op::conv_int8: return 8;
    default: return 0;
  }
}

onebit_model* open(onebit::Bytes bytes) { return new onebit_model(onebit::read_model(std::move(bytes))); }

template <class Number>
const Number* numbers(const onebit_model* model, const char* key, size_t* count) {
  const auto* values = model->model->entry<std::vector<Number>>(key);
  if (count != nullptr) *count = values == nullptr ? 0 : values->size();
  return values == nullptr ? nullptr : values->data();
}

}  // namespace

std::shared_ptr<const onebit::PackedWeights> onebit_model::weights(const onebit::Kernels& kernels) {
  const std::lock_guard lock(mutex_);
  auto& known = weights_[&kernels];
  auto packed = known.lock();
  if (packed == nullptr) known = packed = std::make_shared<const onebit::PackedWeights>(*model, kernels);
  return packed;
}

onebit_status onebit_model_open(const char* path, onebit_model** model, onebit_error* error) noexcept {
  return onebit::guarded(error, [&] {
    onebit::expect(path != nullptr && model != nullptr, "path and model may not be null");
    *model = nullptr;
    try {
      *model = open(onebit::Bytes::open(path));
    } catch (onebit::Error& problem) {
      problem.message = onebit::text(path, ": ", problem.message);
      throw;
    }
  });
}

onebit_status onebit_model_open_memory(const void* bytes, size_t size, onebit_model** model,
                                       onebit_error* error) noexcept {
  return onebit::guarded(error, [&] {
    onebit::expect((bytes != nullptr || size == 0) && model != nullptr, "bytes and model may not be null");
    *model = nullptr;
    *model = open(onebit::Bytes::from_memory(bytes, size));
  });
}

void onebit_model_close(onebit_model* model) noexcept { delete model; }

onebit_shape onebit_model_input(const onebit_model* model) noexcept { return shape_of(model->model->input_value()); }

size_t onebit_model_output_count(const onebit_model* model) noexcept { return model->model->outputs.size(); }

const char* onebit_model_output_name(const onebit_model* model, size_t index) noexcept {
  const auto& outputs = model->model->outputs;
  return index < outputs.size() ? outputs[index].name.c_str() : nullptr;
}

onebit_shape onebit_model_output_shape(const onebit_model* model, size_t index) noexcept {
  const auto& outputs = model->model->outputs;
  return index < outputs.size() ? shape_of(model->model->values[outputs[index].value]) : onebit_shape{0, 0, 0};
}

size_t onebit_model_class_count(const onebit_model* model) noexcept {
  const auto* classes = model->model->entry<std::vector<std::string>>("classes");
  return classes == nullptr ? 0 : classes->size();
}

const char* onebit_model_class_name(const onebit_model* model, size_t index) noexcept {
  if (index >= onebit_model_class_count(model)) return nullptr;
  return (*model->model->entry<std::vector<std::string>>("classes"))[index].c_str();
}

const char* onebit_model_text(const onebit_model* model, const char* key) noexcept {
  const auto* value = model->model->entry<std::string>(key);
  return value == nullptr ? nullptr : value->c_str();
}

const float* onebit_model_floats(const onebit_model* model, const char* key, size_t* count) noexcept {
  return numbers<float>(model, key, count);
}

const uint32_t* onebit_model_integers(const onebit_model* model, const char* key, size_t* count) noexcept {
  return numbers<uint32_t>(model, key, count);
}

size_t onebit_model_layer_count(const onebit_model* model) noexcept { return model->model->nodes.size(); }

onebit_layer onebit_model_layer(const onebit_model* handle, size_t index) noexcept {
  const Model& model = *handle->model;
  if (index >= model.nodes.size()) return {};
  const Node& node = model.nodes[index];
  onebit_layer layer{};
  layer.name = node.name.c_str();
  layer.op = onebit::op_name(node.op);
  layer.input = shape_of(model.values[node.input]);
  layer.output = shape_of(model.values[node.output]);
  layer.weight_bits = weight_bits(node.op);
  for (const Tensor* tensor :
       {node.weight, node.scale, node.bias, node.slope, node.post, node.interval, node.multiplier})
    if (tensor != nullptr) layer.bytes += tensor->bytes;
  layer.operations = onebit::operations(model, node);
  layer.traffic = layer.bytes + model.values[node.input].bytes() + model.values[node.output].bytes();
  if (node.residual != Node::none) layer.traffic += model.values[node.residual].bytes();
  return layer;
}
