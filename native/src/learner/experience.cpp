#include "learner/experience.h"

#include <algorithm>
#include <numeric>

#include "kernels/registry.h"

namespace onebit::learner {
namespace {

// Gives 0 .. size - 1 in a random order, again and again.
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

uint32_t most_at_once(size_t samples, const Replay& replay, const TrainOptions& options) {
  const size_t replayed = std::min<size_t>(options.replayed, replay.used().size());
  return static_cast<uint32_t>(std::min(options.batch - replayed, samples) + replayed);
}

void replay_teach(const Numbers& numbers, TailNetwork& network, State& state,
                  const std::vector<const uint32_t*>& latents, const std::vector<uint32_t>& slots,
                  const TrainOptions& options) {
  const auto items = state.replay.used();
  const auto samples = static_cast<uint32_t>(latents.size());
  std::vector<uint32_t> all = slots;
  for (const uint32_t item : items) all.push_back(state.replay.slots[item]);
  LiveHead head = begin_experience(numbers, state, all);

  const uint32_t replayed = std::min(options.replayed, static_cast<uint32_t>(items.size()));
  const uint32_t fresh = std::min(options.batch - replayed, samples);
  const size_t width = numbers.width();
  Cycle new_order(samples), item_order(items.size());
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
        const uint32_t at = is_new ? new_order.next(state.random) : items[item_order.next(state.random)];
        bits[i] = is_new ? latents[at] : state.replay.item(at);
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

}  // namespace onebit::learner
