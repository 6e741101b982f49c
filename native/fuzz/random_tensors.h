// Constant tensors of a random graph. What they hold comes from a seed; whether they are there, from the choices.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "../tests/support/obn_writer.h"
#include "choices.h"

namespace onebit::fuzz {

class RandomTensors {
 public:
  RandomTensors(test::FileWriter& writer, Choices& choices)
      : writer_(writer), choices_(choices), random_(choices.below(256)) {}

  // One float a channel; now and then the same tensor twice.
  uint32_t channels(uint32_t count) {
    std::vector<uint32_t>& known = known_[count];
    if (!known.empty() && choices_.one_in(4)) return known[choices_.below(known.size())];
    known.push_back(floats({count}));
    return known.back();
  }

  uint32_t floats(const std::vector<uint32_t>& dims) {
    return writer_.tensor(DType::f32, dims, list<float>(volume(dims), [this] { return real(); }));
  }

  uint32_t bits(const std::vector<uint32_t>& dims) {
    const uint32_t inner = dims.back(), stride = (inner + 31) / 32;
    std::vector<uint32_t> words =
        list<uint32_t>(volume(dims) / inner * stride, [this] { return static_cast<uint32_t>(random_()); });
    if (inner % 32 != 0)
      for (size_t i = stride - 1; i < words.size(); i += stride) words[i] &= (1u << inner % 32) - 1;
    return writer_.tensor(DType::bits, dims, words);
  }

  uint32_t bytes(const std::vector<uint32_t>& dims) {
    return writer_.tensor(DType::i8, dims, list<int8_t>(volume(dims), [this] {
                            return static_cast<int8_t>(static_cast<int>(random_() % 255) - 127);
                          }));
  }

  // Bounds of which some are infinite and some intervals empty.
  uint32_t float_intervals(uint32_t count) {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    return writer_.tensor(DType::f32, {count, 2}, list<float>(2 * count, [this] {
                            const uint32_t kind = random_() % 8;
                            return kind == 0 ? infinity : kind == 1 ? -infinity : kind == 2 ? -0.0f : real();
                          }));
  }

  // `most` is that of the absolute dot product.
  uint32_t integer_intervals(uint32_t count, uint32_t most) {
    return writer_.tensor(DType::i32, {count, 2}, list<int32_t>(2 * count, [this, most] {
                            const uint32_t kind = random_() % 8;
                            if (kind == 0) return std::numeric_limits<int32_t>::max();
                            if (kind == 1) return std::numeric_limits<int32_t>::min();
                            return static_cast<int32_t>(random_() % (2 * most + 1)) - static_cast<int32_t>(most);
                          }));
  }

  uint32_t multiplier() {
    constexpr float some[] = {33.0f, 1.0f, 0.3f, 250.0f, 1e-30f, 3e38f};
    return writer_.tensor<float>(DType::f32, {1}, {some[choices_.below(std::size(some))]});
  }

 private:
  // Of many magnitudes, so that another order of summation gives other bits.
  float real() {
    const uint32_t kind = random_() % 64;
    if (kind < 2) return kind == 0 ? 0.0f : -0.0f;
    const auto fraction = static_cast<float>(static_cast<int32_t>(random_() % 131071) - 65535) / 65536.0f;
    return std::ldexp(fraction, static_cast<int>(random_() % 8) - 5);
  }

  static size_t volume(const std::vector<uint32_t>& dims) {
    size_t count = 1;
    for (const uint32_t dim : dims) count *= dim;
    return count;
  }

  template <class Number, class Function>
  static std::vector<Number> list(size_t count, const Function& function) {
    std::vector<Number> numbers(count);
    std::generate(numbers.begin(), numbers.end(), function);
    return numbers;
  }

  test::FileWriter& writer_;
  Choices& choices_;
  std::mt19937 random_;
  std::map<uint32_t, std::vector<uint32_t>> known_;  // tensors by their number of channels
};

}  // namespace onebit::fuzz
