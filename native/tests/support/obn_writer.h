// Writes .obn files for the tests, without a check: a test may ask for a file that breaks the rules.
#pragma once

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "../../fuzz/repair.h"
#include "format/model.h"

namespace onebit::test {

using Buffer = std::vector<uint8_t>;

template <class Number>
void put(Buffer& buffer, Number value) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
  buffer.insert(buffer.end(), bytes, bytes + sizeof value);
}

inline void put_text(Buffer& buffer, const std::string& text) { buffer.insert(buffer.end(), text.begin(), text.end()); }

inline void put_name(Buffer& buffer, std::string name) {
  name.resize(60, '\0');
  put_text(buffer, name);
}

inline void align(Buffer& buffer) { buffer.resize((buffer.size() + 63) / 64 * 64, 0); }

struct FileWriter {
  struct Node {
    Op op;
    std::vector<uint32_t> inputs, tensors;
    std::vector<int32_t> attributes;
    uint32_t output;
    std::string name;
  };
  struct Entry {
    std::string key;
    uint8_t type;
    Buffer value;
  };

  std::vector<Entry> meta;
  std::vector<Value> values;
  std::vector<Node> nodes;
  std::vector<Output> outputs;
  Buffer tensors, data;
  uint32_t tensor_count = 0;

  uint32_t value(ValueType type, uint32_t h, uint32_t w, uint32_t c) {
    values.push_back({type, h, w, c});
    return static_cast<uint32_t>(values.size() - 1);
  }

  template <class Number>
  uint32_t tensor(DType dtype, const std::vector<uint32_t>& dims, const std::vector<Number>& content) {
    align(data);
    put(tensors, dtype);
    put(tensors, static_cast<uint32_t>(dims.size()));
    for (size_t i = 0; i < 4; ++i) put(tensors, i < dims.size() ? dims[i] : 1u);
    put(tensors, static_cast<uint64_t>(data.size()));
    put(tensors, static_cast<uint64_t>(sizeof(Number) * content.size()));
    for (const Number number : content) put(data, number);
    return tensor_count++;
  }

  uint32_t node(Op op, std::vector<uint32_t> inputs, uint32_t output, std::vector<uint32_t> node_tensors = {},
                std::vector<int32_t> attributes = {}) {
    const std::string name = std::string(op_name(op)) + std::to_string(nodes.size());
    nodes.push_back({op, std::move(inputs), std::move(node_tensors), std::move(attributes), output, name});
    return output;
  }

  void text(const std::string& key, const std::string& value) {
    meta.push_back({key, 1, Buffer(value.begin(), value.end())});
  }
  void texts(const std::string& key, const std::vector<std::string>& list) {
    Buffer value;
    for (const std::string& item : list) {
      put(value, static_cast<uint32_t>(item.size()));
      put_text(value, item);
    }
    meta.push_back({key, 2, value});
  }
  void floats(const std::string& key, const std::vector<float>& list) {
    Buffer value;
    for (const float item : list) put(value, item);
    meta.push_back({key, 3, value});
  }
  void integers(const std::string& key, const std::vector<uint32_t>& list) {
    Buffer value;
    for (const uint32_t item : list) put(value, item);
    meta.push_back({key, 4, value});
  }

  Buffer graph_section() const {
    Buffer section;
    for (const size_t count : {values.size(), nodes.size(), size_t{0}, outputs.size()})
      put(section, static_cast<uint32_t>(count));
    for (const Output& output : outputs) {
      put(section, output.value);
      put_name(section, output.name);
    }
    for (const Value& value : values)
      for (const uint32_t field : {static_cast<uint32_t>(value.type), value.h, value.w, value.c}) put(section, field);
    for (const Node& node : nodes) {
      put(section, node.op);
      for (const size_t count : {node.inputs.size(), node.tensors.size(), node.attributes.size()})
        put(section, static_cast<uint32_t>(count));
      put(section, node.output);
      put_name(section, node.name);
      for (const uint32_t input : node.inputs) put(section, input);
      for (const uint32_t index : node.tensors) put(section, index);
      for (const int32_t attribute : node.attributes) put(section, attribute);
    }
    return section;
  }

  Buffer meta_section() const {
    Buffer section;
    put(section, static_cast<uint32_t>(meta.size()));
    for (const Entry& entry : meta) {
      put(section, static_cast<uint16_t>(entry.key.size()));
      put(section, entry.type);
      put(section, uint8_t{0});
      put(section, static_cast<uint32_t>(entry.value.size()));
      put_text(section, entry.key);
      section.insert(section.end(), entry.value.begin(), entry.value.end());
    }
    return section;
  }

  Buffer bytes() const {
    Buffer table;
    put(table, tensor_count);
    put(table, 0u);
    table.insert(table.end(), tensors.begin(), tensors.end());
    Buffer file(64 + 4 * 24, 0);
    const std::pair<const char*, Buffer> sections[] = {
        {"META", meta_section()}, {"GRPH", graph_section()}, {"TNSR", table}, {"DATA", data}};
    size_t entry = 64;
    for (const auto& [kind, content] : sections) {
      align(file);
      const uint64_t offset = file.size(), length = content.size();
      file.insert(file.end(), content.begin(), content.end());
      std::memcpy(&file[entry], kind, 4);
      std::memcpy(&file[entry + 8], &offset, 8);
      std::memcpy(&file[entry + 16], &length, 8);
      entry += 24;
    }
    const uint8_t start[16] = {0x89, 'O', 'B', 'N', '\r', '\n', 0x1A, '\n', 1, 0, 0, 0, 4, 0, 0, 0};
    std::memcpy(file.data(), start, sizeof start);
    fuzz::repair(file);
    return file;
  }
};

