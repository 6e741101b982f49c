#include "learner/tail_learner.h"

#include "kernels/registry.h"

namespace onebit::learner {

Teachable::Teachable(std::shared_ptr<const Tail> tail) : tail_(std::move(tail)), isa_(&best_isa()) {}

std::vector<uint32_t> Teachable::pack(const float* latents, size_t count) const {
  const size_t channels = static_cast<size_t>(tail_->latents().c), words = (channels + 31) / 32;
  const size_t pixels = count * static_cast<size_t>(tail_->latents().pixels());
  std::vector<uint32_t> bits(pixels * words);
  for (size_t pixel = 0; pixel < pixels; ++pixel) {
    for (size_t c = 0; c < channels; ++c)
      bits[pixel * words + c / 32] |= static_cast<uint32_t>(latents[pixel * channels + c] < 0) << (c % 32);
  }
  return bits;
}

void Teachable::features(const Numbers& numbers, const TailMasters& masters, const float* latents, size_t count,
                         int16_t* levels) {
  if (!network_) {
    network_ = std::make_unique<TailNetwork>(*tail_, *isa_, kAtOnce, TailNetwork::Use::forward);
    network_->load(masters);
  }
  const auto bits = pack(latents, count);
  const uint32_t* samples[kAtOnce] = {};
  for (size_t i = 0; i < count; ++i) samples[i] = bits.data() + i * static_cast<size_t>(tail_->words());
  network_->forward(samples, static_cast<uint32_t>(count));
  for (size_t i = 0; i < count; ++i) {
    int16_t* row = levels + i * numbers.width();
    network_->features(static_cast<uint32_t>(i), row);
    if (numbers.bias) row[numbers.features] = numbers.bias_level();
  }
}

void Teachable::teach(const Numbers& numbers, State& state, const float* latents, const std::vector<uint32_t>& slots,
                      const TrainOptions& options) {
  network_.reset();
  const auto bits = pack(latents, slots.size());
  std::vector<const uint32_t*> samples;
  for (size_t i = 0; i < slots.size(); ++i) samples.push_back(bits.data() + i * static_cast<size_t>(tail_->words()));
  TailNetwork network(*tail_, *isa_, most_at_once(samples.size(), state.replay, options), TailNetwork::Use::training);
  replay_teach(numbers, network, state, samples, slots, options);
}

}  // namespace onebit::learner
