// The passes of a fused unit in training, on arrays of (batch, height, width, channels). Floats of the units are
// float32, or int16 that holds the bits of a bfloat16.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "kernels/registry.h"
#include "kernels/shape.h"
#include "shape.h"
#include "training/batch_norm.h"
#include "training/cyclic.h"
#include "training/unit.h"

namespace nb = nanobind;

namespace {

using Array = nb::ndarray<nb::c_contig, nb::device::cpu>;
using Maybe = std::optional<Array>;

// The data of `array` if it has this type and size; null if there is none.
template <class T>
T* data(const Array& array, int64_t size, nb::dlpack::dtype type = nb::dtype<T>()) {
  if (array.dtype() != type) throw nb::type_error("an array does not have the type that the pass takes");
  if (static_cast<int64_t>(array.size()) != size) throw nb::value_error("the arrays do not have the shape's sizes");
  return static_cast<T*>(array.data());
}

template <class T>
T* data(const Maybe& array, int64_t size) {
  return array ? data<T>(*array, size) : nullptr;
}

template <class Store>
Store* floats(const Array& array, int64_t size) {
  if constexpr (std::is_same_v<Store, float>) {
    return data<float>(array, size);
  } else {
    return data<Store>(array, size, nb::dtype<int16_t>());
  }
}

template <class Store>
Store* floats(const Maybe& array, int64_t size) {
  return array ? floats<Store>(*array, size) : nullptr;
}

uint32_t* words(const Maybe& array, int64_t size) { return reinterpret_cast<uint32_t*>(data<int32_t>(array, size)); }

int64_t side(const Array& array, size_t index) { return static_cast<int64_t>(array.shape(index)); }

// (batch, ..., channels)
struct Sizes {
  explicit Sizes(const Array& array) {
    if (array.ndim() < 2) throw nb::value_error("an array has no channels");
    batch = side(array, 0);
    channels = side(array, array.ndim() - 1);
    pixels = 1;
    for (size_t i = 1; i + 1 < array.ndim(); ++i) pixels *= side(array, i);
  }
  int64_t batch, pixels, channels;
  int64_t all() const { return batch * pixels * channels; }
  int64_t words() const { return batch * pixels * onebit::words_of(channels); }
};

// Calls work with a Store of the type of the array's elements.
template <class Work>
void with_store(const Array& array, const Work& work) {
  if (array.dtype() == nb::dtype<float>()) return work(float{});
  if (array.dtype() == nb::dtype<int16_t>()) return work(onebit::Bfloat16{});
  throw nb::type_error("floats are float32, or bfloat16 in int16");
}

template <class Enum>
Enum choice(int32_t value, Enum last, const char* what) {
  if (value < 0 || value > static_cast<int32_t>(last)) throw nb::value_error(what);
  return static_cast<Enum>(value);
}

onebit::UnitActivation activation_of(int32_t value) {
  return choice(value, onebit::UnitActivation::rprelu, "no such activation");
}

class Fused {
 public:
  Fused(int threads, const std::string& isa) : units_(make(threads, isa)) {}

  const char* isa() const { return units_.isa(); }

  bool pack(const Array& weight, const Array& bits, const Maybe& magnitude) {
    if (weight.ndim() != 4) throw nb::value_error("weights are (out, height, width, in)");
    const int64_t outputs = side(weight, 0), taps = side(weight, 1) * side(weight, 2), channels = side(weight, 3);
    const auto* from = data<float>(weight, outputs * taps * channels);
    uint32_t* to = words(bits, outputs * taps * onebit::words_of(channels));
    std::vector<float> own(static_cast<size_t>(outputs));
    float* found = magnitude ? data<float>(magnitude, outputs) : own.data();
    const nb::gil_scoped_release release;
    const bool same = units_.pack(from, outputs, taps, channels, to, found);
    return same && (magnitude || std::all_of(own.begin(), own.end(), [](float each) { return each == 1.0f; }));
  }

  void along_signs(const Array& bits, const Array& magnitude, const Array& exact, const Array& gradient) {
    const Sizes s(gradient);
    const uint32_t* signs = words(bits, s.words());
    const auto *sizes = data<float>(magnitude, s.batch), *along = data<float>(exact, s.batch);
    auto* values = data<float>(gradient, s.all());
    const nb::gil_scoped_release release;
    units_.along_signs(s.batch, s.pixels, s.channels, signs, sizes, along, values);
  }

