// The backward half of the tail at work (docs/learner.md).
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/shape.h"
#include "learner/tail/arithmetic.h"
#include "learner/tail/network.h"

namespace onebit::learner {
// Takes all memory of the backward half.
void TailNetwork::reserve_gradients() {
  plan_gradients();
  totals_.resize(threads_ * kParameters * static_cast<size_t>(channels_));
  largest_of_channel_.resize(threads_ * static_cast<size_t>(channels_));
  largest_.resize(threads_);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const TailLayer& layer = tail_.layers[i];
    if (layer.op == Op::conv_float) reserve_real(layer);
    if (!layer.trained()) spread_.at_least(static_cast<int64_t>(threads_) * tail_.values[layer.input].elements());
    if (layer.op != Op::conv_binary) continue;
    ConvShape shape = layer.shape;
    shape.batch = static_cast<int32_t>(batch_);
    layers_[i].pairs = std::make_unique<const ConvPairs>(shape);
    products_.reserve(shape, static_cast<int64_t>(threads_));
    if (layer.input > 0) input_sums_.at_least(batch_ * tail_.values[layer.input].elements());
  }
}

// A gradient has a place from the first contribution until its layer is done.
void TailNetwork::plan_gradients() {
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
    size = std::max(size, batch_ * tail_.values[value].elements());
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
  other_.at_least(size);
}

void TailNetwork::backward(const int32_t* gradient, double unit, double rate, TailMasters& masters, Random& random) {
  parameters_ = masters.parameters.data();
  start(gradient, unit);
  for (size_t layer = layers_.size(); layer-- > 0;) {
    if (tail_.layers[layer].trained()) {
      train(layer, rate, masters, random);
    } else {
      through_untrained(layer);
    }
    gradients_[layer + 1].present = false;
  }
}

void TailNetwork::start(const int32_t* gradient, double unit) {
  const int64_t size = count_ * tail_.features().elements();
  const int64_t most = most_of(gradient, size);
  if (most == 0 || !usable(unit)) return;
  const int shift = to_16_bits(most);
  narrow(gradient, size, shift, other_.data());
  accept(tail_.values.size() - 1, std::ldexp(unit, shift));
}

void TailNetwork::accept(size_t value, double unit) {
  if (!usable(unit)) return;
  Gradient& sum = gradients_[value];
  if (!sum.present) {
    std::swap(places_[sum.place], other_);
    sum.unit = unit;
    sum.present = true;
    return;
  }
  const bool first = sum.unit >= unit;
  const double large = first ? sum.unit : unit, small = first ? unit : sum.unit;
  const auto ratio = static_cast<int32_t>(std::floor(small / large * 65536));
  const int32_t one = 65536;
  TailAddArgs args = {0, values_of(value), first ? one : ratio, other_.data(), first ? ratio : one};
  const auto part = [&](int64_t begin, int64_t end) {
    TailAddArgs some = args;
    some.count = end - begin, some.a += begin, some.b += begin;
    return some;
  };
  const int64_t size = count_ * tail_.values[value].elements();
  const int64_t most = largest(size, [&](int64_t begin, int64_t end) { return passes_.max_of_add(part(begin, end)); });
  const int shift = to_16_bits(most);
  pool_.split(size, [&](int64_t begin, int64_t end, size_t) { passes_.add(part(begin, end), shift); });
  sum.unit = std::ldexp(large, shift - 16);
  sum.present = most > 0 && usable(sum.unit);
}

void TailNetwork::train(size_t layer, double rate, TailMasters& masters, Random& random) {
  Keys keys{};
  keys.levels = random.next();
  keys.weights = random.next();
  keys.parameters = random.next();
  const TailLayer& from = tail_.layers[layer];
  const Gradient output = gradients_[layer + 1];
  if (!output.present) return;
  const int64_t most = before_activation(layer);
  if (from.residual > 0 && most > 0) {
    std::copy_n(values_of(layer + 1), count_ * tail_.values[layer + 1].elements(), other_.data());
    accept(static_cast<size_t>(from.residual), output.unit);
  }
  const int64_t channels = tail_.values[layer + 1].c;
  const int32_t* m = masters.parameters.data() + from.parameters;
  int64_t most_of_sums = 0;  // |G' M|
  for (int64_t c = 0; c < channels; ++c)
    most_of_sums = std::max(most_of_sums, largest_of_channel_[static_cast<size_t>(c)] * std::abs(int64_t{m[c]}));
  if (most_of_sums > 0) {
    switch (from.op) {
      case Op::conv_binary: through_convolution(layer, most_of_sums, keys, rate, masters); break;
      case Op::conv_float: through_real(layer, most_of_sums, keys, rate, masters); break;
      default: to_input(layer, most_of_sums);
    }
  }
  update_parameters(layer, rate, keys.parameters, masters);
}

