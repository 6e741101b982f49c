#include "format/model.h"

#include <algorithm>
#include <cmath>

#include "base/sha256.h"
#include "format/sections.h"

namespace onebit {
namespace {

bool all_finite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

void check_entries(const Model& model) {
  typed_entry<std::string>(model, "provenance");
  typed_entry<std::string>(model, "report");
  const auto* classes = typed_entry<std::vector<std::string>>(model, "classes");
  const size_t class_count = classes == nullptr ? 0 : classes->size();
  for (const Output& output : model.outputs) {
    const Value& value = model.values[output.value];
    if (output.name == "logits" && class_count != 0 && value.elements() != class_count)
      bad_file("META: ", class_count, " classes for ", value.elements(), " logits");
  }
  const auto* samples = typed_entry<std::vector<uint32_t>>(model, "classes.samples");
  if (samples != nullptr && samples->size() != class_count)
    bad_file("META: classes.samples has ", samples->size(), " numbers for ", class_count, " classes");
  const auto* range = typed_entry<std::vector<float>>(model, "features.range");
  if (range != nullptr && (range->size() != 2 || !all_finite(*range) || (*range)[0] > (*range)[1]))
    bad_file("META: features.range is not a minimum and a maximum");

  const auto* mean = typed_entry<std::vector<float>>(model, "input.mean");
  const auto* deviation = typed_entry<std::vector<float>>(model, "input.std");
  if ((mean == nullptr) != (deviation == nullptr)) bad_file("META: only one of input.mean and input.std is there");
  if (mean != nullptr) {
    const size_t channels = model.input_value().c;
    if (mean->size() != channels || deviation->size() != channels)
      bad_file("META: input.mean and input.std do not have one number for each of ", channels, " channels");
    const bool positive = std::all_of(deviation->begin(), deviation->end(), [](float value) { return value > 0; });
    if (!all_finite(*mean) || !all_finite(*deviation) || !positive)
      bad_file("META: input.mean must be finite and input.std finite and positive");
  }
  const auto* resize = typed_entry<std::vector<uint32_t>>(model, "input.resize");
  const Value& input = model.input_value();
  if (resize != nullptr && (resize->size() != 1 || (*resize)[0] < std::max(input.h, input.w)))
    bad_file("META: input.resize is not one number of at least ", std::max(input.h, input.w), " pixels");
}

void check_hash(const Model& model, const Sections& sections) {
  const auto* stated = typed_entry<std::string>(model, "weights.sha256");
  if (stated == nullptr) bad_file("META: weights.sha256 is absent");
  Sha256 hash;
  for (const Section* section : {&sections.graph, &sections.tensors, &sections.data})
    hash.add(section->data, section->size);
  if (hash.hex() != *stated) bad_file("META: weights.sha256 is not the hash of the weights");
}

}  // namespace

std::shared_ptr<const Model> read_model(Bytes bytes) {
  auto model = std::make_shared<Model>(Model{std::move(bytes), {}, {}, {}, {}, {}, 0});
  const Sections sections = read_sections(model->bytes);
  model->meta = read_meta(sections.meta);
  model->tensors = read_tensors(sections.tensors, sections.data);
  read_graph(sections.graph, *model);
  check_entries(*model);
  check_tail(*model);
  check_hash(*model, sections);
  return model;
}

}  // namespace onebit
