#include "graph/plan.h"

#include <algorithm>

#include "base/error.h"
#include "graph/fusion.h"
#include "graph/lowering.h"

namespace onebit {
namespace {

std::vector<uint32_t> choose_outputs(const Model& model, const std::vector<std::string>& names) {
  const auto& all = model.outputs;
  std::vector<uint32_t> chosen;
  if (names.empty())
    for (uint32_t i = 0; i < all.size(); ++i) chosen.push_back(i);
  for (const std::string& name : names) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const Output& output) { return output.name == name; });
    if (found == all.end()) {
      std::string have;
      for (const Output& output : all) have += (have.empty() ? "" : ", ") + output.name;
      throw Error(ONEBIT_INVALID_ARGUMENT, text("the model has no output ", quoted(name)), "its outputs: " + have);
    }
    chosen.push_back(static_cast<uint32_t>(found - all.begin()));
  }
  return chosen;
}

}  // namespace

Plan::Plan(std::shared_ptr<const Model> model_read, const Kernels& table, std::shared_ptr<const PackedWeights> packed,
           int32_t max_samples, int thread_count, const std::vector<std::string>& names)
    : model(std::move(model_read)),
      kernels(table),
      weights(std::move(packed)),
      batch(max_samples),
      threads(thread_count),
      outputs(choose_outputs(*model, names)) {
  if (batch < 1 || batch > kMaxBatch)
    throw Error(ONEBIT_INVALID_ARGUMENT, text("batch ", batch, " is outside 1 to ", kMaxBatch));
  if (threads < 1 || threads > kMaxThreads)
    throw Error(ONEBIT_INVALID_ARGUMENT, text(threads, " threads, outside 1 to ", kMaxThreads));
  lower(fuse(*model, outputs), *this);
}

}  // namespace onebit
