// Every table of the kernels of training against loops written out here.
#include "kernels/training.h"

#include "kernels/portable/tables.h"
#include "kernels/shape.h"
#include "support/random_cases.h"

namespace onebit::test {
namespace {

std::vector<const TrainingKernels*> training_tables() {
  std::vector<const TrainingKernels*> all = {&portable::training()};
  for (const Isa* isa : isas()) {
    const TrainingKernels* kernels = &isa->training();
    if (kernels != &portable::training()) all.push_back(kernels);
  }
  return all;
}

template <class T>
class Aligned {
 public:
  explicit Aligned(int64_t size) : memory_(static_cast<size_t>(size) * sizeof(T)) {}
  T* data() { return static_cast<T*>(memory_.data()); }
  T& operator[](int64_t i) { return data()[i]; }

 private:
  Packed memory_;
};

void test_range(const TrainingKernels& kernels, Random& random) {
  const int64_t count = random.between(1, 700);
  Array<float> values = reals(random, count);
  float low = values[0], high = values[0];
  for (int64_t i = 0; i < count; ++i) low = std::min(low, values[i]), high = std::max(high, values[i]);
  const Range range = kernels.range(values.data(), count);
  CHECK(range.finite && range.minimum == low && range.maximum == high, "%s", kernels.name);
  const float bad[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()};
  values[random.between(0, static_cast<int>(count) - 1)] = bad[random.between(0, 1)];
  CHECK(!kernels.range(values.data(), count).finite, "%s", kernels.name);
}

void test_levels(Random& random) {
  const int64_t count = random.between(1, 300);
  Array<float> g = reals(random, count);
  const int levels = (1 << random.between(1, 8)) - 1;
  const float low = -20.0f, inverse = static_cast<float>(levels) / 40.0f;
  if (random.chance(20)) g[0] = std::numeric_limits<float>::quiet_NaN();
  const uint32_t seed = random.word();
  Array<uint8_t> expected(count);
  for (const TrainingKernels* kernels : training_tables()) {
    Array<uint8_t> q(count);
    const int64_t cut = random.between(0, static_cast<int>(count));
    kernels->levels({g.data() + cut, count - cut, low, inverse, levels, seed, cut, q.data() + cut});
    kernels->levels({g.data(), cut, low, inverse, levels, seed, 0, q.data()});
    if (kernels == &portable::training()) {
      expected = q;
    } else {
      CHECK(q == expected, "%s", kernels->name);
    }
    for (int64_t i = 0; i < count; ++i) {
      const float exact = (g[i] - low) * inverse;  // clamped below
      const float clamped = std::min(std::max(exact, 0.0f), static_cast<float>(levels));
      const float off = std::abs(static_cast<float>(q[i]) - clamped);
      CHECK(std::isnan(exact) ? q[i] == 0 : off <= 1.0f, "%s: %g", kernels->name, static_cast<double>(off));
    }
  }
}

// The noise is uniform: its mean over many elements, at a fraction of a level.
void test_noise(const TrainingKernels& kernels) {
  constexpr int64_t kCount = 1 << 16;
  for (const float fraction : {0.1f, 0.5f, 0.77f}) {
    Array<float> g(kCount);
    Array<uint8_t> q(kCount);
    for (int64_t i = 0; i < kCount; ++i) g[i] = 3.0f + fraction;
    for (const uint32_t seed : {0u, 1u, 0xdeadbeefu}) {
      kernels.levels({g.data(), kCount, 0.0f, 1.0f, 255, seed, 0, q.data()});
      double mean = 0;
      for (int64_t i = 0; i < kCount; ++i) mean += q[i] / static_cast<double>(kCount);
      const double error = std::abs(mean - 3.0 - static_cast<double>(fraction));
      CHECK(error < 0.01, "%s: %g", kernels.name, error);  // five standard deviations
    }
  }
}

// Levels by signs: 255 throughout, too, so that the sums are as large as they can be.
void test_input_gradient(const TrainingKernels& kernels, Random& random) {
  ConvShape s = {};
  s.batch = random.between(1, 3), s.groups = s.dilation_h = s.dilation_w = 1;
  s.kernel_h = random.between(1, 5), s.kernel_w = random.chance(60) ? s.kernel_h : random.between(1, 5);
  s.out_h = random.between(1, 5), s.out_w = random.between(1, 20);
  s.in_c = random.chance(20) ? random.between(100, 300) : random.between(1, 40);
  s.out_c = random.between(1, 70);
  s.stride_h = random.between(1, 2), s.stride_w = random.between(1, 2);
  s.in_h = (s.out_h - 1) * s.stride_h + s.kernel_h + random.between(0, 1);
  s.in_w = (s.out_w - 1) * s.stride_w + s.kernel_w + random.between(0, 1);
  const int extreme = random.chance(20) ? random.between(1, 2) : 0;
  Array<uint8_t> input(int64_t{s.batch} * s.in_h * s.in_w * s.in_c + kInt8Slack);
  Array<int8_t> weight(s.out_c * taps_of(s) * s.in_c);
  for (int64_t i = 0; i < input.size(); ++i) input[i] = extreme ? uint8_t{255} : static_cast<uint8_t>(random.word());
  for (int64_t i = 0; i < weight.size(); ++i)
    weight[i] = static_cast<int8_t>(extreme ? 2 * extreme - 3 : random.chance(50) ? 1 : -1);
  const int32_t zero_point = random.chance(50) ? 0 : random.between(0, 255);
  for (int32_t k = 0; k < kernels.input_gradient.count(); ++k) {
    const Int8ConvKernel& kernel = kernels.input_gradient[k];
    if (!kernel.fits(s)) continue;
    Packed packed(kernel.pack_bytes(s));
    kernel.pack(s, zero_point, weight.data(), packed.data());
    Array<float> sums(rows_of(s) * s.out_w * s.out_c);
    const Epilogue none = {nullptr, nullptr, nullptr, nullptr, nullptr, Activation::none};
    in_pieces(random, kernel.units(s), [&](int64_t begin, int64_t end) {
      kernel.run({s, input.data(), packed.data(), none, sums.data()}, begin, end);
    });
    for (int64_t i = 0; i < sums.size(); ++i) {
      const int64_t o = i % s.out_c, x = i / s.out_c % s.out_w, row = i / s.out_c / s.out_w;
      int64_t sum = 0;
      for (int64_t ky = 0; ky < s.kernel_h; ++ky)
        for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
          const int64_t iy = row / s.out_h * s.in_h + row % s.out_h * s.stride_h + ky;
          const int64_t from = (iy * s.in_w + x * s.stride_w + kx) * s.in_c;
          const int64_t at = ((o * s.kernel_h + ky) * s.kernel_w + kx) * s.in_c;
          for (int64_t c = 0; c < s.in_c; ++c) sum += (input[from + c] - zero_point) * weight[at + c];
        }
      CHECK(sums[i] == static_cast<float>(sum), "%s: %g is not %d", kernel.name, static_cast<double>(sums[i]),
            int(sum));
    }
  }
}

void test_planes(const TrainingKernels& kernels, Random& random) {
  PlanesArgs a = {};
  a.channels = random.between(1, 40), a.samples = random.between(1, 9), a.sample = random.between(1, 150);
  const int64_t read = a.samples * a.sample;
  a.size = (read + kPlaneGranule - 1) / kPlaneGranule * kPlaneGranule;
  a.total_step = (a.sample + kPlaneGranule - 1) / kPlaneGranule * kPlaneGranule;
  Array<uint8_t> bits((a.channels + 7) / 8 * a.size), inside(a.size);
  for (int64_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<uint8_t>(random.word());
  for (int64_t i = 0; i < inside.size(); ++i) inside[i] = random.chance(70) ? 255 : 0;
  Array<int8_t> planes(a.channels * a.size + kPlaneGranule), totals(a.channels * a.total_step);
  for (int64_t i = 0; i < totals.size(); ++i) totals[i] = static_cast<int8_t>(i % 90);
  a.bits = bits.data(), a.inside = inside.data(), a.planes = planes.data(), a.totals = totals.data();
  kernels.planes(a);
  for (int64_t c = 0; c < a.channels; ++c) {
    for (int64_t i = 0; i < a.size; ++i) {
      const int expected = inside[i] == 0 ? 0 : bits[c / 8 * a.size + i] >> c % 8 & 1 ? -1 : 1;
      CHECK(planes[c * a.size + i] == expected, "%s: channel %d place %d", kernels.name, int(c), int(i));
    }
    for (int64_t i = 0; i < a.sample; ++i) {
      int64_t total = (c * a.total_step + i) % 90;
      for (int64_t n = 0; n < a.samples; ++n) total += planes[c * a.size + n * a.sample + i];
      CHECK(totals[c * a.total_step + i] == total, "%s: total of channel %d place %d", kernels.name, int(c), int(i));
    }
  }
}

// From levels to the gradient, over several calls, as if by two threads.
void test_weight_gradient(const TrainingKernels& kernels, Random& random) {
  const int64_t out_c = random.between(1, 50), in_c = random.between(1, 20), taps = random.between(1, 10);
  const int64_t pixels = random.between(1, 300), steps = (pixels + 3) / 4, lanes = kernels.lanes;
  const int64_t vectors = (out_c + lanes - 1) / lanes, columns = in_c * taps, plane = 4 * steps + 20;
  const bool extreme = random.chance(20);
  Aligned<uint8_t> quads(vectors * steps * 4 * lanes);
  Aligned<int32_t> sums[2] = {Aligned<int32_t>(vectors * columns * lanes), Aligned<int32_t>(vectors * columns * lanes)};
  Array<int64_t> starts(steps), offsets(columns);
  for (int64_t i = 0; i < steps; ++i) starts[i] = 4 * i + random.between(0, 3);
  for (int64_t i = 0; i < columns; ++i) offsets[i] = i / taps * plane + random.between(0, 10);
  std::vector<int64_t> expected(static_cast<size_t>(out_c * columns)), met(static_cast<size_t>(columns));
  bool first[2] = {true, true};
  for (const int thread : {0, 1, 0}) {
    Array<uint8_t> levels(pixels * out_c);
    Array<int8_t> planes(in_c * plane);
    for (int64_t i = 0; i < levels.size(); ++i)
      levels[i] = extreme ? uint8_t{255} : static_cast<uint8_t>(random.word());
    for (int64_t i = 0; i < planes.size(); ++i) planes[i] = static_cast<int8_t>(extreme ? -1 : random.between(-1, 1));
    kernels.quads({levels.data(), pixels, out_c, quads.data(), steps * 4 * lanes});
    kernels.weight_gradient({vectors, columns, steps, quads.data(), steps * 4 * lanes, planes.data(), offsets.data(),
                             starts.data(), sums[thread].data(), first[thread]});
    first[thread] = false;
    for (int64_t column = 0; column < columns; ++column) {
      for (int64_t x = 0; x < pixels; ++x) {
        const int64_t sign = planes[offsets[column] + starts[x / 4] + x % 4];
        met[static_cast<size_t>(column)] += sign;
        for (int64_t o = 0; o < out_c; ++o)
          expected[static_cast<size_t>(o * columns + column)] += levels[x * out_c + o] * sign;
      }
    }
  }
  Array<int32_t> signs(columns);
  for (int64_t i = 0; i < columns; ++i) signs[i] = static_cast<int32_t>(met[static_cast<size_t>(i)]);
  const int32_t* all[2] = {sums[0].data(), sums[1].data()};
  Array<float> output(out_c * columns);
  const double scale = 0.37, minimum = -29.1;
  const WeightFinishArgs finish = {out_c, in_c, taps, all, 2, signs.data(), scale, minimum, output.data()};
  in_pieces(random, vectors, [&](int64_t begin, int64_t end) { kernels.weight_finish(finish, begin, end); });
  for (int64_t o = 0; o < out_c; ++o)
    for (int64_t tap = 0; tap < taps; ++tap)
      for (int64_t c = 0; c < in_c; ++c) {
        const auto sum = static_cast<double>(expected[static_cast<size_t>(o * columns + c * taps + tap)]);
        const auto value = static_cast<float>(scale * sum + minimum * signs[c * taps + tap]);
        const float found = output[(o * taps + tap) * in_c + c];
        CHECK(found == value, "%s: %g is not %g", kernels.name, static_cast<double>(found), static_cast<double>(value));
      }
}

void run() {
  Random random(7);
  const uint32_t count = case_count(100);
  for (const TrainingKernels* kernels : training_tables()) {
    test_noise(*kernels);
    for (uint32_t i = 0; i < count; ++i) {
      test_range(*kernels, random);
      test_input_gradient(*kernels, random);
      test_planes(*kernels, random);
      test_weight_gradient(*kernels, random);
    }
  }
  for (uint32_t i = 0; i < count; ++i) test_levels(random);
}

}  // namespace
}  // namespace onebit::test

int main() {
  onebit::test::run();
  return 0;
}
