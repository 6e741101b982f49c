// The engine's part of the extension: the C API as two classes, its errors as onebit.errors.OnebitError.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "onebit/compile.h"
#include "onebit/embedded.h"

namespace nb = nanobind;

namespace {

using Input = nb::ndarray<const float, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<float, nb::ndim<4>, nb::c_contig, nb::device::cpu>;

nb::object decoded(const char* bytes) {
  return nb::steal(PyUnicode_DecodeUTF8(bytes, static_cast<Py_ssize_t>(std::strlen(bytes)), "replace"));
}

// Raises what the status means to Python; the GIL is held.
void check(onebit_status status, const onebit_error& error) {
  if (status == ONEBIT_OK) return;
  if (status == ONEBIT_INTERNAL) throw std::runtime_error(error.message);
  const nb::object type = nb::module_::import_("onebit.errors").attr("OnebitError");
  const nb::object problem = type(decoded(error.message), decoded(error.hint));
  PyErr_SetObject(type.ptr(), problem.ptr());
  throw nb::python_error();
}

nb::tuple shape_of(const onebit_shape& shape) { return nb::make_tuple(shape.h, shape.w, shape.c); }

size_t size_of(const onebit_shape& shape) { return size_t{shape.h} * shape.w * shape.c; }

class Model {
 public:
  explicit Model(const nb::bytes& path) {
    onebit_error error;
    onebit_status status;
    {
      const nb::gil_scoped_release release;
      status = onebit_model_open(path.c_str(), &handle_, &error);
    }
    check(status, error);
  }
  Model(const Model&) = delete;
  ~Model() { onebit_model_close(handle_); }

  // The C API uses aligned memory in place, and Python may free `content` before the sessions and learners of the model
  // are closed. So it is shown a copy that is not aligned, and makes its own.
  static Model* from_bytes(const nb::bytes& content) {
    std::unique_ptr<Model> model(new Model);
    onebit_error error;
    onebit_status status;
    {
      const nb::gil_scoped_release release;
      std::vector<char> shifted(content.size() + 1);
      std::memcpy(shifted.data() + 1, content.c_str(), content.size());
      status = onebit_model_open_memory(shifted.data() + 1, content.size(), &model->handle_, &error);
    }
    check(status, error);
    return model.release();
  }

  onebit_model* handle() const { return handle_; }

  nb::list outputs() const {
    nb::list result;
    for (size_t i = 0; i < onebit_model_output_count(handle_); ++i)
      result.append(
          nb::make_tuple(onebit_model_output_name(handle_, i), shape_of(onebit_model_output_shape(handle_, i))));
    return result;
  }

  nb::list classes() const {
    nb::list result;
    for (size_t i = 0; i < onebit_model_class_count(handle_); ++i) result.append(onebit_model_class_name(handle_, i));
    return result;
  }

  nb::object text(const char* key) const {
    const char* value = onebit_model_text(handle_, key);
    return value == nullptr ? nb::none() : nb::object(nb::str(value));
  }

  nb::object floats(const char* key) const {
    size_t count = 0;
    const float* values = onebit_model_floats(handle_, key, &count);
    return values == nullptr ? nb::none() : nb::cast(std::vector<float>(values, values + count));
  }

  nb::object integers(const char* key) const {
    size_t count = 0;
    const uint32_t* values = onebit_model_integers(handle_, key, &count);
    return values == nullptr ? nb::none() : nb::cast(std::vector<uint32_t>(values, values + count));
  }

  nb::list layers() const {
    nb::list result;
    for (size_t i = 0; i < onebit_model_layer_count(handle_); ++i) {
      const onebit_layer layer = onebit_model_layer(handle_, i);
      result.append(nb::make_tuple(layer.name, layer.op, shape_of(layer.input), shape_of(layer.output),
                                   layer.weight_bits, layer.bytes, layer.operations, layer.traffic));
    }
    return result;
  }

 private:
  Model() = default;

  onebit_model* handle_ = nullptr;
};

class Session {
 public:
  Session(const Model& model, uint32_t batch, uint32_t threads, const std::string& isa,
          const std::vector<std::string>& outputs)
      : batch(batch),
        layers_(onebit_model_layer_count(model.handle())),
        input_size_(size_of(onebit_model_input(model.handle()))) {
    std::vector<const char*> names;
    for (const std::string& output : outputs) {
      names.push_back(output.c_str());
      for (size_t i = 0; i < onebit_model_output_count(model.handle()); ++i)
        if (output == onebit_model_output_name(model.handle(), i))
          output_sizes_.push_back(size_of(onebit_model_output_shape(model.handle(), i)));
    }
    const onebit_session_options options{batch, threads, isa.empty() ? nullptr : isa.c_str(), names.data(),
                                         names.size()};
    onebit_error error;
    onebit_status status;
    {
      const nb::gil_scoped_release release;
      status = onebit_session_open(model.handle(), &options, &handle_, &error);
    }
    check(status, error);
  }
  Session(const Session&) = delete;
  ~Session() { onebit_session_close(handle_); }

  void run(const Input& input, const std::vector<Output>& outputs) {
    const size_t count = input.shape(0);
    bool fitting = outputs.size() == output_sizes_.size() && input.size() == count * input_size_;
    std::vector<float*> buffers;
    for (size_t i = 0; fitting && i < outputs.size(); ++i) {
      fitting = outputs[i].size() == count * output_sizes_[i];
      buffers.push_back(outputs[i].data());
    }
    if (!fitting) throw nb::value_error("the arrays do not have the model's shapes");
    onebit_error error;
    onebit_status status;
    {
      const nb::gil_scoped_release release;
      status = onebit_session_run(handle_, input.data(), static_cast<uint32_t>(count), buffers.data(), &error);
    }
    check(status, error);
  }