  void signs(const Array& x, const Maybe& threshold, bool per_sample, const Array& bits) {
    const Sizes s(x);
    if (per_sample && !threshold) throw nb::value_error("no thresholds of the samples");
    with_store(x, [&](auto store) {
      using Store = decltype(store);
      const onebit::UnitSigns<Store> args = {s.batch,
                                             s.pixels,
                                             s.channels,
                                             floats<Store>(x, s.all()),
                                             data<float>(threshold, per_sample ? s.batch : s.channels),
                                             per_sample,
                                             words(bits, s.words())};
      const nb::gil_scoped_release release;
      units_.signs(args);
    });
  }

  void statistics(const Array& x, const Array& found) {
    const Sizes s(x);
    auto* to = data<double>(found, 4 * s.batch);
    with_store(x, [&](auto store) {
      const auto* from = floats<decltype(store)>(x, s.all());
      const nb::gil_scoped_release release;
      units_.statistics(from, s.batch, s.pixels * s.channels, to);
    });
  }

  void convolve(const Sides& sides, const Array& bits, const Array& weight, const Array& y, const Array& sums) {
    const onebit::ConvShape s = fitting(sides);
    const uint32_t* input = words(bits, input_words(s));
    const uint32_t* signs = words(weight, weight_words(s));
    auto* dots = data<int16_t>(y, outputs(s));
    auto* totals = data<int64_t>(sums, 2 * s.out_c);
    const nb::gil_scoped_release release;
    units_.convolve(s, input, signs, dots, totals);
  }

  void normalize(const Array& y, const Array& slope, const Array& offset, const Maybe& residual, int32_t activation,
                 const Maybe& parameters, const Maybe& z, const Maybe& x, const Maybe& threshold, const Maybe& bits,
                 const Maybe& statistics) {
    const Sizes s(y);
    const auto kind = activation_of(activation);
    if (kind == onebit::UnitActivation::rprelu && !parameters) throw nb::value_error("no parameters of RPReLU");
    if (statistics && !x) throw nb::value_error("statistics without x");
    const auto run = [&](auto store) {
      using Store = decltype(store);
      const onebit::UnitForward<Store> args = {s.batch,
                                               s.pixels,
                                               s.channels,
                                               data<int16_t>(y, s.all()),
                                               data<float>(slope, s.channels),
                                               data<float>(offset, s.channels),
                                               floats<Store>(residual, s.all()),
                                               kind,
                                               data<float>(parameters, 3 * s.channels),
                                               floats<Store>(z, s.all()),
                                               floats<Store>(x, s.all()),
                                               data<float>(threshold, s.channels),
                                               words(bits, s.words()),
                                               data<double>(statistics, 4 * s.batch)};
      const nb::gil_scoped_release release;
      units_.normalize(args);
    };
    const Maybe& store = x ? x : z ? z : residual;
    store ? with_store(*store, run) : run(float{});
  }

  void shortcut(const Array& x, int64_t side, int64_t before, const Array& output) {
    with_shortcut(x, side, before, output, [&](const onebit::UnitShortcut& s, auto* from, auto* to) {
      const nb::gil_scoped_release release;
      units_.shortcut(s, from, to);
    });
  }

  void shortcut_gradient(const Array& gradient, int64_t side, int64_t before, const Array& x) {
    with_shortcut(x, side, before, gradient, [&](const onebit::UnitShortcut& s, auto* to, auto* from) {
      const nb::gil_scoped_release release;
      units_.shortcut_gradient(s, from, to);
    });
  }

  void gradient(const Array& g, const Maybe& x, int32_t activation, const Maybe& parameters, const Array& y,
                const Array& mean, const Array& dz, const Array& sums) {
    const Sizes s(g);
    const auto kind = activation_of(activation);
    if (kind != onebit::UnitActivation::none && !x)
      throw nb::value_error("the activation's gradient is taken at x or z");
    if (kind == onebit::UnitActivation::rprelu && !parameters) throw nb::value_error("no parameters of RPReLU");
    with_store(g, [&](auto store) {
      using Store = decltype(store);
      const onebit::UnitEnd<Store> args = {s.batch,
                                           s.pixels,
                                           s.channels,
                                           floats<Store>(g, s.all()),
                                           floats<Store>(x, s.all()),
                                           kind,
                                           data<float>(parameters, 3 * s.channels),
                                           data<int16_t>(y, s.all()),
                                           data<float>(mean, s.channels),
                                           floats<Store>(dz, s.all()),
                                           data<double>(sums, 4 * s.channels)};
      const nb::gil_scoped_release release;
      units_.end(args);
    });
  }

