// The products of binary convolutions in training, on arrays of (batch, height, width, channels).
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <array>
#include <optional>
#include <stdexcept>
#include <string>

#include "gradient/products.h"
#include "graph/rates.h"
#include "kernels/registry.h"
#include "kernels/shape.h"
#include "shape.h"

namespace nb = nanobind;

namespace {

using Floats = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using FloatsOut = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using Words = nb::ndarray<const int32_t, nb::c_contig, nb::device::cpu>;
using WordsOut = nb::ndarray<int32_t, nb::c_contig, nb::device::cpu>;
class Products {
 public:
  Products(int threads, const std::string& isa) : products_(make(threads, isa)) {}

  const char* isa() const { return products_.isa(); }

  bool pack(const Floats& values, const WordsOut& words) {
    const auto channels = static_cast<int64_t>(values.shape(values.ndim() - 1));
    const int64_t rows = static_cast<int64_t>(values.size()) / channels;
    expect(words, rows * onebit::words_of(channels));
    const nb::gil_scoped_release release;
    return products_.pack(values.data(), rows, channels, unsigned_words(words));
  }

  void forward(const Sides& sides, const Floats& x, const Words& weight, const WordsOut& bits,
               const FloatsOut& output) {
    const onebit::ConvShape s = fitting(sides);
    expect(x, input_pixels(s) * s.in_c);
    expect(weight, weight_words(s));
    expect(bits, input_pixels(s) * onebit::words_of(s.in_c));
    expect(output, outputs(s));
    const nb::gil_scoped_release release;
    products_.forward(s, x.data(), unsigned_words(weight), unsigned_words(bits), output.data());
  }

  void backward(const Sides& sides, const Floats& gradient, int32_t levels, uint32_t seed, const Words& weight,
                const Words& bits, const std::optional<Floats>& x, int32_t estimator,
                const std::optional<FloatsOut>& input_gradient, const std::optional<FloatsOut>& weight_gradient) {
    const onebit::ConvShape s = fitting(sides);
    expect(gradient, outputs(s));
    expect(weight, weight_words(s));
    expect(bits, input_pixels(s) * onebit::words_of(s.in_c));
    if (x) expect(*x, input_pixels(s) * s.in_c);
    if (input_gradient) expect(*input_gradient, input_pixels(s) * s.in_c);
    if (weight_gradient) expect(*weight_gradient, s.out_c * onebit::taps_of(s) * s.in_c);
    if (levels < 1 || levels > 255 || estimator < 0 || estimator > 2 || (estimator > 0 && !x))
      throw nb::value_error("no such levels or estimator");
    const onebit::Rounding rounding = {levels, seed};
    const nb::gil_scoped_release release;
    products_.backward(s, gradient.data(), rounding, unsigned_words(weight), unsigned_words(bits),
                       x ? x->data() : nullptr, static_cast<onebit::Estimator>(estimator),
                       input_gradient ? input_gradient->data() : nullptr,
                       weight_gradient ? weight_gradient->data() : nullptr);
  }

 private:
  static onebit::Products make(int threads, const std::string& isa) {
    if (threads < 1 || threads > 1024) throw nb::value_error("threads are 1 to 1024");
    const onebit::Isa* found = onebit::select_isa(isa.c_str());
    if (!found || !found->training) throw nb::value_error("no kernels for training on this instruction set");
    return onebit::Products(found->kernels(), found->training(), threads);
  }

  static onebit::ConvShape fitting(const Sides& sides) {
    const onebit::ConvShape s = shape_of(sides);
    if (const char* why = onebit::Products::unfit(s)) throw nb::value_error(why);
    return s;
  }

  static int64_t input_pixels(const onebit::ConvShape& s) { return int64_t{s.batch} * s.in_h * s.in_w; }
  static int64_t outputs(const onebit::ConvShape& s) { return onebit::rows_of(s) * s.out_w * s.out_c; }
  static int64_t weight_words(const onebit::ConvShape& s) {
    return s.out_c * onebit::taps_of(s) * onebit::words_of(s.in_c);
  }

  template <class Array>
  static void expect(const Array& array, int64_t size) {
    if (static_cast<int64_t>(array.size()) != size) throw nb::value_error("the arrays do not have the shape's sizes");
  }

  static const uint32_t* unsigned_words(const Words& words) { return reinterpret_cast<const uint32_t*>(words.data()); }
  static uint32_t* unsigned_words(const WordsOut& words) { return reinterpret_cast<uint32_t*>(words.data()); }

  onebit::Products products_;
};

std::optional<std::string> training_isa(const std::string& name) {
  const onebit::Isa* isa = onebit::select_isa(name.c_str());
  if (!isa || !isa->training) return std::nullopt;
  return isa->kernels().name;
}

double level_rate(const std::string& name) {
  const onebit::Isa* isa = onebit::select_isa(name.c_str());
  if (!isa || !isa->training) throw nb::value_error("no kernels for training on this instruction set");
  const nb::gil_scoped_release release;
  return onebit::measure_level_rate(isa->training());
}

}  // namespace

void bind_training(nb::module_& m) {
  nb::class_<Products>(m, "Products")
      .def(nb::init<int, const std::string&>(), nb::arg("threads"), nb::arg("isa"))
      .def_prop_ro("isa", &Products::isa)
      .def("pack", &Products::pack, nb::arg("values").noconvert(), nb::arg("words").noconvert())
      .def("forward", &Products::forward, nb::arg("shape"), nb::arg("x").noconvert(), nb::arg("weight").noconvert(),
           nb::arg("bits").noconvert(), nb::arg("output").noconvert())
      .def("backward", &Products::backward, nb::arg("shape"), nb::arg("gradient").noconvert(), nb::arg("levels"),
           nb::arg("seed"), nb::arg("weight").noconvert(), nb::arg("bits").noconvert(), nb::arg("x").noconvert().none(),
           nb::arg("estimator"), nb::arg("input_gradient").noconvert().none(),
           nb::arg("weight_gradient").noconvert().none());
  m.def("unfit_for_training", [](const Sides& sides) -> std::optional<std::string> {
    const char* why = onebit::Products::unfit(shape_of(sides));
    return why ? std::optional<std::string>(why) : std::nullopt;
  });
  m.def("training_isa", &training_isa, nb::arg("isa"));
  m.def("level_rate", &level_rate, nb::arg("isa"),
        "What one thread reaches in the caches: products of 8-bit levels by signs a second.");
}