constexpr uint32_t absent = Node::none;

// Every operator once: 6 x 5 x 3 floats in, `logits` of 4 and `features` of 38 out.
inline FileWriter example() {
  FileWriter w;
  const auto counted = [](size_t count, auto function) {
    std::vector<decltype(function(0))> list;
    for (size_t i = 0; i < count; ++i) list.push_back(function(static_cast<int>(i)));
    return list;
  };
  const auto real = [](int i) { return static_cast<float>((i * 7919) % 17 - 8) / 8.0f; };
  const auto word = [](int i) { return static_cast<uint32_t>(i) * 2654435761u; };
  const auto int8 = [](int i) { return static_cast<int8_t>((i * 7919) % 255 - 127); };
  const auto spare = [](std::vector<uint32_t> words, uint32_t mask) {  // two words a pixel, the second one is short
    for (size_t i = 1; i < words.size(); i += 2) words[i] &= mask;
    return words;
  };
  constexpr float infinity = __builtin_inff();

  w.texts("classes", {"ant", "bee", "cat", "dog"});
  w.floats("features.range", {-4.0f, 4.0f});
  w.floats("input.mean", {0.5f, 0.5f, 0.5f});
  w.floats("input.std", {0.25f, 0.25f, 0.25f});
  w.text("provenance", "{}");
  w.text("weights.sha256", std::string(64, '0'));

  const uint32_t input = w.value(ValueType::f32, 6, 5, 3);
  const uint32_t slope = w.tensor(DType::f32, {35}, counted(35, real));
  const uint32_t scale = w.tensor(DType::f32, {35}, counted(35, real));
  const uint32_t stem =
      w.node(Op::conv_float, {input}, w.value(ValueType::f32, 6, 5, 35),
             {w.tensor(DType::f32, {35, 3, 3, 3}, counted(35 * 27, real)), scale, absent, slope, absent, absent},
             {1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 0});
  std::vector<float> bounds;
  for (int i = 0; i < 35; ++i) bounds.insert(bounds.end(), {i % 3 == 0 ? -infinity : real(i), infinity});
  const uint32_t bits =
      w.node(Op::binarize, {stem}, w.value(ValueType::bits, 6, 5, 35), {w.tensor(DType::f32, {35, 2}, bounds)});
  const uint32_t interval =
      w.tensor(DType::i32, {35, 2}, counted(70, [](int i) { return i % 2 == 0 ? -i % 9 : 1000; }));
  const uint32_t inner = w.node(Op::conv_binary, {bits}, w.value(ValueType::bits, 6, 5, 35),
                                {w.tensor(DType::bits, {35, 3, 3, 35}, spare(counted(35 * 9 * 2, word), 7u)), absent,
                                 absent, absent, absent, interval},
                                {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0});
  const uint32_t deep = w.node(Op::conv_binary, {inner, stem}, w.value(ValueType::f32, 6, 5, 35),
                               {w.tensor(DType::bits, {35, 3, 3, 35}, spare(counted(35 * 9 * 2, word), 7u)), scale,
                                slope, absent, absent, absent},
                               {1, 1, 1, 1, 1, 1, 1, 1, 1, 2, -1});
  const uint32_t padded = w.node(Op::pad_channels, {deep}, w.value(ValueType::f32, 6, 5, 38), {}, {1, 2});
  const uint32_t scaled =
      w.node(Op::pointwise, {padded, padded}, w.value(ValueType::f32, 6, 5, 38), {absent, absent, absent, absent}, {1});
  const uint32_t multiplier = w.tensor<float>(DType::f32, {1}, {9.5f});
  const uint32_t mixed = w.node(
      Op::conv_int8, {scaled, scaled}, w.value(ValueType::f32, 6, 5, 38),
      {w.tensor(DType::i8, {38, 3, 2, 19}, counted(38 * 3 * 2 * 19, int8)), absent, absent, absent, absent, multiplier},
      {1, 1, 2, 0, 0, 1, 1, 1, 2, 0, 130});
  const uint32_t pooled =
      w.node(Op::max_pool, {mixed}, w.value(ValueType::f32, 3, 2, 38), {}, {2, 2, 2, 2, 0, 0, 0, 0});
  const uint32_t features =
      w.node(Op::average_pool, {pooled}, w.value(ValueType::f32, 1, 1, 38), {}, {3, 2, 1, 1, 0, 0, 0, 0, 0});
  const uint32_t logits =
      w.node(Op::conv_float, {features}, w.value(ValueType::f32, 1, 1, 4),
             {w.tensor(DType::f32, {4, 1, 1, 38}, counted(4 * 38, real)), absent, absent, absent, absent, absent},
             {1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0});
  w.outputs = {{logits, "logits"}, {features, "features"}};
  return w;
}

}  // namespace onebit::test