  void backward(const Sides& sides, const Array& dz, const Array& y, const Array& k, int32_t levels, uint32_t seed,
                const Array& weight, const Array& bits, const Maybe& dw, const Maybe& output, int32_t estimator,
                const Maybe& estimator_parameters, const Maybe& source, const Maybe& front_y, const Maybe& front_slope,
                const Maybe& front_offset, const Maybe& threshold, const Maybe& samples, const Maybe& shortcut,
                int32_t activation, const Maybe& parameters, const Maybe& front_z, const Maybe& front_mean,
                const Maybe& sums) {
    const onebit::ConvShape s = fitting(sides);
    if (levels < 1 || levels > 255) throw nb::value_error("levels are 1 to 255");
    const int64_t in = int64_t{s.batch} * onebit::inputs_of(s) * s.in_c;
    with_store(dz, [&](auto store) {
      using Store = decltype(store);
      onebit::UnitBackward<Store> a = {};
      a.shape = s;
      a.dz = floats<Store>(dz, outputs(s));
      a.y = data<int16_t>(y, outputs(s));
      a.k = data<float>(k, 3 * s.out_c);
      a.rounding = {levels, seed};
      a.weight = words(weight, weight_words(s));
      a.bits = words(bits, input_words(s));
      a.weight_gradient = data<float>(dw, s.out_c * onebit::taps_of(s) * s.in_c);
      a.output = floats<Store>(output, in);
      a.estimator = choice(estimator, onebit::SignEstimator::cyclic, "no such estimator");
      set_estimator(a, estimator_parameters);
      a.x = floats<Store>(source, in);
      a.front_y = data<int16_t>(front_y, in);
      a.front_slope = data<float>(front_slope, s.in_c);
      a.front_offset = data<float>(front_offset, s.in_c);
      a.front_mean = data<float>(front_mean, s.in_c);
      a.threshold = data<float>(threshold, s.in_c);
      a.samples = data<float>(samples, 4 * int64_t{s.batch});
      a.shortcut = floats<Store>(shortcut, in);
      a.activation = activation_of(activation);
      a.parameters = data<float>(parameters, 3 * s.in_c);
      a.front_z = floats<Store>(front_z, in);
      a.sums = data<double>(sums, 5 * s.in_c);
      check(a);
      const nb::gil_scoped_release release;
      units_.backward(a);
    });
  }

 private:
  // Calls work with the shape, x and the shortcut's end.
  template <class Work>
  static void with_shortcut(const Array& x, int64_t side, int64_t before, const Array& wide, const Work& work) {
    if (x.ndim() != 4 || wide.ndim() != 4)
      throw nb::value_error("a shortcut's arrays are (batch, height, width, channels)");
    if (side < 1 || before < 0) throw nb::value_error("a mean of no pixels, or fewer than no channels");
    const int64_t channels = ::side(x, 3);
    const onebit::UnitShortcut s = {
        ::side(x, 0), ::side(x, 1), ::side(x, 2), channels, side, before, ::side(wide, 3) - channels - before};
    if (s.after < 0) throw nb::value_error("a shortcut to fewer channels");
    with_store(x, [&](auto store) {
      using Store = decltype(store);
      work(s, floats<Store>(x, s.batch * s.height * s.width * channels),
           floats<Store>(wide, s.batch * s.rows() * s.columns() * s.wide()));
    });
  }

  template <class Store>
  static void set_estimator(onebit::UnitBackward<Store>& a, const Maybe& parameters) {
    const auto wanted = [&](int64_t count) {
      const float* given = data<float>(parameters, count);
      if (!given) throw nb::value_error("no parameters of the estimator");
      return given;
    };
    switch (a.estimator) {
      case onebit::SignEstimator::tanh: {
        const float* p = wanted(2);
        a.a = p[0] * p[1], a.b = p[0];
        break;
      }
      case onebit::SignEstimator::swish: a.a = a.b = wanted(1)[0]; break;
      case onebit::SignEstimator::cyclic: {
        const float* p = wanted(3);
        a.a = p[0], a.b = p[1], a.levels = p[2];
        break;
      }
      default: break;
    }
  }

