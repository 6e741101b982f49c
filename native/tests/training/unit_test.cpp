// The passes of a fused unit against loops written out here, in double; and the same bits on every instruction set and
// for any number of threads.
#include "training/unit.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

#include "kernels/shape.h"
#include "support/random_cases.h"
#include "training/cyclic.h"

namespace onebit::test {
namespace {

ConvShape random_shape(Random& random) {
  for (;;) {
    ConvShape s = random_conv(random, 20000);
    s.groups = s.dilation_h = s.dilation_w = 1;
    s.batch = random.chance(40) ? random.between(17, 40) : random.between(1, 5);  // more than a chunk, or less
    if (random.chance(60)) s.kernel_h = s.kernel_w = 3;
    if (random.chance(30)) s.in_c = random.between(65, 140);  // more than go together in the input's gradient
    const int pad = random.between(0, 2);
    s.pad_top = pad, s.pad_left = random.between(0, 2);
    const int height = s.in_h + 2 * pad - s.kernel_h, width = s.in_w + s.pad_left + random.between(0, 2) - s.kernel_w;
    if (height < 0 || width < 0) continue;
    s.out_h = height / s.stride_h + 1, s.out_w = width / s.stride_w + 1;
    if (rows_of(s) * s.out_w * s.out_c * taps_of(s) * s.in_c <= 400000 && !Units::unfit(s)) return s;
  }
}

template <class Visit>
void visit_taps(const ConvShape& s, Visit visit) {
  for (int n = 0; n < s.batch; ++n)
    for (int oy = 0; oy < s.out_h; ++oy)
      for (int ox = 0; ox < s.out_w; ++ox)
        for (int ky = 0; ky < s.kernel_h; ++ky)
          for (int kx = 0; kx < s.kernel_w; ++kx) {
            const int y = oy * s.stride_h - s.pad_top + ky, x = ox * s.stride_w - s.pad_left + kx;
            if (y < 0 || x < 0 || y >= s.in_h || x >= s.in_w) continue;
            visit((int64_t{n} * s.out_h + oy) * s.out_w + ox, int64_t{ky} * s.kernel_w + kx,
                  (int64_t{n} * s.in_h + y) * s.in_w + x);
          }
}

double value(float x) { return static_cast<double>(x); }
double value(Bfloat16 x) {
  const uint32_t bits = uint32_t{x.bits} << 16;
  float f;
  std::memcpy(&f, &bits, sizeof f);
  return static_cast<double>(f);
}
void set(float& to, float x) { to = x; }
void set(Bfloat16& to, float x) {  // cut: any bfloat16 will do
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  to.bits = static_cast<uint16_t>(bits >> 16);
}
template <class Store>
constexpr double kRounding = sizeof(Store) == 4 ? 0x1p-24 : 0x1p-8;

template <class Store>
Array<Store> random_stores(Random& random, int64_t size) {
  Array<Store> array(size);
  for (int64_t i = 0; i < size; ++i) set(array[i], random.chance(10) ? 0.0f : random.real() / 32);
  return array;
}

void check_close(double found, double expected, double tolerance, const char* what, const Units& units) {
  // below the normal numbers there are no relative errors
  CHECK(std::abs(found - expected) <= tolerance + 0x1p-126, "%s, %s: %.9g is not %.9g (%.3g)", units.isa(), what, found,
        expected, tolerance);
}

bool minus(Array<uint32_t>& words, int64_t pixel, int64_t channels, int64_t c) {
  return words[pixel * words_of(channels) + c / 32] >> c % 32 & 1u;
}

double derivative(SignEstimator estimator, double u, float a, float b, float levels) {
  if (estimator == SignEstimator::cyclic)
    u = static_cast<double>(a) +
        static_cast<double>(b) * std::rint(std::clamp((u - static_cast<double>(a)) / static_cast<double>(b), 0.0,
                                                      static_cast<double>(levels)));
  const double size = std::abs(u), scaled = u * static_cast<double>(b);
  switch (estimator) {
    case SignEstimator::none: return 1;
    case SignEstimator::clipped: return size <= 1 ? 1 : 0;
    case SignEstimator::tanh: return static_cast<double>(a) * (1 - std::pow(std::tanh(scaled), 2));
    case SignEstimator::swish:
      return static_cast<double>(a) * (2 - scaled * std::tanh(scaled / 2)) / (1 + std::cosh(scaled));
    default: return std::max(0.0, 2 - 2 * size);
  }
}

// All that a run wrote, to compare runs.
class Record {
 public:
  template <class T>
  void add(Array<T>& array) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(array.data());
    bytes_.insert(bytes_.end(), bytes, bytes + static_cast<size_t>(array.size()) * sizeof(T));
  }
  const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  std::vector<uint8_t> bytes_;
};

struct Activated {
  double x, slope;  // of the activation at z
};

Activated activate(UnitActivation activation, double z, double gamma, double beta, double zeta) {
  if (activation == UnitActivation::hardtanh) return {std::clamp(z, -1.0, 1.0), std::abs(z) < 1 ? 1.0 : 0.0};
  if (activation == UnitActivation::rprelu)
    return {(z > gamma ? z - gamma : beta * (z - gamma)) + zeta, z > gamma ? 1 : beta};
  return {z, 1};
}

template <class Store>
void forward(Random& random, Units& units, const ConvShape& s, Record& record) {
  const int64_t in = int64_t{s.batch} * inputs_of(s), out = rows_of(s) * s.out_w, taps = taps_of(s);
  Array<Store> x = random_stores<Store>(random, in * s.in_c);
  const bool per_sample = random.chance(30), thresholds = per_sample || random.chance(50);
  Array<float> threshold = reals(random, per_sample ? s.batch : s.in_c);
  Array<uint32_t> bits(in * words_of(s.in_c));
  units.signs<Store>(
      {s.batch, inputs_of(s), s.in_c, x.data(), thresholds ? threshold.data() : nullptr, per_sample, bits.data()});
  for (int64_t i = 0; i < in * s.in_c; ++i) {
    const double limit = !thresholds ? 0.0 : value(threshold[per_sample ? i / s.in_c / inputs_of(s) : i % s.in_c]);
    CHECK(minus(bits, i / s.in_c, s.in_c, i % s.in_c) == !(value(x[i]) >= limit), "%s: a sign", units.isa());
  }
  Array<float> w(s.out_c * taps * s.in_c), scale(s.out_c);
  for (int64_t i = 0; i < w.size(); ++i) w[i] = random.chance(50) ? 0.25f : -0.25f;
  Array<uint32_t> weight(s.out_c * taps * words_of(s.in_c));
  CHECK(units.pack(w.data(), s.out_c, taps, s.in_c, weight.data(), scale.data()), "one magnitude");
  CHECK(scale[0] == 0.25f, "the magnitude");
  if (taps * s.in_c > 1) {
    w[w.size() - 1] *= 2.0f;
    CHECK(!units.pack(w.data(), s.out_c, taps, s.in_c, weight.data(), scale.data()), "two magnitudes");
  }
  Array<int16_t> y(out * s.out_c);
  Array<int64_t> sums(2 * s.out_c);
  units.convolve(s, bits.data(), weight.data(), y.data(), sums.data());
  std::vector<int64_t> dots(static_cast<size_t>(y.size())), totals(static_cast<size_t>(2 * s.out_c));
  visit_taps(s, [&](int64_t to, int64_t tap, int64_t from) {
    for (int64_t o = 0; o < s.out_c; ++o)
      for (int64_t c = 0; c < s.in_c; ++c)
        dots[static_cast<size_t>(to * s.out_c + o)] +=
            (w[(o * taps + tap) * s.in_c + c] < 0.0f) == minus(bits, from, s.in_c, c) ? 1 : -1;
  });
  for (int64_t i = 0; i < y.size(); ++i) {
    const int64_t dot = dots[static_cast<size_t>(i)];
    CHECK(y[i] == dot, "%s: %d is not %d", units.isa(), y[i], static_cast<int>(dot));
    totals[static_cast<size_t>(i % s.out_c)] += dot;
    totals[static_cast<size_t>(s.out_c + i % s.out_c)] += dot * dot;
  }
  CHECK(std::equal(totals.begin(), totals.end(), sums.data()), "%s: the sums of y", units.isa());

  Array<float> slope = reals(random, s.out_c), offset = reals(random, s.out_c), parameters = reals(random, 3 * s.out_c);
  for (int64_t i = 0; i < s.out_c; ++i) slope[i] /= 64.0f;
  slope[0] = offset[0] = 0.0f;  // z = 0, whose sign is +1
  Array<Store> residual = random_stores<Store>(random, y.size()), z(y.size()), act(y.size());
  const bool adds = random.chance(50), limits = random.chance(50);
  Array<float> limit = reals(random, s.out_c);
  Array<uint32_t> next(out * words_of(s.out_c));
  Array<double> statistics(4 * s.batch);
  const auto activation = static_cast<UnitActivation>(random.between(0, 2));
  units.normalize<Store>({s.batch, outputs_of(s), s.out_c, y.data(), slope.data(), offset.data(),
                          adds ? residual.data() : nullptr, activation, parameters.data(), z.data(), act.data(),
                          limits ? limit.data() : nullptr, next.data(), statistics.data()});
  for (int64_t i = 0; i < y.size(); ++i) {
    const int64_t c = i % s.out_c;
    const double product = value(slope[c]) * y[i], rest = adds ? value(residual[i]) : 0.0;
    const double expected = product + value(offset[c]) + rest;
    const double error = 0x1p-22 * (std::abs(product) + std::abs(value(offset[c])) + std::abs(rest));
    check_close(value(z[i]), expected, error + kRounding<Store> * std::abs(expected), "z", units);
    const double gamma = value(parameters[c]), beta = value(parameters[s.out_c + c]);
    const double zeta = value(parameters[2 * s.out_c + c]);
    const double exact = activate(activation, expected, gamma, beta, zeta).x;
    const double steep = 1 + std::abs(beta),
                 wide = steep * (error + 0x1p-22 * std::abs(gamma)) + 0x1p-22 * std::abs(zeta);
    check_close(value(act[i]), exact, wide + 1.01 * kRounding<Store> * std::abs(exact), "x", units);
    const double from = exact - (limits ? value(limit[c]) : 0.0);
    if (std::abs(from) > wide || from == 0.0)
      CHECK(minus(next, i / s.out_c, s.out_c, c) == !(from >= 0.0), "%s: a sign of x", units.isa());
    if (activation == UnitActivation::hardtanh && std::abs(expected) < 1 - error)
      CHECK(std::abs(value(act[i])) < 1.0, "%s: the mask closes", units.isa());
  }
  for (int64_t n = 0; n < s.batch; ++n) {
    double sum = 0, squares = 0, low = INFINITY, high = -INFINITY, size = 0;
    const int64_t count = outputs_of(s) * s.out_c;
    for (int64_t i = n * count; i < (n + 1) * count; ++i) {
      const double v = value(act[i]);
      sum += v, size += std::abs(v), low = std::min(low, v), high = std::max(high, v);
    }
    for (int64_t i = n * count; i < (n + 1) * count; ++i)
      squares += std::pow(value(act[i]) - sum / static_cast<double>(count), 2);
    check_close(statistics[4 * n], sum, 1e-5 * size, "the sum", units);
    check_close(statistics[4 * n + 1], squares, 1e-5 * squares + 1e-12 * size * size, "the squares", units);
    CHECK(statistics[4 * n + 2] == low && statistics[4 * n + 3] == high, "%s: the extremes", units.isa());
  }

  Array<double> again(statistics.size());
  units.statistics<Store>(act.data(), s.batch, outputs_of(s) * s.out_c, again.data());
  CHECK(std::equal(again.data(), again.data() + again.size(), statistics.data()), "%s: other statistics", units.isa());

  // the end of a block
  Array<Store> g = random_stores<Store>(random, y.size()), dz(y.size());
  Array<float> mean = reals(random, s.out_c);
  Array<double> found(4 * s.out_c);
  units.end<Store>({s.batch, outputs_of(s), s.out_c, g.data(),
                    activation == UnitActivation::rprelu ? z.data() : act.data(), activation, parameters.data(),
                    y.data(), mean.data(), dz.data(), found.data()});
  std::vector<double> expected(static_cast<size_t>(4 * s.out_c)), size(expected.size());
  for (int64_t i = 0; i < y.size(); ++i) {
    const auto c = static_cast<size_t>(i % s.out_c), channels = static_cast<size_t>(s.out_c);
    const double gamma = value(parameters[i % s.out_c]), beta = value(parameters[s.out_c + i % s.out_c]);
    const double stored = value(activation == UnitActivation::hardtanh ? act[i] : z[i]);
    const bool open = activation == UnitActivation::rprelu
                          ? static_cast<float>(stored) - static_cast<float>(gamma) > 0.0f
                          : std::abs(stored) < 1;
    const double mask = activation == UnitActivation::none       ? 1
                        : activation == UnitActivation::hardtanh ? open
                        : open                                   ? 1
                                                                 : beta;
    const double want = mask * value(g[i]);
    check_close(value(dz[i]), want, 1.01 * kRounding<Store> * std::abs(want), "dz", units);
    const double terms[] = {value(dz[i]), value(dz[i]) * (y[i] - value(mean[i % s.out_c])), value(g[i]),
                            open ? 0.0 : value(g[i]) * (stored - gamma)};
    for (size_t k = 0; k < (activation == UnitActivation::rprelu ? 4 : 2); ++k)
      expected[k * channels + c] += terms[k], size[k * channels + c] += std::abs(terms[k]);
  }
  for (size_t i = 0; i < expected.size(); ++i)
    check_close(found[static_cast<int64_t>(i)], expected[i], 1e-5 * size[i] + 1e-12, "a sum of dz", units);
  record.add(bits), record.add(y), record.add(sums), record.add(z), record.add(act), record.add(next);
  record.add(statistics), record.add(dz), record.add(found);
}

template <class Store>
void backward(Random& random, Units& units, const ConvShape& s, Record& record) {
  const int64_t in = int64_t{s.batch} * inputs_of(s), out = rows_of(s) * s.out_w, taps = taps_of(s);
  // gradients on a grid of 256 or 128 levels that floats hold, so that nothing is left to the noise
  const float step = std::ldexp(1.0f, random.between(-12, 0));
  const bool nothing = random.chance(10);
  const int extent = nothing ? 0 : random.chance(50) ? 255 : 127;
  const int lowest = nothing ? 0 : random.between(-255, 255 - extent);
  Array<Store> dz(out * s.out_c);
  Array<int16_t> y(out * s.out_c), front_y(in * s.in_c);
  Array<float> k(3 * s.out_c);
  for (int64_t o = 0; o < s.out_c; ++o) k[o] = step, k[s.out_c + o] = 0.0f, k[2 * s.out_c + o] = 0.0f;
  for (int64_t i = 0; i < dz.size(); ++i) set(dz[i], static_cast<float>(random.between(0, extent) + lowest)), y[i] = 7;
  if (dz.size() > 1) set(dz[0], static_cast<float>(lowest)), set(dz[1], static_cast<float>(lowest + extent));

  Array<float> w(s.out_c * taps * s.in_c), scale(s.out_c);
  for (int64_t i = 0; i < w.size(); ++i) w[i] = random.chance(50) ? 1.0f : -1.0f;
  Array<uint32_t> weight(s.out_c * taps * words_of(s.in_c)), bits = test::bits(random, in, s.in_c);
  CHECK(units.pack(w.data(), s.out_c, taps, s.in_c, weight.data(), scale.data()), "weights are signs");

  UnitBackward<Store> a = {};
  a.estimator = static_cast<SignEstimator>(random.between(0, 5));
  const bool inside = random.chance(50);  // the lowest and the highest level are where the derivative is not 0
  a.a = a.estimator != SignEstimator::cyclic ? 0.75f : inside ? -0.5f : -1.5f;
  a.b = a.estimator == SignEstimator::cyclic ? 0.25f : 1.5f;
  a.levels = inside ? 5 : 15;
  a.activation = static_cast<UnitActivation>(random.between(0, 2));
  const bool scaled = random.chance(30), entrance = random.chance(30),
             inner = !scaled && !entrance && random.chance(50);
  if (entrance) a.activation = UnitActivation::none;
  if (inner && a.activation == UnitActivation::rprelu) a.activation = UnitActivation::none;
  const bool shifts = !scaled && random.chance(50), shortcut = random.chance(50);
  Array<Store> x = random_stores<Store>(random, in * s.in_c), way = random_stores<Store>(random, in * s.in_c);
  Array<Store> z = random_stores<Store>(random, in * s.in_c), output(in * s.in_c);
  Array<float> slope = reals(random, s.in_c), offset = reals(random, s.in_c), mean = reals(random, s.in_c);
  Array<float> threshold = reals(random, s.in_c), parameters = reals(random, 3 * s.in_c), samples(4 * s.batch);
  Array<float> dw(w.size());
  Array<double> sums(5 * s.in_c);
  for (int64_t i = 0; i < front_y.size(); ++i) front_y[i] = static_cast<int16_t>(random.between(-40, 40));
  for (int64_t i = 0; i < s.in_c; ++i) slope[i] = static_cast<float>(random.between(-8, 8)) / 256.0f;
  for (int64_t n = 0; n < s.batch; ++n)
    samples[4 * n] = 0.5f + static_cast<float>(n), samples[4 * n + 1] = random.real() / 64,
                samples[4 * n + 2] = static_cast<float>(random.between(1, 16)) / 128;
  a.shape = s, a.dz = dz.data(), a.y = y.data(), a.k = k.data();
  a.rounding = {extent == 127 ? 127 : 255, random.word()};
  a.weight = weight.data(), a.bits = bits.data(), a.weight_gradient = dw.data(), a.output = output.data();
  if (!inner) a.x = x.data();
  if (!entrance) a.front_y = front_y.data(), a.front_slope = slope.data(), a.front_offset = offset.data();
  a.front_mean = mean.data();
  if (shifts) a.threshold = threshold.data();
  if (scaled) a.samples = samples.data();
  if (shortcut) a.shortcut = way.data();
  a.parameters = parameters.data(), a.front_z = z.data(), a.sums = sums.data();
  units.backward(a);

  std::vector<double> dx(static_cast<size_t>(in * s.in_c)), want_dw(static_cast<size_t>(w.size()));
  visit_taps(s, [&](int64_t to, int64_t tap, int64_t from) {
    for (int64_t o = 0; o < s.out_c; ++o)
      for (int64_t c = 0; c < s.in_c; ++c) {
        const double gradient = value(step) * value(dz[to * s.out_c + o]);
        const int64_t at = (o * taps + tap) * s.in_c + c;
        dx[static_cast<size_t>(from * s.in_c + c)] += gradient * value(w[at]);
        want_dw[static_cast<size_t>(at)] += minus(bits, from, s.in_c, c) ? -gradient : gradient;
      }
  });
  const double unit = 1024 * 0x1p-21 * value(step), bound = unit * static_cast<double>(taps * s.out_c);
  for (int64_t i = 0; i < dw.size(); ++i)
    check_close(value(dw[i]), want_dw[static_cast<size_t>(i)], unit * static_cast<double>(out), "dw", units);
  std::vector<double> want(5 * static_cast<size_t>(s.in_c)), size(want.size());
  const int64_t image = inputs_of(s) * s.in_c;
  for (int64_t n = 0; n < s.batch; ++n) {
    double share = 0, shares = 0;
    std::vector<double> d(static_cast<size_t>(image)), errors(d.size());
    for (int64_t i = 0; i < image; ++i) {
      const int64_t at = n * image + i, c = i % s.in_c;
      const float input =
          inner ? static_cast<float>(front_y[at]) * slope[c] + offset[c] : static_cast<float>(value(x[at]));
      const float u = scaled ? input / samples[4 * n] : input - (shifts ? threshold[c] : 0.0f);
      const double est = derivative(a.estimator, value(u), a.a, a.b, a.levels);
      d[static_cast<size_t>(i)] = est * dx[static_cast<size_t>(at)];
      errors[static_cast<size_t>(i)] = std::abs(est) * bound + 1e-5 * std::abs(dx[static_cast<size_t>(at)]);
      share += d[static_cast<size_t>(i)] * value(input);
      shares += std::abs(value(input)) * errors[static_cast<size_t>(i)] +
                1e-5 * std::abs(d[static_cast<size_t>(i)] * value(input));
      const auto row = static_cast<size_t>(4 * s.in_c + c);
      if (shifts) want[row] -= d[static_cast<size_t>(i)], size[row] += errors[static_cast<size_t>(i)] * 1e5;
    }
    for (int64_t i = 0; i < image; ++i) {
      const int64_t at = n * image + i, c = i % s.in_c;
      const auto j = static_cast<size_t>(i);
      double g = d[j], error = errors[j];
      if (scaled) {
        const double inverse = 1 / value(samples[4 * n]);
        const double factor = (value(x[at]) - value(samples[4 * n + 1])) * value(samples[4 * n + 2]);
        g = g * inverse - factor * share;
        error = error * inverse + std::abs(factor) * (shares + 1e-6 * std::abs(share)) + 1e-6 * std::abs(g);
      }
      if (shortcut) g += value(way[at]);
      const float input =
          inner ? static_cast<float>(front_y[at]) * slope[c] + offset[c] : static_cast<float>(value(x[at]));
      const float shifted = static_cast<float>(value(z[at])) - parameters[c];
      const double beta = value(parameters[s.in_c + c]);
      double mask = 1;
      if (a.activation == UnitActivation::hardtanh) mask = std::abs(input) < 1.0f;
      if (a.activation == UnitActivation::rprelu) mask = shifted > 0.0f ? 1 : beta;
      const double exact = mask * g;
      check_close(value(output[at]), exact,
                  std::abs(mask) * error + 1e-5 * std::abs(exact) + 1.01 * kRounding<Store> * std::abs(exact) + 1e-9,
                  "dz in front", units);
      if (entrance) continue;
      const double terms[] = {value(output[at]), value(output[at]) * (front_y[at] - value(mean[c])), g,
                              shifted > 0.0f ? 0.0 : g * value(shifted)};
      const double off[] = {0, 0, error, error * std::abs(value(shifted))};
      for (size_t t = 0; t < (a.activation == UnitActivation::rprelu ? 4 : 2); ++t) {
        const size_t row = t * static_cast<size_t>(s.in_c) + static_cast<size_t>(c);
        want[row] += terms[t], size[row] += std::abs(terms[t]) + 1e5 * off[t];
      }
    }
  }
  for (size_t i = 0; i < want.size(); ++i)
    check_close(sums[static_cast<int64_t>(i)], want[i], 1e-5 * size[i] + 1e-9, "a sum in front", units);
  record.add(output), record.add(dw), record.add(sums);

  // any gradients: as any instruction set and number of threads has them
  for (int64_t o = 0; o < s.out_c; ++o) k[s.out_c + o] = 0.01f * random.real(), k[2 * s.out_c + o] = random.real();
  for (int64_t i = 0; i < y.size(); ++i) y[i] = static_cast<int16_t>(random.between(-99, 99));
  a.rounding.levels = (1 << random.between(1, 8)) - 1;
  units.backward(a);
  record.add(output), record.add(dw), record.add(sums);
  set(dz[random.between(0, static_cast<int>(dz.size()) - 1)], random.chance(50) ? NAN : INFINITY);
  units.backward(a);
  for (int64_t i = 0; i < dw.size(); ++i) CHECK(std::isnan(dw[i]), "%s: dw of a NaN", units.isa());
  for (int64_t i = 0; i < output.size(); ++i) CHECK(std::isnan(value(output[i])), "%s: dz of a NaN", units.isa());
}

template <class Store>
void shortcut(Random& random, Units& units, Record& record) {
  UnitShortcut s = {random.between(1, 3), 0, 0, random.between(1, 40), random.between(1, 3), random.between(0, 9), 0};
  s.after = random.between(0, 9);
  s.height = random.between(static_cast<int>(s.side), 8), s.width = random.between(static_cast<int>(s.side), 8);
  Array<Store> x(s.batch * s.height * s.width * s.channels), y(s.batch * s.rows() * s.columns() * s.wide());
  Array<Store> dx(x.size());
  for (int64_t i = 0; i < x.size(); ++i) set(x[i], static_cast<float>(random.between(-128, 128)) / 64.0f);
  units.shortcut(s, &x[0], &y[0]);
  std::vector<double> sums(static_cast<size_t>(y.size()));
  const double size = static_cast<double>(s.side * s.side);
  const auto visit = [&](const auto& each) {  // each element of x that is part of a mean, and where that is
    for (int64_t i = 0; i < x.size(); ++i) {
      const int64_t c = i % s.channels, column = i / s.channels % s.width, row = i / s.channels / s.width % s.height;
      const int64_t n = i / s.channels / s.width / s.height, oy = row / s.side, ox = column / s.side;
      const bool part = oy < s.rows() && ox < s.columns();
      each(i, part ? ((n * s.rows() + oy) * s.columns() + ox) * s.wide() + s.before + c : int64_t{-1});
    }
  };
  visit([&](int64_t from, int64_t to) {
    if (to >= 0) sums[static_cast<size_t>(to)] += value(x[from]) / size;
  });
  for (int64_t i = 0; i < y.size(); ++i) {
    const double sum = sums[static_cast<size_t>(i)];
    check_close(value(y[i]), sum, kRounding<Store> * std::abs(sum) + 1e-6, "a mean", units);
  }
  units.shortcut_gradient(s, &y[0], &dx[0]);
  visit([&](int64_t to, int64_t from) {
    const double wanted = from < 0 ? 0 : value(y[from]) / size;
    check_close(value(dx[to]), wanted, kRounding<Store> * std::abs(wanted) + 1e-9, "a mean's gradient", units);
  });
  record.add(y), record.add(dx);
}

float nearest(float x, const float*) { return x; }
float nearest(float x, const Bfloat16*) {  // on a tie the even one
  int exponent;
  const float fraction = std::frexp(x, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(fraction, 8)), exponent - 8);
}

