#include "learner/tail/trained_layer.h"

#include <algorithm>
#include <cmath>

#include "integer/noise.h"

namespace onebit::learner {
namespace {

enum Parameter { kM, kN, kA, kP, kParameters };

}  // namespace

TrainedLayer::TrainedLayer(Workspace& work, size_t index, double variance) : Layer(work, index), variance_(variance) {
  if (!work.training) return;
  work.totals.at_least(work.threads * kParameters * out_.c);
  work.maxima.at_least(work.threads * out_.c);
}

TailSums TrainedLayer::z(int64_t first_pixel, int64_t pixels) const {
  const int64_t channels = out_.c;
  TailSums z = {pixels,
                channels,
                nullptr,
                nullptr,
                parameters_ + kM * channels,
                parameters_ + kN * channels,
                parameters_ + kA * channels,
                parameters_ + kP * channels,
                spec_.residual_factor,
                0,
                spec_.limit,
                spec_.activation};
  if (wide_sums_.data()) {
    z.wide = wide_sums_.data() + first_pixel * channels;
  } else {
    z.sums = sums_.data() + first_pixel * channels;
  }
  if (spec_.residual >= 0) {
    const auto residual = static_cast<size_t>(spec_.residual);
    z.residual = work_.codes[residual].data() + first_pixel * channels;
    z.residual_zero = work_.tail.values[residual].quantizer.zero;
  }
  return z;
}

void TrainedLayer::forward(int64_t begin, int64_t end, size_t thread) {
  sum(begin, end, thread);
  work_.tail_kernels.codes(
      {z(begin * out_.pixels(), (end - begin) * out_.pixels()), out_.quantizer.zero, output_codes(begin)});
}

void TrainedLayer::backward(double rate, TailMasters& masters, Random& random) {
  TrainedLayer::load(masters);
  Keys keys{};
  keys.levels = random.next();
  keys.weights = random.next();
  keys.parameters = random.next();
  if (!work_.gradients.present(output_)) return;
  const int64_t max = before_activation();
  if (spec_.residual > 0 && max > 0) work_.gradients.add_gradient(output_, static_cast<size_t>(spec_.residual));
  int64_t max_of_sums = 0;  // |G' M|
  for (int64_t c = 0; c < out_.c; ++c)
    max_of_sums = std::max(max_of_sums, work_.maxima.data()[c] * std::abs(int64_t{parameters_[kM * out_.c + c]}));
  if (max_of_sums > 0) through_sums(max_of_sums, keys, rate, masters);
  update_parameters(rate, keys.parameters, masters.parameters.data() + spec_.parameters);
}

// G' in place of G, the sums and maxima of each channel; returns the largest |G'|.
int64_t TrainedLayer::before_activation() {
  const int64_t channels = out_.c, parameters = kParameters * channels;
  int64_t* totals = work_.totals.data();
  int32_t* maxima = work_.maxima.data();
  std::fill_n(totals, work_.threads * parameters, int64_t{0});
  std::fill_n(maxima, work_.threads * channels, 0);
  int16_t* gradient = work_.gradients.of(output_);
  work_.pool.split(work_.samples * out_.pixels(), [&](int64_t begin, int64_t end, size_t thread) {
    int64_t* total = totals + static_cast<int64_t>(thread) * parameters;
    work_.tail_kernels.gradient({z(begin, end - begin), gradient + begin * channels, total + kM * channels,
                                 total + kN * channels, total + kA * channels, total + kP * channels,
                                 maxima + static_cast<int64_t>(thread) * channels});
  });
  for (int64_t i = parameters; i < work_.threads * parameters; ++i) totals[i % parameters] += totals[i];
  for (int64_t i = channels; i < work_.threads * channels; ++i)
    maxima[i % channels] = std::max(maxima[i % channels], maxima[i]);
  return *std::max_element(maxima, maxima + channels);
}

double TrainedLayer::eight_bits(int64_t max, uint32_t key, int8_t* h, int64_t pitch) {
  const EightBits eight(max);
  const double unit = std::ldexp(work_.gradients.unit(output_) * out_.step(), -spec_.fraction()) * eight.scale;
  if (!usable(unit)) return 0;
  const int64_t channels = out_.c;
  const int16_t* gradient = work_.gradients.of(output_);
  work_.pool.split(work_.samples * out_.pixels(), [&](int64_t begin, int64_t end, size_t) {
    const int64_t step = pitch == channels ? end - begin : 1;  // pixels at a time
    for (int64_t pixel = begin; pixel < end; pixel += step) {
      work_.tail_kernels.levels({step, channels, gradient + pixel * channels, parameters_ + kM * channels, eight.shift,
                                 eight.inverse, key, static_cast<uint32_t>(pixel * channels), h + pixel * pitch});
    }
  });
  return unit;
}

void TrainedLayer::update_parameters(double rate, uint32_t key, int32_t* parameters) {
  const int64_t channels = out_.c;
  const double unit = work_.gradients.unit(output_), step = out_.step();
  for (int j = 0; j < kParameters; ++j, parameters += channels) {
    if (!spec_.present[static_cast<size_t>(j)]) continue;
    const int64_t* sums = work_.totals.data() + j * channels;
    int64_t max = 0;
    for (int64_t c = 0; c < channels; ++c) max = std::max(max, std::abs(sums[c]));
    if (max == 0) continue;
    const int shift = std::max(0, bit_length(max) - 31);
    const double scale = j == kA   ? unit * step * 65536
                         : j == kM ? std::ldexp(unit * spec_.source * spec_.source / step, spec_.fraction()) / variance_
                                   : unit * 65536 / step;
    const Factor factor = factor_of(std::ldexp(rate * scale, shift));
    for (int64_t c = 0; c < channels; ++c) {
      const uint32_t noise = noise16(key, static_cast<uint32_t>(j * channels + c));
      const int64_t update = (multiply(sums[c] >> shift, factor, 16) + noise) >> 16;
      parameters[c] = static_cast<int32_t>(clamp<-kMaxMaster, kMaxMaster>(parameters[c] - update));
    }
  }
}

}  // namespace onebit::learner
