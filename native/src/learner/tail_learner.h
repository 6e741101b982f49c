// Trains the tail along with the head, where the model has a trainable one. Its input is latents in place of features;
// only the signs of latents count. An experience is latent replay (Vorabbi et al., arXiv 2401.09916; Pellegrini et al.,
// 2020) around CWR* (head/cwr.h).
//
//   A mini-batch of `batch` samples has `replayed` from the replay memory, or all of them if there are fewer, and new
//   ones. An epoch uses each new sample once. The default has the paper's share, 128 replayed beside 50 new.
#pragma once

#include <memory>
#include <vector>

#include "learner/head/cwr.h"
#include "learner/tail/network.h"

namespace onebit::learner {

// The size of the largest mini-batch of an experience with `samples` new samples.
uint32_t largest_batch(size_t samples, const ReplayMemory& replay, const TrainOptions& options);

// Trains with one experience. The network is one for training, for at least largest_batch() samples. latents[i]: the
// bits of sample i; slots[i]: the slot of its class, which has its name already.
void replay_teach(const Numbers& numbers, TailNetwork& network, State& state,
                  const std::vector<const uint32_t*>& latents, const std::vector<uint32_t>& slots,
                  const TrainOptions& options);

class TailLearner {
 public:
  explicit TailLearner(std::shared_ptr<const Tail> tail);

  const Tail& tail() const { return *tail_; }
  size_t width() const { return static_cast<size_t>(tail_->latents().elements()); }  // floats per sample

  // latents: up to kAtOnce samples x width(); levels: rows of numbers.width() levels.
  static constexpr size_t kAtOnce = 16;
  void features(const Numbers& numbers, const TailMasters& masters, const float* latents, size_t count,
                int16_t* levels);
  // To be called before features() if the masters changed or moved.
  void masters_changed() { network_.reset(); }

  // Trains with one experience. Throws Error if the mini-batch is too large.
  void teach(const Numbers& numbers, State& state, const float* latents, const std::vector<uint32_t>& slots,
             const TrainOptions& options);

 private:
  std::vector<uint32_t> pack(const float* latents, size_t count) const;

  std::shared_ptr<const Tail> tail_;
  const Isa* isa_;
  std::unique_ptr<TailNetwork> network_;  // runs features(); made on demand, so that training can have its memory
};

}  // namespace onebit::learner
