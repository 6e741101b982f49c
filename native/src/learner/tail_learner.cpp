#include "learner/tail_learner.h"

#include <algorithm>
#include <numeric>

#include "kernels/registry.h"

namespace onebit::learner {
namespace {

// Draws 0 .. size - 1 in a random order, and again in another one.
class Cycle {
 public:
  explicit Cycle(size_t size) : order_(size) { std::iota(order_.begin(), order_.end(), 0u); }

  uint32_t next(Random& random) {
    if (position_ == order_.size()) position_ = 0;
    if (position_ == 0) shuffle(order_, random);
    return order_[position_++];
  }

 private:
  std::vector<uint32_t> order_;
  size_t position_ = 0;
};

}  // namespace

uint32_t largest_batch(size_t samples, const ReplayMemory& replay, const TrainOptions& options) {
  const size_t replayed = std::min<size_t>(options.replayed, replay.used().size());
  return static_cast<uint32_t>(std::min(options.batch - replayed, samples) + replayed);
}

void replay_teach(const Numbers& numbers, TailNetwork& network, State& state,
                  const std::vector<const uint32_t*>& latents, const std::vector<uint32_t>& slots,
                  const TrainOptions& options) {
  const auto stored = state.replay.used();
  const auto samples = static_cast<uint32_t>(latents.size());
  std::vector<uint32_t> all = slots;
  for (const uint32_t place : stored) all.push_back(state.replay.slots[place]);
  LiveHead head = begin_experience(numbers, state, all);

  const uint32_t replayed = std::min(options.replayed, static_cast<uint32_t>(stored.size()));
  const uint32_t fresh = std::min(options.batch - replayed, samples);
  const size_t width = numbers.width();
  Cycle new_order(samples), replay_order(stored.size());
  Trainer trainer(numbers, best_isa().head(), head.seen.size(), 0);
  std::vector<const uint32_t*> bits(fresh + replayed);
  std::vector<uint32_t> targets(bits.size());
  std::vector<int16_t> features(bits.size() * width, numbers.bias ? numbers.bias_level() : int16_t{0});
  std::vector<const int16_t*> inputs;
  for (size_t i = 0; i < bits.size(); ++i) inputs.push_back(features.data() + i * width);
  std::vector<int32_t> gradient(bits.size() * numbers.features);
  network.load(state.tail);

  for (uint32_t epoch = 0; epoch < options.epochs; ++epoch) {
    for (uint32_t first = 0; first < samples; first += fresh) {
      const uint32_t count = std::min(fresh, samples - first) + replayed;
      for (uint32_t i = 0; i < count; ++i) {
        const bool is_new = i < count - replayed;
        const uint32_t at = is_new ? new_order.next(state.random) : stored[replay_order.next(state.random)];
        bits[i] = is_new ? latents[at] : state.replay.sample(at);
        targets[i] = head.row_of[is_new ? slots[at] : state.replay.slots[at]];
      }
      network.forward(bits.data(), count);
      trainer.begin(head.masters.data());
      for (uint32_t i = 0; i < count; ++i) network.features(i, features.data() + i * width);
      trainer.add(inputs.data(), targets.data(), count, gradient.data());
      const double unit = Trainer::error_unit(count) * trainer.weight_unit();
      trainer.update(head.masters.data(), count, options.learning_rate, state.random);
      network.backward(gradient.data(), unit, options.tail_rate, state.tail, state.random);
    }
  }
  end_experience(numbers, state, head);
  state.replay.replace(latents, slots, state.taught + 1, state.random);
}

TailLearner::TailLearner(std::shared_ptr<const Tail> tail) : tail_(std::move(tail)), isa_(&best_isa()) {}

std::vector<uint32_t> TailLearner::pack(const float* latents, size_t count) const {
  const size_t channels = static_cast<size_t>(tail_->latents().c), words = (channels + 31) / 32;
  const size_t pixels = count * static_cast<size_t>(tail_->latents().pixels());
  std::vector<uint32_t> bits(pixels * words);
  for (size_t pixel = 0; pixel < pixels; ++pixel) {
    for (size_t c = 0; c < channels; ++c)
      bits[pixel * words + c / 32] |= static_cast<uint32_t>(latents[pixel * channels + c] < 0) << (c % 32);
  }
  return bits;
}

void TailLearner::features(const Numbers& numbers, const TailMasters& masters, const float* latents, size_t count,
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

void TailLearner::teach(const Numbers& numbers, State& state, const float* latents, const std::vector<uint32_t>& slots,
                        const TrainOptions& options) {
  network_.reset();
  const auto bits = pack(latents, slots.size());
  std::vector<const uint32_t*> samples;
  for (size_t i = 0; i < slots.size(); ++i) samples.push_back(bits.data() + i * static_cast<size_t>(tail_->words()));
  TailNetwork network(*tail_, *isa_, largest_batch(samples.size(), state.replay, options), TailNetwork::Use::training);
  replay_teach(numbers, network, state, samples, slots, options);
}

}  // namespace onebit::learner
