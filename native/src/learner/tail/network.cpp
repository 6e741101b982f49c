#include "learner/tail/network.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "gradient/products.h"
#include "kernels/autotune.h"
#include "kernels/shape.h"

namespace onebit::learner {
namespace {

constexpr int64_t kFloatsInCache = 64 * 1024;

}  // namespace

TailNetwork::TailNetwork(const Tail& tail, const Isa& isa, uint32_t batch, Use use, int threads)
    : tail_(tail),
      kernels_(isa.kernels()),
      passes_(isa.tail()),
      batch_(batch),
      threads_(static_cast<size_t>(threads)),
      pool_(threads),
      codes_(tail.values.size()),
      layers_(tail.layers.size()),
      products_(isa.signs()),
      real_(passes_) {
  for (size_t i = 0; i < codes_.size(); ++i) {
    codes_[i].at_least(batch * tail.values[i].elements());
    channels_ = std::max<int64_t>(channels_, tail.values[i].c);
  }
  for (size_t i = 0; i < layers_.size(); ++i) {
    const TailLayer& from = tail.layers[i];
    const TailValue &in = tail.values[from.input], &out = tail.values[i + 1];
    Layer& layer = layers_[i];
    if (from.op == Op::conv_binary || from.op == Op::pointwise) layer.sums.at_least(batch * out.elements());
    if (!from.convolution()) continue;
    ConvShape shape = from.shape;
    shape.batch = static_cast<int32_t>(batch);
    const char* why = nullptr;
    if (use == Use::training) why = Products::unfit(shape);
    if (use == Use::training && !why && from.op == Op::conv_float) why = ByteProducts::unfit(shape);
    if (why)
      throw Error(ONEBIT_INVALID_ARGUMENT, text("a mini-batch of ", batch, " samples has ", why), "take a smaller one");
    if (from.op == Op::conv_float) {
      layer.wide.at_least(batch * out.elements());
      layer.levels.at_least(from.weight_count());
      real_.reserve(shape, threads_);
      continue;
    }
    layer.kernel = &kernels_.binary_conv[choose_kernel(kernels_.binary_conv, from.shape)];
    layer.packed.at_least(static_cast<int64_t>(layer.kernel->pack_bytes(from.shape)));
    const int64_t bits = batch * in.pixels() * words_of(in.c);
    const int64_t words = int64_t{out.c} * taps_of(shape) * words_of(in.c);
    std::fill_n(layer.bits.at_least(bits), bits, 0u);
    std::fill_n(layer.weights.at_least(words), words, 0u);
    floats_a_thread_ = std::max(floats_a_thread_, std::max(kFloatsInCache, out.elements()));
  }
  floats_.at_least(threads * floats_a_thread_);
  if (use == Use::training) reserve_gradients();
}

void TailNetwork::load(const TailMasters& masters) {
  parameters_ = masters.parameters.data();
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (layers_[i].kernel) load_weights(i, masters);
    if (tail_.layers[i].op == Op::conv_float) load_levels(i, masters);
  }
}

void TailNetwork::load_weights(size_t layer, const TailMasters& masters) {
  const TailLayer& from = tail_.layers[layer];
  Layer& to = layers_[layer];
  const int64_t rows = from.shape.out_c * taps_of(from.shape), channels = from.shape.in_c;
  const int8_t* weights = masters.weights.data() + from.weights;
  pool_.split(rows, [&](int64_t begin, int64_t end, size_t) {
    passes_.signs(weights + begin * channels, end - begin, channels, to.weights.data() + begin * words_of(channels));
  });
  to.kernel->pack(from.shape, to.weights.data(), to.packed.data());
}

TailSums TailNetwork::sums_of(size_t layer, int64_t first_pixel, int64_t pixels) const {
  const TailLayer& from = tail_.layers[layer];
  const int64_t channels = tail_.values[layer + 1].c;
  const int32_t* m = parameters_ + from.parameters;
  TailSums z = {pixels,
                channels,
                layers_[layer].sums.data() + first_pixel * channels,
                nullptr,
                m,
                m + channels,
                m + 2 * channels,
                m + 3 * channels,
                from.residual_factor,
                0,
                from.limit,
                from.activation};
  if (from.op == Op::conv_float) z.wide = layers_[layer].wide.data() + first_pixel * channels;
  if (from.residual >= 0) {
    const auto residual = static_cast<size_t>(from.residual);
    z.residual = codes_[residual].data() + first_pixel * channels;
    z.residual_zero = tail_.values[residual].quantizer.zero;
  }
  return z;
}

void TailNetwork::forward(const uint32_t* const* bits, uint32_t count) {
  count_ = count;
  const TailValue& latents = tail_.latents();
  pool_.split(count_, [&](int64_t begin, int64_t end, size_t thread) {
    for (int64_t i = begin; i < end; ++i)
      passes_.unpack(bits[i], latents.pixels(), latents.c, tail_.plus.data(), tail_.minus.data(),
                     codes_[0].data() + i * latents.elements());
    for (size_t layer = 0; layer < layers_.size(); ++layer) run(layer, begin, end, thread);
  });
}

void TailNetwork::run(size_t layer, int64_t begin, int64_t end, size_t thread) {
  const TailLayer& from = tail_.layers[layer];
  const TailValue &in = tail_.values[from.input], &out = tail_.values[layer + 1];
  if (!from.trained()) return run_untrained(layer, begin, end);
  if (from.op == Op::conv_float) {
    real_.forward(from.shape, codes_[from.input].data(), in.quantizer.zero, layers_[layer].levels.data(), begin, end,
                  layers_[layer].wide.data(), thread);
  } else if (from.op == Op::conv_binary) {
    float* floats = floats_.data() + static_cast<int64_t>(thread) * floats_a_thread_;
    const int64_t step = floats_a_thread_ / out.elements();
    for (int64_t i = begin; i < end; i += step) convolve(layer, i, std::min(end, i + step), floats);
  } else {
    passes_.levels_of(codes_[from.input].data() + begin * in.elements(), (end - begin) * in.elements(),
                      in.quantizer.zero, layers_[layer].sums.data() + begin * out.elements());
  }
  passes_.codes({sums_of(layer, begin * out.pixels(), (end - begin) * out.pixels()), out.quantizer.zero,
                 codes_[layer + 1].data() + begin * out.elements()});
}

void TailNetwork::convolve(size_t layer, int64_t begin, int64_t end, float* floats) {
  const TailLayer& from = tail_.layers[layer];
  const TailValue &in = tail_.values[from.input], &out = tail_.values[layer + 1];
  Layer& to = layers_[layer];
  uint32_t* bits = to.bits.data() + begin * in.pixels() * words_of(in.c);
  passes_.binarize(codes_[from.input].data() + begin * in.elements(), (end - begin) * in.pixels(), in.c,
                   from.thresholds.data(), bits);
  ConvShape shape = from.shape;
  shape.batch = static_cast<int32_t>(end - begin);
  const Epilogue none = {nullptr, nullptr, nullptr, nullptr, nullptr, Activation::none};
  to.kernel->run({shape, 0, bits, to.packed.data(), none, nullptr, floats, nullptr}, 0, to.kernel->units(shape));
  passes_.integers(floats, (end - begin) * out.elements(), to.sums.data() + begin * out.elements());
}

void TailNetwork::features(uint32_t sample, int16_t* levels) const {
  const TailValue& features = tail_.features();
  passes_.levels_of(codes_.back().data() + sample * features.elements(), features.elements(), features.quantizer.zero,
                    levels);
}

}  // namespace onebit::learner