// Of values that no random ones are, beside limits that they are equal to.
template <class Store>
void test_special_values(Units& units) {
  const uint32_t ones = 0x7fffffffu;  // a NaN that rounding may not carry to 0
  float nan;
  std::memcpy(&nan, &ones, sizeof nan);
  const float values[] = {NAN,        nan,    0.0f,    -0.0f, INFINITY, -INFINITY,      0x1p-126f,
                          -0x1p-126f, 0.999f, -0.999f, 1.0f,  -1.0f,    1.0f + 0x1p-8f, 1.0f + 0x3p-8f};
  const float limits[] = {0.0f, -0.0f, 1.0f, INFINITY, -INFINITY};
  constexpr int64_t kValues = 14, kLimits = 5, kAll = kValues * kLimits;
  Array<Store> x(kAll);
  Array<float> offset(kAll), limit(kAll), slope(kAll), samples(kLimits);
  Array<int16_t> y(kAll);
  for (int64_t i = 0; i < kAll; ++i) {
    offset[i] = values[i % kValues], samples[i / kValues] = limit[i] = limits[i / kValues];
    set(x[i], offset[i]), slope[i] = 0.0f, y[i] = 0;
  }
  Array<uint32_t> bits(kLimits);
  units.signs<Store>({kLimits, 1, kValues, x.data(), samples.data(), true, bits.data()});
  for (int64_t i = 0; i < kAll; ++i)
    CHECK(minus(bits, i / kValues, kValues, i % kValues) == !(value(x[i]) >= value(limit[i])), "%s: the sign of %g",
          units.isa(), value(x[i]));
  units.signs<Store>({1, 1, kAll, x.data(), limit.data(), false, bits.data()});
  for (int64_t i = 0; i < kAll; ++i)
    CHECK(minus(bits, 0, kAll, i) == !(value(x[i]) >= value(limit[i])), "%s: the sign of %g", units.isa(), value(x[i]));
  for (const UnitActivation activation : {UnitActivation::none, UnitActivation::hardtanh}) {
    units.normalize<Store>({1, 1, kAll, y.data(), slope.data(), offset.data(), nullptr, activation, nullptr, nullptr,
                            x.data(), limit.data(), bits.data(), nullptr});
    for (int64_t i = 0; i < kAll; ++i) {
      const double z = value(offset[i]), after = std::isnan(z) ? z : activate(activation, z, 0, 0, 0).x;
      CHECK(minus(bits, 0, kAll, i) == !(after >= value(limit[i])), "%s: the sign of %g", units.isa(), z);
      CHECK(std::isnan(value(x[i])) == std::isnan(z), "%s: %g is not %g", units.isa(), value(x[i]), z);
      if (activation == UnitActivation::none && !std::isnan(z))
        CHECK(value(x[i]) == value(nearest(offset[i], x.data())), "%s: %g is stored as %g", units.isa(), z,
              value(x[i]));
      if (activation == UnitActivation::hardtanh)
        CHECK((std::abs(value(x[i])) < 1) == (std::abs(z) < 1), "%s: the mask of %g", units.isa(), z);
    }
  }
}

