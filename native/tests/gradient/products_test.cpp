// The three products of training against loops written out here, for every table and several threads.
#include "gradient/products.h"

#include "kernels/shape.h"
#include "support/random_cases.h"

namespace onebit::test {
namespace {

ConvShape random_shape(Random& random) {
  for (;;) {
    ConvShape s = random_conv(random, 60000);
    s.groups = s.dilation_h = s.dilation_w = 1;
    s.batch = random.chance(20) ? 65 : random.chance(5) ? 150 : random.between(1, 3);
    if (random.chance(50)) s.kernel_h = s.kernel_w = 3;
    const int pad = random.between(0, 2);
    s.pad_top = pad, s.pad_left = random.between(0, 2);
    const int height = s.in_h + 2 * pad - s.kernel_h, width = s.in_w + s.pad_left + random.between(0, 2) - s.kernel_w;
    if (height < 0 || width < 0) continue;
    s.out_h = height / s.stride_h + 1, s.out_w = width / s.stride_w + 1;
    if (rows_of(s) * s.out_w * s.out_c * taps_of(s) * s.in_c <= 3000000) return s;
  }
}

// What an input pixel, tap and output pixel have to do with each other.
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

double expected_derivative(Estimator estimator, float x) {
  const double distance = std::abs(static_cast<double>(x));
  if (estimator == Estimator::none) return 1.0;
  return estimator == Estimator::clipped ? (distance <= 1.0 ? 1.0 : 0.0) : std::max(0.0, 2.0 - 2.0 * distance);
}

void check_close(Array<float>& found, const std::vector<double>& expected, double tolerance, const char* isa) {
  for (int64_t i = 0; i < found.size(); ++i) {
    const double off = std::abs(static_cast<double>(found[i]) - expected[static_cast<size_t>(i)]);
    CHECK(off <= tolerance, "%s: %g is not %g", isa, static_cast<double>(found[i]), expected[static_cast<size_t>(i)]);
  }
}

void cross(Random& random, Products& products) {
  const ConvShape s = random_shape(random);
  const int64_t pixels = int64_t{s.batch} * s.in_h * s.in_w, outputs = rows_of(s) * s.out_w, taps = taps_of(s);
  Array<float> x = reals(random, pixels * s.in_c), w(s.out_c * taps * s.in_c), g(outputs * s.out_c);
  for (int64_t i = 0; i < w.size(); ++i) w[i] = random.chance(50) ? 1.0f : -1.0f;
  for (int64_t i = 0; i < x.size(); ++i)  // some at the borders of the estimators
    if (random.chance(3)) x[i] = random.chance(50) ? 1.0f : -1.0f;
  for (int64_t i = 0; i < x.size() && s.batch == 150; ++i) x[i] = std::abs(x[i]);  // sums beyond a byte
  // on a grid of 256 levels that floats hold, so that nothing is left to the noise
  const float step = std::ldexp(1.0f, random.between(-30, 0));
  const int lowest = random.between(-300, 30);
  for (int64_t i = 0; i < g.size(); ++i) g[i] = static_cast<float>(random.between(0, 255) + lowest) * step;
  if (g.size() > 1) g[0] = static_cast<float>(lowest) * step, g[1] = static_cast<float>(lowest + 255) * step;

  std::vector<double> y(static_cast<size_t>(g.size())), dx(static_cast<size_t>(x.size()));
  std::vector<double> dw(static_cast<size_t>(w.size()));
  const auto estimator = static_cast<Estimator>(random.between(0, 2));
  visit_taps(s, [&](int64_t out, int64_t tap, int64_t in) {
    for (int64_t o = 0; o < s.out_c; ++o)
      for (int64_t c = 0; c < s.in_c; ++c) {
        const double sign = x[in * s.in_c + c] >= 0.0f ? 1.0 : -1.0, gradient = g[out * s.out_c + o];
        const int64_t at = (o * taps + tap) * s.in_c + c;
        y[static_cast<size_t>(out * s.out_c + o)] += sign * static_cast<double>(w[at]);
        dw[static_cast<size_t>(at)] += sign * gradient;
        dx[static_cast<size_t>(in * s.in_c + c)] += static_cast<double>(w[at]) * gradient;
      }
  });
  for (int64_t i = 0; i < x.size(); ++i) dx[static_cast<size_t>(i)] *= expected_derivative(estimator, x[i]);

  Array<uint32_t> words(s.out_c * taps * words_of(s.in_c)), bits(pixels * words_of(s.in_c));
  CHECK(products.pack(w.data(), s.out_c * taps, s.in_c, words.data()), "weights are signs");
  Array<float> found_y(g.size()), found_dx(x.size()), found_dw(w.size());
  products.forward(s, x.data(), words.data(), bits.data(), found_y.data());
  check_close(found_y, y, 0.0, products.isa());
  const bool both = random.chance(80), first = random.chance(50);
  float* input = both || first ? found_dx.data() : nullptr;
  float* weight = both || !first ? found_dw.data() : nullptr;
  products.backward(s, g.data(), {255, random.word()}, words.data(), bits.data(),
                    estimator == Estimator::none ? nullptr : x.data(), estimator, input, weight);
  const double unit = std::ldexp(555.0, -21) * static_cast<double>(step);
  if (input) check_close(found_dx, dx, 2 * unit * static_cast<double>(taps * s.out_c), products.isa());
  if (weight) check_close(found_dw, dw, unit * static_cast<double>(outputs), products.isa());
  w[random.between(0, static_cast<int>(w.size()) - 1)] = 0.5f;
  CHECK(!products.pack(w.data(), s.out_c * taps, s.in_c, words.data()), "a weight of 0.5");
}

void test_limits() {
  ConvShape s = {1, 4, 4, 8, 4, 4, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1};
  CHECK(!Products::unfit(s), "%s", Products::unfit(s));
  s.batch = INT32_MAX / 255 / 16;
  CHECK(!Products::unfit(s), "%s", Products::unfit(s));
  ++s.batch;
  CHECK(Products::unfit(s), "sums beyond 32 bits");
  s.batch = 1, s.groups = 2;
  CHECK(Products::unfit(s), "groups");
}

// A gradient that is not finite makes every gradient NaN, wherever it stands.
void test_not_finite(Random& random, Products& products) {
  const ConvShape s = random_shape(random);
  const int64_t pixels = int64_t{s.batch} * s.in_h * s.in_w, weights = s.out_c * taps_of(s) * s.in_c;
  Array<float> g(rows_of(s) * s.out_w * s.out_c), dx(pixels * s.in_c), dw(weights);
  for (int64_t i = 0; i < g.size(); ++i) g[i] = static_cast<float>(random.between(-8, 8));
  const float bad[] = {NAN, INFINITY, -INFINITY};
  g[random.between(0, static_cast<int>(g.size()) - 1)] = bad[random.between(0, 2)];
  Array<uint32_t> words(s.out_c * taps_of(s) * words_of(s.in_c)), bits(pixels * words_of(s.in_c));
  products.backward(s, g.data(), {255, random.word()}, words.data(), bits.data(), nullptr, Estimator::none, dx.data(),
                    dw.data());
  for (Array<float>* found : {&dx, &dw})
    for (int64_t i = 0; i < found->size(); ++i) CHECK(std::isnan((*found)[i]), "%s: not NaN", products.isa());
}

void run() {
  test_limits();
  for (const Isa* isa : isas()) {
    for (const int threads : {1, 2, 3}) {
      Random random(11);
      Products products(isa->kernels(), isa->training(), threads);
      for (uint32_t i = 0; i < case_count(60); ++i) cross(random, products);
      for (int i = 0; i < 5; ++i) test_not_finite(random, products);
    }
  }
}

}  // namespace
}  // namespace onebit::test

int main() {
  onebit::test::run();
  return 0;
}
