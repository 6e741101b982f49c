// The learner's part of the extension: the C API as one class, its errors as onebit.errors.OnebitError.
#include "onebit/learner.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <vector>

namespace nb = nanobind;

namespace {

using Features = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Probabilities = nb::ndarray<uint32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

[[noreturn]] void fail(const char* message, const char* hint) {
  const nb::object type = nb::module_::import_("onebit.errors").attr("OnebitError");
  const nb::object problem =
      type(nb::bytes(message).attr("decode")("utf-8", "replace"), nb::bytes(hint).attr("decode")("utf-8", "replace"));
  PyErr_SetObject(type.ptr(), problem.ptr());
  throw nb::python_error();
}

// Runs `call` without the GIL and raises what its status means.
template <class Call>
void checked(const Call& call) {
  onebit_error error;
  onebit_status status;
  {
    const nb::gil_scoped_release release;
    status = call(&error);
  }
  if (status == ONEBIT_OK) return;
  if (status == ONEBIT_INTERNAL) throw std::runtime_error(error.message);
  fail(error.message, error.hint);
}

nb::dict as_dict(const onebit_learner_report& report) {
  nb::dict result;
  result["bytes"] = report.bytes;
  result["experiences"] = report.experiences;
  result["commits"] = report.commits;
  result["unfinished"] = report.unfinished;
  result["damaged"] = report.damaged;
  return result;
}

class Learner {
 public:
  // `model` is the capsule of a Model's handle.
  Learner(const nb::bytes& path, const nb::capsule& model) {
    const auto* handle = static_cast<const onebit_model*>(model.data());
    checked([&](onebit_error* error) { return onebit_learner_open(path.c_str(), handle, &handle_, error); });
  }
  Learner(const Learner&) = delete;
  ~Learner() { close(); }

  static void create(const nb::bytes& path, const nb::capsule& model, uint32_t max_classes, uint32_t max_experiences,
                     uint32_t history, uint64_t seed, uint32_t replay) {
    const auto* handle = static_cast<const onebit_model*>(model.data());
    const onebit_learner_options options{max_classes, max_experiences, history, seed, replay};
    onebit_learner* made = nullptr;
    checked([&](onebit_error* error) { return onebit_learner_create(path.c_str(), handle, &options, &made, error); });
    onebit_learner_close(made);
  }

  void close() {
    onebit_learner_close(handle_);
    handle_ = nullptr;
  }

  nb::list classes() const {
    nb::list result;
    for (size_t i = 0; i < onebit_learner_class_count(handle()); ++i)
      result.append(nb::make_tuple(onebit_learner_class_name(handle_, i), onebit_learner_class_samples(handle_, i)));
    return result;
  }

  // Trains; commit() or discard() comes next.
  bool prepare(const Features& features, const std::vector<std::string>& names, const std::string& experience,
               uint32_t steps, uint32_t batch, double learning_rate, uint32_t epochs, double tail_rate, uint32_t replayed) {
    expect_width(features);
    if (features.shape(0) != names.size()) throw nb::value_error("there must be one name a sample");
    std::vector<const char*> pointers;
    for (const std::string& name : names) pointers.push_back(name.c_str());
    const onebit_teach_options options{steps, batch, learning_rate, epochs, tail_rate, replayed};
    int counted = 0;
    checked([&](onebit_error* error) {
      return onebit_learner_prepare(handle_, features.data(), pointers.data(), names.size(), experience.c_str(),
                                    &options, &counted, error);
    });
    return counted != 0;
  }

  void commit() {
    checked([learner = handle()](onebit_error* error) { return onebit_learner_commit(learner, error); });
  }

  void discard() {
    checked([learner = handle()](onebit_error* error) { return onebit_learner_discard(learner, error); });
  }

  bool counted(const std::string& experience) const {
    return onebit_learner_counted(handle(), experience.c_str()) != 0;
  }