// Zeros of both signs, of which no instruction set may take another one.
template <class Store>
void test_extremes_of_zeros(Units& units) {
  Array<Store> x(40);
  for (int64_t i = 0; i < x.size(); ++i) set(x[i], i % 2 ? 0.0f : -0.0f);
  Array<double> statistics(4);
  units.statistics<Store>(x.data(), 1, x.size(), statistics.data());
  for (int64_t i = 0; i < 4; ++i)
    CHECK(statistics[i] == 0.0 && !std::signbit(statistics[i]), "%s: %g", units.isa(), statistics[i]);
}

// The largest dot products, whose squares are beyond 31 bits from some pixels on, and beyond 32 in all.
void test_large_sums(Units& units) {
  for (const int32_t channels : {2399, 2400}) {
    // two samples and one are convolved at once
    const ConvShape s = {3, 16, 16, channels, 16, 16, 100, 1, 1, 1, 1, 0, 0, 1, 1, 1};
    const int64_t pixels = rows_of(s) * s.out_w, words = words_of(channels);
    Array<uint32_t> bits(pixels * words), weight(s.out_c * words);
    for (int64_t i = 0; i < bits.size(); ++i) bits[i] = 0;
    for (int64_t i = 0; i < weight.size(); ++i) {
      weight[i] = i / words % 2 ? UINT32_MAX : 0;
      if (channels % 32 && i % words == words - 1) weight[i] &= (1u << channels % 32) - 1;
    }
    Array<int16_t> y(s.out_c * pixels);
    Array<int64_t> sums(2 * s.out_c);
    units.convolve(s, bits.data(), weight.data(), y.data(), sums.data());
    for (int64_t i = 0; i < y.size(); ++i) CHECK(y[i] == (i % 2 ? -channels : channels), "%s: %d", units.isa(), y[i]);
    const int64_t sum = pixels * channels;
    for (int64_t o = 0; o < s.out_c; ++o)
      CHECK(sums[o] == (o % 2 ? -sum : sum) && sums[s.out_c + o] == sum * channels, "%s: the sums of %d", units.isa(),
            channels);
  }
}

