// Every table of the kernels of training against loops written out here.
#include "kernels/training.h"
#include "kernels_support.h"

namespace onebit::test {
namespace {

std::vector<const TrainingKernels*> training_tables() {
  std::vector<const TrainingKernels*> all = {&portable_training()};
  for (const Kernels* table : tables()) {
    const TrainingKernels* kernels = training_kernels(table->name);
    if (kernels && kernels != &portable_training()) all.push_back(kernels);
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
    if (kernels == &portable_training()) {
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

void test_gather(const TrainingKernels& kernels, Random& random) {
  const int64_t samples = random.between(1, 64), channels = random.between(1, 150);
  const int64_t from_step = channels + random.between(0, 9), to_step = kSamples * random.between(1, 3);
  Array<uint8_t> from((samples - 1) * from_step + channels);
  for (int64_t i = 0; i < from.size(); ++i) from[i] = static_cast<uint8_t>(random.word());
  Array<uint8_t> to((channels - 1) * to_step + kSamples);
  kernels.gather(from.data(), from_step, samples, channels, to.data(), to_step);
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t n = 0; n < kSamples; ++n) {
      const int expected = n < samples ? from[n * from_step + c] : 0;
      CHECK(to[c * to_step + n] == expected, "%s: channel %d sample %d", kernels.name, int(c), int(n));
    }
  }
}

void test_expand(const TrainingKernels& kernels, Random& random) {
  Array<uint32_t> words(kSamples);
  for (int64_t i = 0; i < kSamples; ++i) words[i] = random.word();
  const int64_t count = random.between(1, 32), step = kSamples * random.between(1, 3);
  Array<int8_t> to((count - 1) * step + kSamples);
  kernels.expand(words.data(), count, to.data(), step);
  for (int64_t bit = 0; bit < count; ++bit) {
    for (int64_t i = 0; i < kSamples; ++i)
      CHECK(to[bit * step + i] == (words[i] >> bit & 1 ? -1 : 1), "%s: bit %d", kernels.name, int(bit));
  }
}

void test_weight_gradient(const TrainingKernels& kernels, Random& random) {
  WeightGradientArgs a = {};
  a.blocks = random.between(1, 2);
  a.out_h = random.between(1, 5), a.out_w = random.between(1, 5), a.out_c = random.between(1, 5);
  a.in_c = random.between(1, 4);
  a.kernel_h = random.chance(60) ? 3 : random.between(1, 4), a.kernel_w = random.chance(80) ? a.kernel_h : 2;
  a.stride_h = random.between(1, 2), a.stride_w = random.between(1, 2);
  a.in_h = (a.out_h - 1) * a.stride_h + a.kernel_h + random.between(0, 1);
  a.in_w = (a.out_w - 1) * a.stride_w + a.kernel_w + random.between(0, 1);
  const int64_t gradient_plane = plane_bytes(a.out_h, a.out_w), input_plane = plane_bytes(a.in_h, a.in_w);
  Aligned<uint8_t> gradient(a.blocks * a.out_c * gradient_plane);
  Aligned<int8_t> input(a.blocks * a.in_c * input_plane);
  const bool extreme = random.chance(20);
  for (int64_t i = 0; i < a.blocks * a.out_c * gradient_plane; ++i)
    gradient[i] = extreme ? uint8_t{255} : static_cast<uint8_t>(random.word());
  for (int64_t i = 0; i < a.blocks * a.in_c * input_plane; ++i)
    input[i] = static_cast<int8_t>(extreme ? -1 : random.between(-1, 1));
  Array<int32_t> sums(a.out_c * a.in_c * a.kernel_h * a.kernel_w);
  a.gradient = gradient.data(), a.input = input.data(), a.sums = sums.data();
  in_pieces(random, (a.out_c + 1) / 2, [&](int64_t begin, int64_t end) { kernels.weight_gradient(a, begin, end); });
  int64_t at = 0;
  for (int64_t o = 0; o < a.out_c; ++o)
    for (int64_t c = 0; c < a.in_c; ++c)
      for (int64_t ky = 0; ky < a.kernel_h; ++ky)
        for (int64_t kx = 0; kx < a.kernel_w; ++kx, ++at) {
          int64_t sum = 0;
          for (int64_t b = 0; b < a.blocks; ++b)
            for (int64_t y = 0; y < a.out_h; ++y)
              for (int64_t x = 0; x < a.out_w; ++x)
                for (int64_t n = 0; n < kSamples; ++n) {
                  const int64_t from = (b * a.out_c + o) * gradient_plane + (y * a.out_w + x) * kSamples;
                  const int64_t iy = y * a.stride_h + ky, ix = x * a.stride_w + kx;
                  const int64_t to = (b * a.in_c + c) * input_plane + (iy * a.in_w + ix) * kSamples;
                  sum += int64_t{gradient[from + n]} * input[to + n];
                }
          CHECK(sums[at] == sum, "%s: %d is not %d", kernels.name, int(sums[at]), int(sum));
        }
}

void run() {
  Random random(7);
  const uint32_t count = shape_count(100);
  for (const TrainingKernels* kernels : training_tables()) {
    test_noise(*kernels);
    for (uint32_t i = 0; i < count; ++i) {
      test_range(*kernels, random);
      test_gather(*kernels, random);
      test_expand(*kernels, random);
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
