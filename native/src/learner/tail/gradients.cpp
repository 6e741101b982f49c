#include "learner/tail/gradients.h"

#include <algorithm>
#include <utility>

namespace onebit::learner {

// A gradient has a place from its first contribution until its layer is done.
void Gradients::reserve(uint32_t batch) {
  gradients_.resize(tail_.values.size());
  std::vector<bool> placed(tail_.values.size()), taken;
  int64_t size = 0;
  const auto place = [&](size_t value) {
    if (value == 0 || placed[value]) return;
    placed[value] = true;
    const auto free = std::find(taken.begin(), taken.end(), false);
    gradients_[value].place = static_cast<size_t>(free - taken.begin());
    if (free == taken.end()) {
      taken.push_back(true);
    } else {
      *free = true;
    }
    size = std::max(size, batch * tail_.values[value].elements());
  };
  place(tail_.values.size() - 1);
  for (size_t i = tail_.layers.size(); i-- > 0;) {
    const TailLayer& layer = tail_.layers[i];
    if (layer.residual > 0) place(static_cast<size_t>(layer.residual));
    place(layer.input);
    taken[gradients_[i + 1].place] = false;
  }
  places_.resize(taken.size());
  for (auto& memory : places_) memory.at_least(size);
  contribution_.at_least(size);
}

void Gradients::add(size_t value, double unit, const int32_t* values) {
  add(
      value, unit, 0, elements(value),
      [&](int64_t begin, int64_t end, size_t) { return max_abs(values + begin, end - begin); },
      [&](int64_t begin, int64_t end, size_t, int shift, int16_t* to) {
        narrow(values + begin, end - begin, shift, to + begin);
      });
}

void Gradients::add_gradient(size_t from, size_t to) {
  std::copy_n(of(from), elements(from), contribution_.data());
  accept(to, unit(from));
}

// Contributions are added in the larger one's unit, in 16 more bits, and normalised again.
void Gradients::accept(size_t value, double unit) {
  if (!usable(unit)) return;
  Gradient& sum = gradients_[value];
  if (!sum.present) {
    std::swap(places_[sum.place], contribution_);
    sum.unit = unit;
    sum.present = true;
    return;
  }
  const bool first = sum.unit >= unit;
  const double large = first ? sum.unit : unit, small = first ? unit : sum.unit;
  const auto ratio = static_cast<int32_t>(std::floor(small / large * 65536));
  const int32_t one = 65536;
  const auto part = [&](int64_t begin, int64_t end) {
    return TailAddArgs{end - begin, of(value) + begin, first ? one : ratio, contribution_.data() + begin,
                       first ? ratio : one};
  };
  const int64_t size = elements(value);
  const int64_t max =
      max_over(pool_, size, [&](int64_t begin, int64_t end, size_t) { return kernels_.max_of_add(part(begin, end)); });
  const int shift = to_16_bits(max);
  pool_.split(size, [&](int64_t begin, int64_t end, size_t) { kernels_.add(part(begin, end), shift); });
  sum.unit = std::ldexp(large, shift - 16);
  sum.present = max > 0 && usable(sum.unit);
}

}  // namespace onebit::learner
