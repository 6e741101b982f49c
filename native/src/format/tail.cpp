// Checks META's entries of a teachable tail (docs/file-format.md): their tensors exist and have the right type.
#include <algorithm>
#include <cmath>

#include "format/sections.h"

namespace onebit {
namespace {

const Tensor& tensor(const Model& model, uint32_t index, DType dtype, const char* key) {
  if (index >= model.tensors.size()) bad_file("META: ", key, " names tensor ", index, ", which does not exist");
  const Tensor& found = model.tensors[index];
  if (found.dtype != dtype || found.rank != 4)
    bad_file("META: ", key, " names tensor ", index, ", which has not its type or rank");
  return found;
}

}  // namespace

void check_tail(const Model& model) {
  const auto all_finite = [](const std::vector<float>& values) {
    return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
  };
  if (const auto* ranges = typed_entry<std::vector<float>>(model, "tail.ranges")) {
    bool ordered = ranges->size() % 2 == 0 && all_finite(*ranges);
    for (size_t i = 0; ordered && i < ranges->size(); i += 2) ordered = (*ranges)[i] <= (*ranges)[i + 1];
    if (!ordered) bad_file("META: tail.ranges is not pairs of a minimum and a maximum");
  }
  if (const auto* largest = typed_entry<std::vector<float>>(model, "tail.latent_max"))
    if (!all_finite(*largest)) bad_file("META: tail.latent_max is not finite");
  typed_entry<std::vector<uint32_t>>(model, "tail.estimators");
  if (const auto* latent = typed_entry<std::vector<uint32_t>>(model, "tail.latent"))
    for (const uint32_t index : *latent) tensor(model, index, DType::i8, "tail.latent");
  if (const auto* replay = typed_entry<std::vector<uint32_t>>(model, "tail.replay")) {
    if (replay->empty()) bad_file("META: tail.replay is empty");
    if (tensor(model, replay->front(), DType::bits, "tail.replay").dims[0] != replay->size() - 1)
      bad_file("META: tail.replay does not have a label for each item");
  }
}

}  // namespace onebit
