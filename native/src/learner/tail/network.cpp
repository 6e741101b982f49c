#include "learner/tail/network.h"

namespace onebit::learner {
namespace {

std::unique_ptr<Layer> make_layer(Workspace& work, size_t index) {
  switch (work.tail.layers[index].op) {
    case Op::conv_binary: return make_binary_conv(work, index);
    case Op::conv_float: return make_float_conv(work, index);
    case Op::pointwise: return make_pointwise(work, index);
    case Op::average_pool: return make_average_pool(work, index);
    case Op::max_pool: return make_max_pool(work, index);
    default: return make_pad_channels(work, index);  // read_tail() refuses every other
  }
}

}  // namespace

TailNetwork::TailNetwork(const Tail& tail, const Isa& isa, uint32_t batch, Use use, int threads)
    : work_(tail, isa, batch, use == Use::training, threads) {
  for (size_t i = 0; i < tail.layers.size(); ++i) layers_.push_back(make_layer(work_, i));
}

void TailNetwork::load(const TailMasters& masters) {
  for (const auto& layer : layers_) layer->load(masters);
}

void TailNetwork::forward(const uint32_t* const* bits, uint32_t count) {
  work_.samples = count;
  const Tail& tail = work_.tail;
  const TailValue& latents = tail.latents();
  work_.pool.split(count, [&](int64_t begin, int64_t end, size_t thread) {
    for (int64_t i = begin; i < end; ++i)
      work_.tail_kernels.unpack(bits[i], latents.pixels(), latents.c, tail.plus.data(), tail.minus.data(),
                                work_.codes[0].data() + i * latents.elements());
    for (const auto& layer : layers_) layer->forward(begin, end, thread);
  });
}

void TailNetwork::features(uint32_t sample, int16_t* levels) const {
  const TailValue& features = work_.tail.features();
  work_.tail_kernels.levels_of(work_.codes.back().data() + sample * features.elements(), features.elements(),
                               features.quantizer.zero, levels);
}

void TailNetwork::backward(const int32_t* gradient, double unit, double rate, TailMasters& masters, Random& random) {
  Gradients& gradients = work_.gradients;
  gradients.start(work_.samples);
  gradients.add(layers_.size(), unit, gradient);
  for (size_t layer = layers_.size(); layer-- > 0;) {
    layers_[layer]->backward(rate, masters, random);
    gradients.release(layer + 1);
  }
}

}  // namespace onebit::learner