  // Whether all that the passes will read is there.
  template <class Store>
  static void check(const onebit::UnitBackward<Store>& a) {
    const bool inner = a.front_y && a.front_slope && a.front_offset;
    const auto need = [](bool there, const char* what) {
      if (!there) throw nb::value_error(what);
    };
    if (!a.output) return;
    if (a.estimator != onebit::SignEstimator::none || a.activation == onebit::UnitActivation::hardtanh)
      need(a.x || inner, "the unit's input is neither stored nor computed");
    need(!a.samples || a.x, "a scaled sample's input is stored");
    if (a.activation == onebit::UnitActivation::rprelu) need(a.front_z && a.parameters, "RPReLU's z or parameters");
    need(!a.sums || !a.front_y || a.front_mean, "the mean of the unit in front");
    need(a.activation == onebit::UnitActivation::none || a.front_y, "an activation of no unit");
  }

  static onebit::Units make(int threads, const std::string& isa) {
    if (threads < 1 || threads > 1024) throw nb::value_error("threads are 1 to 1024");
    const onebit::Isa* found = onebit::select_isa(isa.c_str());
    if (!found || !found->training) throw nb::value_error("no kernels for training on this instruction set");
    return onebit::Units(found->kernels(), found->training(), found->fused(), threads);
  }

  static onebit::ConvShape fitting(const Sides& sides) {
    const onebit::ConvShape s = shape_of(sides);
    if (const char* why = onebit::Units::unfit(s)) throw nb::value_error(why);
    return s;
  }

  static int64_t outputs(const onebit::ConvShape& s) { return onebit::rows_of(s) * s.out_w * s.out_c; }
  static int64_t input_words(const onebit::ConvShape& s) {
    return int64_t{s.batch} * onebit::inputs_of(s) * onebit::words_of(s.in_c);
  }
  static int64_t weight_words(const onebit::ConvShape& s) {
    return s.out_c * onebit::taps_of(s) * onebit::words_of(s.in_c);
  }

  onebit::Units units_;
};

void batch_norm(const Array& sums, int64_t count, const Maybe& magnitude, const Maybe& scale, const Maybe& gamma,
                const Maybe& beta, double epsilon, const Array& state, const Array& coefficients) {
  if (count < 1) throw nb::value_error("statistics of no values");
  const int64_t channels = Sizes(sums).channels;
  onebit::batch_norm({channels, count, data<int64_t>(sums, 2 * channels), data<float>(magnitude, channels),
                      data<float>(scale, channels), data<float>(gamma, channels), data<float>(beta, channels), epsilon,
                      data<double>(state, onebit::kNormRows * channels), data<float>(coefficients, 5 * channels)});
}

void centre_sums(const Array& state, const Array& mean, const Array& sums) {
  const int64_t channels = Sizes(sums).channels;
  onebit::centre_sums(channels, data<double>(state, onebit::kNormRows * channels), data<float>(mean, channels),
                      data<double>(sums, 4 * channels));
}

void batch_norm_gradient(const Array& state, int64_t count, double epsilon, const Array& sums, const Array& total,
                         const Maybe& magnitude, const Array& k, const Array& gradients) {
  if (count < 1) throw nb::value_error("statistics of no values");
  const int64_t channels = Sizes(sums).channels;
  onebit::batch_norm_gradient({channels, count, epsilon, data<double>(state, onebit::kNormRows * channels),
                               data<double>(sums, 4 * channels), data<double>(total, 2 * channels),
                               data<float>(magnitude, channels), data<float>(k, 3 * channels),
                               data<float>(gradients, 7 * channels)});
}

}  // namespace

