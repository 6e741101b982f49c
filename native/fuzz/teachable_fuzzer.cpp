// Changes a model with a teachable tail, and makes and teaches a learner of what loads.
#include "lessons.h"
#include "teachable_models.h"

namespace {

constexpr uint64_t kMaxWork = 4 << 20;  // bytes and products of a sample: what a mutant asks for may be legal and huge

bool is_small(const onebit_model* model) {
  uint64_t work = 0;
  for (size_t i = 0; i < onebit_model_layer_count(model) && work <= kMaxWork; ++i) {
    const onebit_layer layer = onebit_model_layer(model, i);
    work += layer.operations + layer.traffic;
  }
  return work <= kMaxWork;
}

void teach(const onebit_model* model) {
  onebit_learner_options options = ONEBIT_LEARNER_DEFAULTS;
  options.max_classes = 4, options.max_experiences = 2, options.history = 1, options.replay = 3;
  onebit_error error;
  uint64_t size = 0;
  if (!onebit::fuzz::done(onebit_learner_size(model, &options, &size, &error), error)) return;
  onebit::fuzz::Region memory{std::vector<uint8_t>(size)};
  onebit_learner* learner = nullptr;
  const onebit_region region = memory.region();
  if (!onebit::fuzz::done(onebit_learner_create_on(&region, model, &options, &learner, &error), error)) return;
  onebit_learner_close(learner);
  onebit::fuzz::live(memory, model);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  onebit::fuzz::Choices choices(data, size);
  onebit::test::Buffer file = onebit::fuzz::teachable_model(choices.below(onebit::fuzz::kTeachableModels));
  onebit::fuzz::patch(file, choices);
  onebit::fuzz::repair(file);
  onebit_error error;
  onebit_model* model = nullptr;
  if (!onebit::fuzz::done(onebit_model_open_memory(file.data(), file.size(), &model, &error), error)) return 0;
  if (is_small(model)) teach(model);
  onebit_model_close(model);
  return 0;
}
