// Every set of the head's passes against the portable one, which is the definition, and the definition's products
// against sums written out here.
#include "kernels/head.h"

#include "kernels/portable/tables.h"
#include "learner/head/head.h"
#include "support/allocations.h"
#include "support/random_cases.h"

namespace onebit::test {
namespace {

using learner::Numbers;
using learner::Trainer;

std::vector<const HeadKernels*> sets() {
  std::vector<const HeadKernels*> all;
  for (const Isa* isa : isas()) {
    const HeadKernels* passes = &isa->head();
    if (std::find(all.begin(), all.end(), passes) == all.end()) all.push_back(passes);
  }
  return all;
}

template <class T>
class Aligned {
 public:
  explicit Aligned(int64_t size) : memory_(allocate_aligned(static_cast<size_t>(size) * sizeof(T))) {
    std::memset(memory_.get(), 0x5a, static_cast<size_t>(size) * sizeof(T));
  }
  T* data() { return reinterpret_cast<T*>(memory_.get()); }
  T& operator[](int64_t i) { return data()[i]; }

 private:
  AlignedMemory memory_;
};

int64_t random_width(Random& random) { return random.chance(30) ? random.between(1, 600) : random.between(1, 70); }

template <class T>
Array<T> numbers(Random& random, int64_t size, int low, int high) {
  const bool extreme = random.chance(20);
  const int64_t span = int64_t{high} - low + 1;  // perhaps more than an int holds
  Array<T> array(size);
  for (int64_t i = 0; i < size; ++i)
    array[i] = static_cast<T>(extreme ? (random.chance(50) ? low : high) : low + int64_t{random.word()} % span);
  return array;
}

void test_range(Random& random) {
  const int most = random.chance(30) ? 32767 : 1 << random.between(0, 14);
  const int64_t count = random.between(0, 300);
  Array<int16_t> values = numbers<int16_t>(random, count, random.chance(30) ? 0 : -most - 1, most);
  const HeadRange expected = portable::head().range(values.data(), count);
  for (const HeadKernels* passes : sets()) {
    const HeadRange range = passes->range(values.data(), count);
    CHECK(range.low == expected.low && range.high == expected.high, "%s: %d, %d", passes->name, range.low, range.high);
  }
}

// All masters of a span.
void test_quantize(int32_t span, int32_t zero) {
  const int64_t most = std::min(span, 32767), least = -std::min(span, 32768), width = most - least + 1;
  Array<int16_t> masters(width);
  for (int64_t i = 0; i < width; ++i) masters[i] = static_cast<int16_t>(least + i);
  Array<int16_t> expected(head_pitch(width));
  portable::head().quantize({masters.data(), 1, width, span, zero, expected.data()});
  for (const HeadKernels* passes : sets()) {
    Array<int16_t> weights(head_pitch(width));
    passes->quantize({masters.data(), 1, width, span, zero, weights.data()});
    CHECK(weights == expected, "%s: a span of %d", passes->name, span);
  }
}

void test_quantize_rows(Random& random) {
  const int64_t rows = random.between(1, 9), width = random_width(random), pitch = head_pitch(width);
  const int32_t span = random.between(1, 32767), zero = random.between(0, 255);
  Array<int16_t> masters = numbers<int16_t>(random, rows * width, -span, span);
  Array<int16_t> expected(rows * pitch);
  portable::head().quantize({masters.data(), rows, width, span, zero, expected.data()});
  for (const HeadKernels* passes : sets()) {
    Array<int16_t> weights(rows * pitch);
    passes->quantize({masters.data(), rows, width, span, zero, weights.data()});
    CHECK(weights == expected, "%s", passes->name);
  }
}

void test_scores(Random& random) {
  const int64_t rows = random.between(1, 70), width = random_width(random), pitch = head_pitch(width);
  const int64_t samples = random.chance(30) ? 1 : random.between(1, 64);
  const int64_t step = random.chance(30) ? samples : kGroup;
  Array<int16_t> weights = numbers<int16_t>(random, rows * pitch, -255, 255);
  for (int64_t k = 0; k < rows; ++k) std::fill(&weights[k * pitch + width], &weights[k * pitch] + pitch, int16_t{0});
  std::vector<Array<int16_t>> samples_of;
  std::vector<const int16_t*> inputs;
  for (int64_t s = 0; s < samples; ++s) samples_of.push_back(numbers<int16_t>(random, width, -255, 255));
  for (auto& sample : samples_of) inputs.push_back(sample.data());
  Array<int32_t> expected((rows - 1) * step + samples);
  portable::head().scores({weights.data(), rows, width, inputs.data(), samples, expected.data(), step});
  for (int64_t k = 0; k < rows; ++k) {
    int64_t sum = 0;
    for (int64_t i = 0; i < width; ++i) sum += weights[k * pitch + i] * inputs[0][i];
    CHECK(expected[k * step] == sum, "row %d", int(k));
  }
  for (const HeadKernels* passes : sets()) {
    Array<int32_t> scores((rows - 1) * step + samples);
    passes->scores({weights.data(), rows, width, inputs.data(), samples, scores.data(), step});
    CHECK(scores == expected, "%s: %d rows of %d, %d samples", passes->name, int(rows), int(width), int(samples));
  }
}

void test_errors(Random& random) {
  const int64_t rows = random.between(1, 70), samples = random.between(1, 64);
  const int most = random.chance(20) ? 255 * 255 * 32767 : 1 << random.between(0, 25);
  const integer::Factor factor =
      random.chance(5)
          ? integer::Factor{}
          : integer::Factor::from(std::ldexp(1 + random.between(0, 1 << 20) * 0x1p-20,
                                             random.chance(20) ? random.between(-100, 40) : random.between(-32, 0)));
  Array<int32_t> first = numbers<int32_t>(random, rows * kGroup, -most, most);
  Array<uint32_t> targets(samples);
  for (int64_t s = 0; s < samples; ++s) targets[s] = random.word() % static_cast<uint32_t>(rows);
  const auto errors_of = [&](const HeadKernels& passes) {
    Array<int32_t> scores = first;
    Array<int16_t> errors(rows * kGroup);
    passes.errors({scores.data(), rows, samples, factor.mantissa, factor.shift, targets.data(), errors.data()});
    return errors;
  };
  Array<int16_t> expected = errors_of(portable::head());
  for (const HeadKernels* passes : sets()) {
    Array<int16_t> errors = errors_of(*passes);
    for (int64_t k = 0; k < rows; ++k)
      for (int64_t s = 0; s < samples; ++s)
        CHECK(errors[k * kGroup + s] == expected[k * kGroup + s], "%s: %d is not %d (a factor of %d 2^-%d)",
              passes->name, errors[k * kGroup + s], expected[k * kGroup + s], factor.mantissa, factor.shift);
  }
}

void test_product(Random& random) {
  const int64_t rows = random.between(1, 70), terms = random.between(1, 70), width = random_width(random);
  const int64_t factors_step = (terms + 1) / 2 * 2 + 2 * random.between(0, 2), sums_step = width + random.between(0, 3);
  Array<int16_t> factors = numbers<int16_t>(random, rows * factors_step, -128, 127);
  std::vector<Array<int16_t>> levels;
  std::vector<const int16_t*> pointers;
  for (int64_t j = 0; j < terms; ++j) levels.push_back(numbers<int16_t>(random, width, -255, 255));
  for (auto& row : levels) pointers.push_back(row.data());
  Array<int32_t> first = numbers<int32_t>(random, rows * sums_step, -1000000, 1000000), expected = first;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < width; ++i)
      for (int64_t j = 0; j < terms; ++j)
        expected[r * sums_step + i] += factors[r * factors_step + j] * pointers[static_cast<size_t>(j)][i];
  for (const HeadKernels* passes : sets()) {
    Aligned<int16_t> packed((terms + 1) / 2 * 2 * head_pitch(width));
    Array<int32_t> sums = first;
    passes->pack(pointers.data(), terms, width, packed.data());
    passes->product({factors.data(), rows, factors_step, packed.data(), terms, width, sums.data(), sums_step});
    CHECK(sums == expected, "%s: %d rows of %d, %d terms", passes->name, int(rows), int(width), int(terms));
  }
}

void test_update(Random& random) {
  const int64_t count = random.between(1, 600);
  const int most = random.chance(20) ? std::numeric_limits<int>::max() : 1 << random.between(0, 27);
  Array<int32_t> gradient = numbers<int32_t>(random, count, -most, most);
  for (int64_t i = 0; i < count; ++i)
    if (random.chance(20)) gradient[i] = 0;
  const integer::Factor rate =
      random.chance(5)
          ? integer::Factor{}
          : integer::Factor::from(std::ldexp(1 + random.between(0, 255) * 0x1p-8,
                                             random.chance(20) ? random.between(-100, 40) : random.between(-30, 0)));
  Array<int16_t> first = numbers<int16_t>(random, count, -32768, 32767), expected = first;
  const uint32_t key = random.word();
  portable::head().update({gradient.data(), count, most, rate.mantissa, rate.shift, key, expected.data()});
  for (const HeadKernels* passes : sets()) {
    Array<int16_t> masters = first;
    passes->update({gradient.data(), count, most, rate.mantissa, rate.shift, key, masters.data()});
    CHECK(masters == expected, "%s: a rate of %d 2^-%d", passes->name, rate.mantissa, rate.shift);
  }
}

// A few mini-batches, of more samples than a group; nothing is allocated.
void test_training(Random& random) {
  const auto rows = static_cast<size_t>(random.between(1, 12)), samples = static_cast<size_t>(random.between(1, 140));
  Numbers given;
  given.features = static_cast<uint32_t>(random.between(1, 80));
  given.bias = random.chance(50);
  given.quantizer = {0.03f, 100};
  given.fraction = 12;
  const size_t width = given.width();
  Array<int16_t> inputs = numbers<int16_t>(random, static_cast<int64_t>(samples * width), -100, 155);
  Array<int16_t> first = numbers<int16_t>(random, static_cast<int64_t>(rows * width), -3000, 3000);
  std::vector<uint32_t> targets;
  std::vector<const int16_t*> pointers;
  for (size_t s = 0; s < samples; ++s) {
    targets.push_back(random.word() % static_cast<uint32_t>(rows));
    pointers.push_back(inputs.data() + s * width);
  }
  Array<int16_t> expected(0);
  std::vector<int32_t> expected_to_input;
  const auto batch = static_cast<uint32_t>(random.between(1, 140));
  for (const HeadKernels* passes : sets()) {
    Array<int16_t> masters = first;
    std::vector<int32_t> to_input(samples * given.features, 77);
    Trainer trainer(given, *passes, rows, samples);
    integer::Random generator{5};
    const uint64_t before = allocations;
    trainer.train(masters.data(), inputs.data(), targets.data(), {4, batch, 0.1}, generator);
    trainer.begin(masters.data());
    trainer.add(pointers.data(), targets.data(), samples, to_input.data());
    trainer.update(masters.data(), static_cast<uint32_t>(samples), 0.1, generator);
    CHECK(allocations == before, "%s allocates", passes->name);
    if (expected_to_input.empty()) expected = masters, expected_to_input = to_input;
    CHECK(masters == expected && to_input == expected_to_input, "%s", passes->name);
    CHECK(rows == 1 || !(masters == first), "nothing was learned");
  }
}

void run() {
  Random random(11);
  for (const int32_t span : {1, 2, 3, 25, 26, 51, 52, 255, 256, 1300, 32767, 32768, 50000, 65534, 65535})
    test_quantize(span, span % 256);
  const uint32_t count = case_count(300);
  for (uint32_t i = 0; i < count; ++i) {
    test_range(random);
    test_quantize_rows(random);
    test_scores(random);
    test_errors(random);
    test_product(random);
    test_update(random);
    test_training(random);
  }
}

}  // namespace
}  // namespace onebit::test

int main() { onebit::test::run(); }