void bind_units(nb::module_& m) {
  using nb::arg;
  nb::class_<Fused>(m, "Fused")
      .def(nb::init<int, const std::string&>(), arg("threads"), arg("isa"))
      .def_prop_ro("isa", &Fused::isa)
      .def("pack", &Fused::pack, arg("weight").noconvert(), arg("bits").noconvert(),
           arg("magnitude").noconvert().none() = nb::none())
      .def("along_signs", &Fused::along_signs, arg("bits").noconvert(), arg("magnitude").noconvert(),
           arg("exact").noconvert(), arg("gradient").noconvert())
      .def("signs", &Fused::signs, arg("x").noconvert(), arg("threshold").noconvert().none(), arg("per_sample"),
           arg("bits").noconvert())
      .def("statistics", &Fused::statistics, arg("x").noconvert(), arg("statistics").noconvert())
      .def("convolve", &Fused::convolve, arg("shape"), arg("bits").noconvert(), arg("weight").noconvert(),
           arg("y").noconvert(), arg("sums").noconvert())
      .def("normalize", &Fused::normalize, arg("y").noconvert(), arg("slope").noconvert(), arg("offset").noconvert(),
           arg("residual").noconvert().none() = nb::none(), arg("activation") = 0,
           arg("parameters").noconvert().none() = nb::none(), arg("z").noconvert().none() = nb::none(),
           arg("x").noconvert().none() = nb::none(), arg("threshold").noconvert().none() = nb::none(),
           arg("bits").noconvert().none() = nb::none(), arg("statistics").noconvert().none() = nb::none())
      .def("shortcut", &Fused::shortcut, arg("x").noconvert(), arg("side"), arg("before"), arg("output").noconvert())
      .def("shortcut_gradient", &Fused::shortcut_gradient, arg("gradient").noconvert(), arg("side"), arg("before"),
           arg("x").noconvert())
      .def("gradient", &Fused::gradient, arg("g").noconvert(), arg("x").noconvert().none(), arg("activation"),
           arg("parameters").noconvert().none(), arg("y").noconvert(), arg("mean").noconvert(), arg("dz").noconvert(),
           arg("sums").noconvert())
      .def("backward", &Fused::backward, arg("shape"), arg("dz").noconvert(), arg("y").noconvert(),
           arg("k").noconvert(), arg("levels"), arg("seed"), arg("weight").noconvert(), arg("bits").noconvert(),
           arg("dw").noconvert().none(), arg("output").noconvert().none(), arg("estimator") = 0,
           arg("estimator_parameters").noconvert().none() = nb::none(), arg("source").noconvert().none() = nb::none(),
           arg("front_y").noconvert().none() = nb::none(), arg("front_slope").noconvert().none() = nb::none(),
           arg("front_offset").noconvert().none() = nb::none(), arg("threshold").noconvert().none() = nb::none(),
           arg("samples").noconvert().none() = nb::none(), arg("shortcut").noconvert().none() = nb::none(),
           arg("activation") = 0, arg("parameters").noconvert().none() = nb::none(),
           arg("front_z").noconvert().none() = nb::none(), arg("front_mean").noconvert().none() = nb::none(),
           arg("sums").noconvert().none() = nb::none());
  m.def("batch_norm", &batch_norm, arg("sums").noconvert(), arg("count"), arg("magnitude").noconvert().none(),
        arg("scale").noconvert().none(), arg("gamma").noconvert().none(), arg("beta").noconvert().none(),
        arg("epsilon"), arg("state").noconvert(), arg("coefficients").noconvert());
  m.def("centre_sums", &centre_sums, arg("state").noconvert(), arg("mean").noconvert(), arg("sums").noconvert());
  m.def("batch_norm_gradient", &batch_norm_gradient, arg("state").noconvert(), arg("count"), arg("epsilon"),
        arg("sums").noconvert(), arg("total").noconvert(), arg("magnitude").noconvert().none(), arg("k").noconvert(),
        arg("gradients").noconvert());
  m.def("unfit_for_fusing", [](const Sides& sides) -> std::optional<std::string> {
    const char* why = onebit::Units::unfit(shape_of(sides));
    return why ? std::optional<std::string>(why) : std::nullopt;
  });
  m.def(
      "cyclic_thresholds",
      [](const Array& deviation, float minimum, float step, int bits, const Array& threshold) {
        if (deviation.ndim() != 1) throw nb::value_error("a deviation for each sample");
        if (bits < 1 || bits > 24) throw nb::value_error("bits are 1 to 24");
        const int64_t count = side(deviation, 0);
        const auto* from = data<float>(deviation, count);
        auto* to = data<float>(threshold, count);
        for (int64_t n = 0; n < count; ++n)
          to[n] = onebit::cyclic_threshold(from[n], minimum, step, static_cast<float>((1 << bits) - 1));
      },
      arg("deviation").noconvert(), arg("minimum"), arg("step"), arg("bits"), arg("threshold").noconvert());
}