void test_cyclic_threshold(Random& random) {
  for (int i = 0; i < 2000; ++i) {
    const float deviation =
        std::ldexp(1.0f + static_cast<float>(random.between(0, 65535)) / 65536.0f, random.between(-4, 4));
    const int bits = random.between(1, 8);
    const float minimum = -static_cast<float>(random.between(0, 4096)) / 1024.0f;
    const float extent = static_cast<float>(random.between(0, 8192)) / 1024.0f,
                levels = static_cast<float>((1 << bits) - 1);
    const float step = std::max(extent / levels, 1e-8f);
    const float threshold = cyclic_threshold(deviation, minimum, step, levels);
    const auto positive = [&](float x) {
      return std::rint(std::clamp((x / deviation - minimum) / step, 0.0f, levels)) * step + minimum >= 0.0f;
    };
    if (std::isinf(threshold)) {
      CHECK(!positive(INFINITY), "a threshold");
    } else {
      CHECK(positive(threshold), "at the threshold");
      CHECK(threshold == -FLT_MAX || !positive(std::nextafter(threshold, -INFINITY)), "below the threshold");
    }
  }
}

void run() {
  Random random(5);
  test_cyclic_threshold(random);
  std::vector<Record> first;
  for (const Isa* isa : isas()) {
    for (const int threads : {1, 2, 3}) {
      Random shapes(23);
      Units units(isa->kernels(), isa->training(), isa->fused(), threads);
      test_special_values<float>(units);
      test_special_values<Bfloat16>(units);
      test_extremes_of_zeros<float>(units);
      test_extremes_of_zeros<Bfloat16>(units);
      test_large_sums(units);
      for (uint32_t i = 0; i < case_count(40); ++i) {
        Record record;
        const ConvShape s = random_shape(shapes);
        forward<float>(shapes, units, s, record);
        forward<Bfloat16>(shapes, units, s, record);
        backward<float>(shapes, units, s, record);
        backward<Bfloat16>(shapes, units, s, record);
        shortcut<float>(shapes, units, record);
        shortcut<Bfloat16>(shapes, units, record);
        if (first.size() == i) first.push_back(record);
        CHECK(record.bytes() == first[i].bytes(), "%s, %d threads: other bits than the first", units.isa(), threads);
      }
    }
  }
}

}  // namespace
}  // namespace onebit::test

int main() {
  onebit::test::run();
  return 0;
}