// G' in place of G, sums and sizes of each channel; the largest |G'|.
int64_t TailNetwork::before_activation(size_t layer) {
  const TailValue& out = tail_.values[layer + 1];
  const auto channels = static_cast<size_t>(out.c);
  std::fill(totals_.begin(), totals_.end(), 0);
  std::fill(largest_of_channel_.begin(), largest_of_channel_.end(), 0);
  pool_.split(count_ * out.pixels(), [&](int64_t begin, int64_t end, size_t thread) {
    int64_t* total = totals_.data() + thread * kParameters * channels;
    passes_.gradient({sums_of(layer, begin, end - begin), values_of(layer + 1) + begin * out.c, total + kM * channels,
                      total + kN * channels, total + kA * channels, total + kP * channels,
                      largest_of_channel_.data() + thread * channels});
  });
  for (size_t i = kParameters * channels; i < threads_ * kParameters * channels; ++i)
    totals_[i % (kParameters * channels)] += totals_[i];
  for (size_t i = channels; i < threads_ * channels; ++i)
    largest_of_channel_[i % channels] = std::max(largest_of_channel_[i % channels], largest_of_channel_[i]);
  return *std::max_element(largest_of_channel_.begin(), largest_of_channel_.begin() + out.c);
}

// Of a pointwise layer.
void TailNetwork::to_input(size_t layer, int64_t most) {
  const TailLayer& from = tail_.layers[layer];
  if (from.input == 0) return;
  const TailValue &in = tail_.values[from.input], &out = tail_.values[layer + 1];
  const int shift = to_16_bits(most);
  const int32_t* m = parameters_ + from.parameters;
  pool_.split(count_ * out.pixels(), [&](int64_t begin, int64_t end, size_t) {
    passes_.input({end - begin, out.c, values_of(layer + 1) + begin * out.c, m}, shift, other_.data() + begin * out.c);
  });
  accept(from.input, std::ldexp(gradients_[layer + 1].unit * out.step() / in.step(), shift - 16));
}

void TailNetwork::through_convolution(size_t layer, int64_t most, const Keys& keys, double rate, TailMasters& masters) {
  const TailLayer& from = tail_.layers[layer];
  const TailValue& out = tail_.values[layer + 1];
  const EightBits eight(most);
  const double unit = std::ldexp(gradients_[layer + 1].unit * out.step(), -16) * eight.worth;
  if (!usable(unit)) return;

  ConvShape shape = from.shape;
  shape.batch = static_cast<int32_t>(count_);
  int8_t* levels = products_.start(shape);
  const int64_t step = products_.h_step(shape);
  const int32_t* m = masters.parameters.data() + from.parameters;
  pool_.split(count_ * out.pixels(), [&](int64_t begin, int64_t end, size_t) {
    for (int64_t pixel = begin; pixel < end; ++pixel) {
      passes_.levels({1, out.c, values_of(layer + 1) + pixel * out.c, m, eight.shift, eight.inverse, keys.levels,
                      static_cast<uint32_t>(pixel * out.c), levels + pixel * step});
    }
  });
  if (from.input > 0) {
    products_.inputs(shape, *layers_[layer].pairs, layers_[layer].weights.data(), input_sums_.data(), pool_);
    through_sign(layer, unit);
  }
  update_weights(layer, unit, rate, keys.weights, masters);
}

// The contribution of a convolution to what its binarize reads.
void TailNetwork::through_sign(size_t layer, double unit) {
  const TailLayer& from = tail_.layers[layer];
  const TailValue& in = tail_.values[from.input];
  const auto part = [&](int64_t begin, int64_t end) {
    return TailEstimateArgs{end - begin,
                            in.c,
                            input_sums_.data() + begin * in.c,
                            codes_[from.input].data() + begin * in.c,
                            in.quantizer.zero,
                            from.step,
                            from.centres.data(),
                            from.estimator == Estimator::quadratic};
  };
  const int64_t pixels = count_ * in.pixels();
  const int64_t most =
      largest(pixels, [&](int64_t begin, int64_t end) { return passes_.max_of_estimate(part(begin, end)); });
  if (most == 0) return;
  const int shift = to_16_bits(most);
  pool_.split(pixels, [&](int64_t begin, int64_t end, size_t) {
    passes_.estimate(part(begin, end), shift, other_.data() + begin * in.c);
  });
  accept(from.input, std::ldexp(unit, shift - 14));
}

}  // namespace onebit::learner
