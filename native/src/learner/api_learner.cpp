// The C API of the learner.
#include "api.h"
#include "api_model.h"
#include "learner/backbone.h"
#include "learner/learner.h"
#include "onebit/learner.h"

using onebit::Error;
using onebit::guarded;
using onebit::learner::Learner;

struct onebit_learner {
  explicit onebit_learner(Learner learner) : learner(std::move(learner)), classes(this->learner.classes()) {}

  Learner learner;
  std::vector<onebit::learner::ClassSlot> classes;
};

namespace {

template <class... Pointers>
void need(const Pointers*... pointers) {
  if (!(static_cast<bool>(pointers) && ...)) throw Error(ONEBIT_INVALID_ARGUMENT, "an argument is null");
}

onebit_learner_report summary(const Learner& learner, const onebit::store::Report& report) {
  return {learner.store().size(), learner.state().taught, learner.store().ancestors(), report.unfinished,
          report.damaged};
}

// Runs a change and then refreshes what the handle shows of the classes.
template <class Change>
onebit_status change(onebit_learner* handle, onebit_error* error, const Change& apply) noexcept {
  return guarded(error, [&] {
    need(handle);
    apply(handle->learner);
    handle->classes = handle->learner.classes();
  });
}

}  // namespace

onebit_status onebit_learner_create(const char* path, const onebit_model* model, const onebit_learner_options* options,
                                    onebit_learner** learner, onebit_error* error) noexcept {
  return guarded(error, [&] {
    need(path, model, options, learner);
    *learner = nullptr;
    const onebit::learner::Options wanted{options->max_classes, options->max_experiences, options->history,
                                          options->seed};
    *learner = new onebit_learner(Learner::create(path, onebit::learner::read_backbone(*model->model), wanted));
  });
}

onebit_status onebit_learner_open(const char* path, const onebit_model* model, onebit_learner** learner,
                                  onebit_error* error) noexcept {
  return guarded(error, [&] {
    need(path, model, learner);
    *learner = nullptr;
    *learner = new onebit_learner(
        Learner::open(onebit::store::open_file(path), onebit::learner::backbone_hash(*model->model)));
  });
}

void onebit_learner_close(onebit_learner* learner) noexcept { delete learner; }

uint32_t onebit_learner_features(const onebit_learner* learner) noexcept {
  return learner->learner.constant().numbers.features;
}

size_t onebit_learner_class_count(const onebit_learner* learner) noexcept { return learner->classes.size(); }

const char* onebit_learner_class_name(const onebit_learner* learner, size_t index) noexcept {
  return index < learner->classes.size() ? learner->classes[index].name.c_str() : nullptr;
}

uint32_t onebit_learner_class_samples(const onebit_learner* learner, size_t index) noexcept {
  return index < learner->classes.size() ? learner->classes[index].past : 0;
}

onebit_status onebit_learner_teach(onebit_learner* learner, const float* features, const char* const* names,
                                   size_t count, const char* experience, const onebit_teach_options* options,
                                   int* counted, onebit_error* error) noexcept {
  return change(learner, error, [&](Learner& target) {
    need(features, names, experience, options);
    std::vector<std::string> labels;
    for (size_t i = 0; i < count; ++i) {
      need(names[i]);
      labels.emplace_back(names[i]);
    }
    const bool done =
        target.teach(features, labels, experience, {options->steps, options->batch, options->learning_rate});
    if (counted) *counted = done;
  });
}

onebit_status onebit_learner_predict(const onebit_learner* learner, const float* features, size_t count,
                                     uint32_t* probabilities, onebit_error* error) noexcept {
  return guarded(error, [&] {
    need(learner, features, probabilities);
    learner->learner.predict(features, count, probabilities);
  });
}

onebit_status onebit_learner_forget(onebit_learner* learner, const char* name, onebit_error* error) noexcept {
  return change(learner, error, [&](Learner& target) {
    need(name);
    target.forget(name);
  });
}

onebit_status onebit_learner_rollback(onebit_learner* learner, uint32_t commits, onebit_error* error) noexcept {
  return change(learner, error, [&](Learner& target) { target.rollback(commits); });
}

onebit_learner_report onebit_learner_found(const onebit_learner* learner) noexcept {
  return summary(learner->learner, learner->learner.store().found());
}

onebit_status onebit_learner_check(onebit_learner* learner, onebit_learner_report* report,
                                   onebit_error* error) noexcept {
  return guarded(error, [&] {
    need(learner, report);
    *report = summary(learner->learner, learner->learner.store().check());
  });
}
