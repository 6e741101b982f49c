// Fixed-point arithmetic and the integer softmax against real numbers.
#include "integer/softmax.h"

#include <cmath>
#include <random>
#include <vector>

#include "support/check.h"

using namespace onebit::integer;

int main() {
  std::mt19937_64 random(1);

  for (int i = 0; i < 200000; ++i) {
    const auto n = static_cast<int64_t>(random()) >> (2 + random() % 60);
    const auto d = static_cast<int64_t>(1 + (random() >> (1 + random() % 62)) / 2);
    const int64_t q = round_div(n, d);
    const int64_t twice = 2 * (n - q * d);
    CHECK(twice <= d && -twice <= d, "round_div(%lld, %lld)", (long long)n, (long long)d);
    CHECK((twice != d && -twice != d) || q % 2 == 0, "a half does not go to even");
    const int shift = static_cast<int>(random() % 62);
    CHECK(round_shift(n, shift) == round_div(n, int64_t{1} << shift), "round_shift(%lld, %d)", (long long)n, shift);
  }
  for (int i = 0; i < 100000; ++i) {
    const uint64_t v = random() >> (random() % 64);
    const uint64_t root = integer_sqrt(v);
    CHECK(root * root <= v && (root == UINT32_MAX || (root + 1) * (root + 1) > v), "the root of %llu",
          (unsigned long long)v);
  }
  for (int i = 0; i < 100000; ++i) {
    const double real = std::ldexp(static_cast<double>(random() >> 11), static_cast<int>(random() % 60) - 100);
    const auto whole = static_cast<uint32_t>(1 + (random() >> 47));
    const auto v = static_cast<int64_t>(random() >> 32) - (int64_t{1} << 31);
    const double expected = static_cast<double>(v) * real * whole / 3 * 65536;
    const auto got = static_cast<double>(multiply(v, Factor::from(real).times(whole).over(3), 16));
    CHECK(std::fabs(got - expected) <= 0.5 + std::fabs(expected) * 3e-8 || std::fabs(expected) > 4e18, "%g is not %g",
          got, expected);
  }

  double worst_exp = 0;
  for (int64_t t = 0; t < (int64_t{34} << 16); ++t) {
    const double error = std::fabs(std::ldexp(static_cast<double>(exp2_negative(t)), -30) -
                                   std::exp2(-std::ldexp(static_cast<double>(t), -16)));
    worst_exp = std::max(worst_exp, error);
  }
  CHECK(worst_exp < 4e-6 + std::ldexp(1, -30), "exp2: %g", worst_exp);
  CHECK(exp2_negative(int64_t{1} << 62) == 0, "far away");

  double worst = 0;
  for (int trial = 0; trial < 20000; ++trial) {
    const size_t count = 1 + random() % (trial % 10 ? 20 : 3000);
    const double scale = std::exp(static_cast<double>(random() % 2000) / 100 - 24);
    const int64_t spread = int64_t{1} << (random() % 32);
    std::vector<int32_t> scores(count);
    for (auto& s : scores)
      s = static_cast<int32_t>(static_cast<int64_t>(random() % (2 * static_cast<uint64_t>(spread))) - spread);
    std::vector<int64_t> powers(count);
    std::vector<uint32_t> p(count);
    softmax(scores.data(), count, Factor::from(scale / std::log(2.0)), powers.data(), p.data());
    int32_t top = scores[0];
    for (const int32_t s : scores) top = std::max(top, s);
    double sum = 0;
    for (const int32_t s : scores) sum += std::exp(scale * (static_cast<double>(s) - top));
    for (size_t k = 0; k < count; ++k) {
      const double exact = std::exp(scale * (static_cast<double>(scores[k]) - top)) / sum;
      const double error = std::fabs(static_cast<double>(p[k]) / kOne - exact);
      CHECK(error < std::ldexp(1, -17) + 1e-5 + std::ldexp(static_cast<double>(count), -31), "softmax: %g", error);
      worst = std::max(worst, error);
    }
  }
  std::printf("exp2 within %.3g, softmax within %.3g\n", worst_exp, worst);
}
