// Gradients of the tail as docs/learner.md has them: 16-bit numbers with one unit, a list for each value.
#pragma once

#include <cmath>
#include <map>

#include "integer/fixed.h"
#include "plain_windows.h"

namespace onebit::test {

inline int length(int64_t v) {
  int bits = 0;
  while (v >> bits) ++bits;
  return bits;
}
inline int64_t most(const Numbers64& v) {
  int64_t m = 0;
  for (const int64_t x : v) m = std::max(m, x < 0 ? -x : x);
  return m;
}
inline int64_t clamp16(int64_t v) { return std::max<int64_t>(-32767, std::min<int64_t>(32767, v)); }

struct PlainGradient {
  Numbers64 g;
  double unit;
};

inline PlainGradient normalise(Numbers64 t, double unit) {
  const int k = std::max(0, length(most(t)) - 15);
  for (int64_t& v : t) v = clamp16(integer::round_shift(v, k));
  return {std::move(t), unit * std::pow(2.0, k)};
}

class PlainGradients {
 public:
  // Null where nothing came.
  const PlainGradient* of(uint32_t value) const {
    const auto found = gradients_.find(value);
    return found == gradients_.end() ? nullptr : &found->second;
  }
  void contribute(uint32_t value, const Numbers64& t, double unit) {
    if (most(t) == 0) return;
    const PlainGradient next = normalise(t, unit);
    const auto found = gradients_.find(value);
    if (found == gradients_.end()) {
      gradients_[value] = next;
      return;
    }
    const bool first = found->second.unit >= next.unit;
    const PlainGradient &large = first ? found->second : next, &small = first ? next : found->second;
    const auto rho = static_cast<int64_t>(std::floor(small.unit / large.unit * 65536));
    Numbers64 sum(t.size());
    for (size_t i = 0; i < sum.size(); ++i) sum[i] = large.g[i] * 65536 + small.g[i] * rho;
    const PlainGradient both = normalise(sum, large.unit / 65536);
    gradients_.erase(value);
    if (most(both.g)) gradients_[value] = both;
  }

 private:
  std::map<uint32_t, PlainGradient> gradients_;
};

}  // namespace onebit::test