  void predict(const Features& features, const Probabilities& probabilities) const {
    expect_width(features);
    if (probabilities.shape(0) != features.shape(0) || probabilities.shape(1) != onebit_learner_class_count(handle_))
      throw nb::value_error("the probabilities do not have one column a class");
    checked([&](onebit_error* error) {
      return onebit_learner_predict(handle_, features.data(), features.shape(0), probabilities.data(), error);
    });
  }

  void forget(const std::string& name) {
    checked(
        [&, learner = handle()](onebit_error* error) { return onebit_learner_forget(learner, name.c_str(), error); });
  }

  void rename(const std::string& name, const std::string& new_name) {
    checked([&, learner = handle()](onebit_error* error) {
      return onebit_learner_rename(learner, name.c_str(), new_name.c_str(), error);
    });
  }

  void rollback(uint32_t commits) {
    checked([&, learner = handle()](onebit_error* error) { return onebit_learner_rollback(learner, commits, error); });
  }

  uint64_t tail_operations() const { return onebit_learner_tail_operations(handle()); }
  const char* input() const { return onebit_learner_input(handle()); }
  // Items in use, and room for how many.
  nb::tuple replay() const { return nb::make_tuple(onebit_learner_items(handle()), onebit_learner_replay(handle_)); }

  nb::dict found() const { return as_dict(onebit_learner_found(handle())); }

  nb::dict check() {
    onebit_learner_report report{};
    checked([&, learner = handle()](onebit_error* error) { return onebit_learner_check(learner, &report, error); });
    return as_dict(report);
  }

 private:
  onebit_learner* handle() const {
    if (handle_ == nullptr) fail("the learner is closed", "open it again");
    return handle_;
  }
  void expect_width(const Features& features) const {
    if (features.shape(1) != onebit_learner_features(handle()))
      throw nb::value_error("the features do not have the backbone's width");
  }

  onebit_learner* handle_ = nullptr;
};

}  // namespace

void bind_learner(nb::module_& m) {
  nb::class_<Learner>(m, "Learner")
      .def(nb::init<const nb::bytes&, const nb::capsule&>(), nb::arg("path"), nb::arg("model"))
      .def_static("create", &Learner::create, nb::arg("path"), nb::arg("model"), nb::arg("max_classes"),
                  nb::arg("max_experiences"), nb::arg("history"), nb::arg("seed"), nb::arg("replay"))
      .def("close", &Learner::close)
      .def_prop_ro("classes", &Learner::classes)
      .def("prepare", &Learner::prepare, nb::arg("features").noconvert(), nb::arg("names"), nb::arg("experience"),
           nb::arg("steps"), nb::arg("batch"), nb::arg("learning_rate"), nb::arg("epochs"), nb::arg("tail_rate"),
           nb::arg("replayed"))
      .def("commit", &Learner::commit)
      .def("discard", &Learner::discard)
      .def("counted", &Learner::counted, nb::arg("experience"))
      .def("predict", &Learner::predict, nb::arg("features").noconvert(), nb::arg("probabilities").noconvert())
      .def("forget", &Learner::forget, nb::arg("name"))
      .def("rename", &Learner::rename, nb::arg("name"), nb::arg("new_name"))
      .def("rollback", &Learner::rollback, nb::arg("commits"))
      .def_prop_ro("input", &Learner::input)
      .def_prop_ro("replay", &Learner::replay)
      .def_prop_ro("tail_operations", &Learner::tail_operations)
      .def_prop_ro("found", &Learner::found)
      .def("check", &Learner::check);
  const onebit_teach_options defaults = ONEBIT_TEACH_DEFAULTS;
  m.attr("TEACH_DEFAULTS") =
      nb::make_tuple(defaults.steps, defaults.batch, defaults.learning_rate, defaults.epochs, defaults.tail_rate,
                     defaults.replayed);
  const onebit_learner_options made = ONEBIT_LEARNER_DEFAULTS;
  m.attr("REPLAY_DEFAULT") = made.replay;
}
