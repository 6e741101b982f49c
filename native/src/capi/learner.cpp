// The C API of the learner.
#include "capi/model.h"
#include "capi/status.h"
#include "learner/backbone.h"
#include "learner/learner.h"
#include "onebit/learner.h"

using onebit::Error;
using onebit::guarded;
using onebit::learner::Learner;

struct onebit_learner {
  explicit onebit_learner(Learner learner) : learner(std::move(learner)) {}

  Learner learner;
};

namespace {

// A region of the caller's as the store's file.
class Region : public onebit::store::File {
 public:
  explicit Region(const onebit_region& region) : region_(region) {}
  uint64_t size() const override { return region_.size; }
  void read(uint64_t offset, void* bytes, size_t count) override {
    expect_done(region_.read(region_.context, offset, bytes, count), "read");
  }
  void write(uint64_t offset, const void* bytes, size_t count) override {
    expect_done(region_.write(region_.context, offset, bytes, count), "written");
  }
  void sync() override { expect_done(region_.sync(region_.context), "synced"); }

 private:
  static void expect_done(int result, const char* what) {
    if (result == 0) return;
    throw Error(ONEBIT_IO, onebit::text("the learner's region cannot be ", what, ": the device says ", result));
  }
  onebit_region region_;
};

template <class... Pointers>
void need(const Pointers*... pointers) {
  if (!(static_cast<bool>(pointers) && ...)) throw Error(ONEBIT_INVALID_ARGUMENT, "an argument is null");
}

std::unique_ptr<Region> region_of(const onebit_region* region) {
  need(region);
  if (!region->read || !region->write || !region->sync)
    throw Error(ONEBIT_INVALID_ARGUMENT, "the region lacks a function");
  return std::make_unique<Region>(*region);
}

onebit::learner::Options options_of(const onebit_learner_options& options) {
  return {options.max_classes, options.max_experiences, options.history, options.seed, options.replay};
}

onebit::learner::TrainOptions options_of(const onebit_teach_options& options) {
  return {options.steps, options.batch, options.learning_rate, options.epochs, options.tail_rate, options.replayed};
}

onebit_learner_report summary(const Learner& learner, const onebit::store::Report& report) {
  return {learner.store().size(), learner.state().taught, learner.store().ancestors(), report.unfinished,
          report.damaged};
}

// Opens the learner in a file; refuses one that was made from another model.
onebit_learner* open_in(std::unique_ptr<onebit::store::File> file, const onebit::Model& model) {
  using namespace onebit::learner;
  Learner learner = Learner::open(std::move(file), backbone_hash(model), tail_of(model));
  for (const onebit::Output& output : model.outputs) {
    if (output.name == "features" && model.values[output.value].c == learner.constant().numbers.features)
      return new onebit_learner(std::move(learner));
  }
  throw Error(ONEBIT_BAD_FILE, "the learner's state is of other features than its model has",
              "restore the file from a copy, or make a new learner");
}

template <class Change>
onebit_status change(onebit_learner* handle, onebit_error* error, const Change& apply) noexcept {
  return guarded(error, [&] {
    need(handle);
    apply(handle->learner);
  });
}

using Update = bool (Learner::*)(const float*, const std::vector<std::string>&, const std::string&,
                                 const onebit::learner::TrainOptions&);

onebit_status run_update(Update update, onebit_learner* learner, const float* features, const char* const* names,
                         size_t count, const char* experience, const onebit_teach_options* options, int* counted,
                         onebit_error* error) noexcept {
  return change(learner, error, [&](Learner& target) {
    need(features, names, experience, options);
    std::vector<std::string> labels;
    for (size_t i = 0; i < count; ++i) {
      need(names[i]);
      labels.emplace_back(names[i]);
    }
    const bool done = (target.*update)(features, labels, experience, options_of(*options));
    if (counted) *counted = done;
  });
}

}  // namespace

onebit_status onebit_learner_create(const char* path, const onebit_model* model, const onebit_learner_options* options,
                                    onebit_learner** learner, onebit_error* error) noexcept {
  return guarded(error, [&] {
    need(path, model, options, learner);
    *learner = nullptr;
    auto backbone = onebit::learner::read_backbone(*model->model);
    *learner = new onebit_learner(Learner::create(path, std::move(backbone), options_of(*options)));
  });
}

