#include <set>

#include "format/sections.h"

namespace onebit {
namespace {

constexpr uint32_t kMaxCount = 65536;  // nodes, and values
constexpr uint32_t kMaxOutputs = 64;
constexpr uint32_t kMaxSide = 1u << 24;
constexpr uint64_t kMaxElements = uint64_t{1} << 28;
constexpr uint32_t kMaxInputs = 2;
constexpr uint64_t kNameSize = 60;

Value read_value(Cursor& cursor, uint32_t index) {
  const uint32_t type = cursor.u32();
  if (type < 1 || type > 2) bad_file("GRPH: value ", index, ": there is no type ", type);
  Value value{static_cast<ValueType>(type), 0, 0, 0};
  for (uint32_t* side : {&value.h, &value.w, &value.c}) {
    *side = cursor.u32();
    if (*side < 1 || *side > kMaxSide)
      bad_file("GRPH: value ", index, ": a side of ", *side, " is outside 1 to ", kMaxSide);
  }
  if (uint64_t{value.h} * value.w > kMaxElements || value.elements() > kMaxElements)
    bad_file("GRPH: value ", index, " has more than ", kMaxElements, " elements");
  return value;
}

// `produced` says which values are there before this node runs.
Node read_node(Cursor& cursor, uint32_t index, const Model& model, std::vector<bool>& produced) {
  Node node{};
  std::string place = text("GRPH: node ", index);
  const uint32_t op = cursor.u32();
  const Signature* expected = signature(op);
  if (expected == nullptr) bad_file(place, ": there is no operator ", op);
  node.op = static_cast<Op>(op);
  const uint32_t inputs = cursor.u32();
  const uint32_t tensors = cursor.u32();
  const uint32_t attributes = cursor.u32();
  node.output = cursor.u32();
  node.name = cursor.padded_utf8(kNameSize);
  place += text(" ", quoted(node.name), " (", expected->name, ")");
  if (inputs < 1 || inputs > (expected->residual ? kMaxInputs : 1)) bad_file(place, " has ", inputs, " inputs");
  if (tensors != expected->tensors) bad_file(place, " has ", tensors, " tensors instead of ", expected->tensors);
  if (attributes != expected->attributes)
    bad_file(place, " has ", attributes, " attributes instead of ", expected->attributes);

  RawNode raw;
  for (uint32_t i = 0; i < inputs; ++i) {
    const uint32_t value = cursor.u32();
    if (value >= model.values.size() || !produced[value])
      bad_file(place, ": input ", i, " is value ", value, ", which no earlier node makes");
    raw.inputs.push_back(value);
  }
  for (uint32_t i = 0; i < tensors; ++i) raw.tensors.push_back(cursor.u32());
  for (uint32_t i = 0; i < attributes; ++i) raw.attributes.push_back(cursor.i32());

  if (node.output >= model.values.size()) bad_file(place, ": there is no value ", node.output, " for its output");
  if (produced[node.output]) bad_file(place, ": value ", node.output, " is made twice");
  node.input = raw.inputs[0];
  if (inputs == 2) node.residual = raw.inputs[1];
  try {
    read_operator(raw, model, node);
  } catch (Error& error) {
    error.message = place + ": " + error.message;
    throw;
  }
  produced[node.output] = true;
  return node;
}

}  // namespace

void read_graph(const Section& section, Model& model) {
  Cursor cursor = section.cursor();
  const uint32_t values = cursor.u32();
  const uint32_t nodes = cursor.u32();
  model.input = cursor.u32();
  const uint32_t outputs = cursor.u32();
  if (values < 1 || values > kMaxCount) bad_file("GRPH: ", values, " values, outside 1 to ", kMaxCount);
  if (nodes > kMaxCount) bad_file("GRPH: ", nodes, " nodes, more than ", kMaxCount);
  if (outputs < 1 || outputs > kMaxOutputs) bad_file("GRPH: ", outputs, " outputs, outside 1 to ", kMaxOutputs);
  if (model.input >= values) bad_file("GRPH: there is no value ", model.input, " for the input");

  std::set<std::string> names;
  for (uint32_t i = 0; i < outputs; ++i) {
    const uint32_t value = cursor.u32();
    const std::string name = cursor.padded_utf8(kNameSize);
    if (value >= values) bad_file("GRPH: output ", quoted(name), " is value ", value, ", which does not exist");
    if (name.empty() || !names.insert(name).second) bad_file("GRPH: output ", i, " has no name of its own");
    model.outputs.push_back({value, name});
  }
  cursor.expect_room(values, 16);
  for (uint32_t i = 0; i < values; ++i) model.values.push_back(read_value(cursor, i));
  if (model.input_value().type != ValueType::f32) bad_file("GRPH: the input is not f32");
  for (const Output& output : model.outputs)
    if (model.values[output.value].type != ValueType::f32)
      bad_file("GRPH: output ", quoted(output.name), " is not f32");

  std::vector<bool> produced(values, false);
  produced[model.input] = true;
  for (uint32_t i = 0; i < nodes; ++i) model.nodes.push_back(read_node(cursor, i, model, produced));
  cursor.expect_end();
  for (uint32_t i = 0; i < values; ++i)
    if (!produced[i]) bad_file("GRPH: no node makes value ", i);
}

}  // namespace onebit