  std::vector<uint64_t> profile() {
    std::vector<uint64_t> times(layers_);
    onebit_error error;
    if (layers_ > 0) check(onebit_session_profile(handle_, times.data(), &error), error);
    return times;
  }

  nb::list kernels() const {
    nb::list result;
    for (size_t i = 0; i < layers_; ++i) result.append(onebit_session_kernel(handle_, i));
    return result;
  }

  const char* isa() const { return onebit_session_isa(handle_); }
  uint64_t arena_bytes() const { return onebit_session_arena_bytes(handle_); }
  uint64_t weight_bytes() const { return onebit_session_weight_bytes(handle_); }

  const uint32_t batch;

 private:
  onebit_session* handle_ = nullptr;
  size_t layers_, input_size_;
  std::vector<size_t> output_sizes_;
};

// A model compiled for a device without an operating system. Run here, it answers as it will there.
class Program {
 public:
  Program(const Model& model, const std::vector<std::string>& outputs) {
    std::vector<const char*> names;
    for (const std::string& output : outputs) names.push_back(output.c_str());
    onebit_error error;
    onebit_status status;
    {
      const nb::gil_scoped_release release;
      status = onebit_model_compile(model.handle(), names.data(), names.size(), &program_, &size_, &error);
    }
    check(status, error);
  }
  Program(const Program&) = delete;
  ~Program() { onebit_program_free(program_); }

  nb::bytes data() const { return nb::bytes(program_, size_); }
  uint64_t arena_bytes() const { return onebit_program_arena_bytes(program_); }

  void run(const Input& input, const std::vector<Output>& outputs) const {
    bool fitting = input.size() == size_of(onebit_program_input(program_)) &&
                   outputs.size() == onebit_program_output_count(program_);
    for (size_t i = 0; fitting && i < outputs.size(); ++i)
      fitting = outputs[i].size() == size_of(onebit_program_output_shape(program_, i));
    if (!fitting) throw nb::value_error("the arrays do not have the program's shapes");
    constexpr size_t alignment = ONEBIT_PROGRAM_ALIGNMENT;
    std::vector<uint8_t> memory(arena_bytes() + alignment);
    uint8_t* arena = memory.data() + (alignment - reinterpret_cast<uintptr_t>(memory.data()) % alignment);
    if (onebit_program_run(program_, arena, arena_bytes(), input.data()) != ONEBIT_OK)
      throw std::runtime_error("the program did not run");
    for (size_t i = 0; i < outputs.size(); ++i)
      std::memcpy(outputs[i].data(), onebit_program_output(program_, arena, i), 4 * outputs[i].size());
  }

 private:
  void* program_ = nullptr;
  size_t size_ = 0;
};

nb::list instruction_sets() {
  nb::list result;
  for (size_t i = 0; onebit_isa(i) != nullptr; ++i) result.append(onebit_isa(i));
  return result;
}

nb::tuple rates(const std::string& isa) {
  onebit_rates measured;
  onebit_error error;
  onebit_status status;
  {
    const nb::gil_scoped_release release;
    status = onebit_measure_rates(isa.empty() ? nullptr : isa.c_str(), &measured, &error);
  }
  check(status, error);
  return nb::make_tuple(measured.binary, measured.real, measured.bytes, measured.int8);
}

}  // namespace

void bind_engine(nb::module_& m) {
  nb::class_<Model>(m, "Model")
      .def(nb::init<const nb::bytes&>(), nb::arg("path"))
      .def_static("from_bytes", &Model::from_bytes, nb::arg("content"))
      .def_prop_ro("input", [](const Model& model) { return shape_of(onebit_model_input(model.handle())); })
      .def_prop_ro("outputs", &Model::outputs)
      .def_prop_ro("classes", &Model::classes)
      .def_prop_ro("layers", &Model::layers)
      .def("text", &Model::text)
      .def("floats", &Model::floats)
      .def("integers", &Model::integers)
      .def_prop_ro("handle", [](const Model& model) { return nb::capsule(model.handle(), "onebit_model"); });
  nb::class_<Session>(m, "Session")
      .def(nb::init<const Model&, uint32_t, uint32_t, const std::string&, const std::vector<std::string>&>(),
           nb::arg("model"), nb::arg("batch"), nb::arg("threads"), nb::arg("isa"), nb::arg("outputs"))
      .def("run", &Session::run, nb::arg("input").noconvert(), nb::arg("outputs").noconvert())
      .def("profile", &Session::profile)
      .def_ro("batch", &Session::batch)
      .def_prop_ro("isa", &Session::isa)
      .def_prop_ro("kernels", &Session::kernels)
      .def_prop_ro("arena_bytes", &Session::arena_bytes)
      .def_prop_ro("weight_bytes", &Session::weight_bytes);
  nb::class_<Program>(m, "Program")
      .def(nb::init<const Model&, const std::vector<std::string>&>(), nb::arg("model"), nb::arg("outputs"))
      .def_prop_ro("data", &Program::data)
      .def_prop_ro("arena_bytes", &Program::arena_bytes)
      .def("run", &Program::run, nb::arg("input").noconvert(), nb::arg("outputs").noconvert());
  m.def("isas", &instruction_sets, "Instruction sets that this build and this CPU have, best first.");
  m.def("rates", &rates, nb::arg("isa"),
        "What one thread reaches in the caches: binary and real products, bytes copied, products of bytes; a second.");
  m.def(
      "crc32c", [](const nb::bytes& data, uint32_t init) { return onebit_crc32c(data.c_str(), data.size(), init); },
      nb::arg("data"), nb::arg("init") = 0, "CRC-32C of the bytes; init is the checksum of what came before them.");
}