onebit_status onebit_learner_create_on(const onebit_region* region, const onebit_model* model,
                                       const onebit_learner_options* options, onebit_learner** learner,
                                       onebit_error* error) noexcept {
  return guarded(error, [&] {
    need(model, options, learner);
    *learner = nullptr;
    auto backbone = onebit::learner::read_backbone(*model->model);
    *learner = new onebit_learner(Learner::create(region_of(region), std::move(backbone), options_of(*options)));
  });
}

onebit_status onebit_learner_size(const onebit_model* model, const onebit_learner_options* options, uint64_t* bytes,
                                  onebit_error* error) noexcept {
  return guarded(error, [&] {
    need(model, options, bytes);
    *bytes = Learner::bytes(onebit::learner::read_backbone(*model->model), options_of(*options));
  });
}

onebit_status onebit_learner_open(const char* path, const onebit_model* model, onebit_learner** learner,
                                  onebit_error* error) noexcept {
  return guarded(error, [&] {
    need(path, model, learner);
    *learner = nullptr;
    *learner = open_in(onebit::store::open_file(path), *model->model);
  });
}

onebit_status onebit_learner_open_on(const onebit_region* region, const onebit_model* model, onebit_learner** learner,
                                     onebit_error* error) noexcept {
  return guarded(error, [&] {
    need(model, learner);
    *learner = nullptr;
    *learner = open_in(region_of(region), *model->model);
  });
}

void onebit_learner_close(onebit_learner* learner) noexcept { delete learner; }

uint32_t onebit_learner_features(const onebit_learner* learner) noexcept {
  return static_cast<uint32_t>(learner->learner.input_width());
}

const char* onebit_learner_input(const onebit_learner* learner) noexcept {
  return learner->learner.has_tail() ? "latents" : "features";
}

uint64_t onebit_learner_tail_operations(const onebit_learner* learner) noexcept {
  return learner->learner.tail_operations();
}

uint32_t onebit_learner_items(const onebit_learner* learner) noexcept {
  return static_cast<uint32_t>(learner->learner.state().replay.used().size());
}

uint32_t onebit_learner_replay(const onebit_learner* learner) noexcept {
  return learner->learner.state().replay.capacity();
}

size_t onebit_learner_class_count(const onebit_learner* learner) noexcept { return learner->learner.classes().size(); }

const char* onebit_learner_class_name(const onebit_learner* learner, size_t index) noexcept {
  const auto& classes = learner->learner.classes();
  return index < classes.size() ? classes[index].name.c_str() : nullptr;
}

uint32_t onebit_learner_class_samples(const onebit_learner* learner, size_t index) noexcept {
  const auto& classes = learner->learner.classes();
  return index < classes.size() ? classes[index].past : 0;
}

onebit_status onebit_learner_teach(onebit_learner* learner, const float* features, const char* const* names,
                                   size_t count, const char* experience, const onebit_teach_options* options,
                                   int* counted, onebit_error* error) noexcept {
  return run_update(&Learner::teach, learner, features, names, count, experience, options, counted, error);
}

onebit_status onebit_learner_prepare(onebit_learner* learner, const float* features, const char* const* names,
                                     size_t count, const char* experience, const onebit_teach_options* options,
                                     int* counted, onebit_error* error) noexcept {
  return run_update(&Learner::prepare, learner, features, names, count, experience, options, counted, error);
}

onebit_status onebit_learner_commit(onebit_learner* learner, onebit_error* error) noexcept {
  return change(learner, error, [](Learner& target) { target.commit(); });
}

onebit_status onebit_learner_discard(onebit_learner* learner, onebit_error* error) noexcept {
  return change(learner, error, [](Learner& target) { target.discard(); });
}

int onebit_learner_counted(const onebit_learner* learner, const char* experience) noexcept {
  return learner->learner.counted(experience);
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

onebit_status onebit_learner_rename(onebit_learner* learner, const char* name, const char* new_name,
                                    onebit_error* error) noexcept {
  return change(learner, error, [&](Learner& target) {
    need(name, new_name);
    target.rename(name, new_name);
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
