// What a learner does where the model has a trainable tail: it is handed latents in place of features, whose signs
// alone matter, and trains the tail along with the head. An experience is latent replay (Vorabbi et al., arXiv
// 2401.09916; Pellegrini et al., 2020) around CWR* (head/cwr.h).
//
//   a mini-batch of `batch` has `replayed` samples of the replay memory, or all if there are fewer, and new samples; an
//   epoch is over when each new sample was there once. The default is the paper's share, 128 replayed beside 50 new.
#pragma once

#include <memory>
#include <vector>

#include "learner/head/cwr.h"
#include "learner/tail/network.h"

namespace onebit::learner {

// The samples of the largest mini-batch of an experience of so many new ones.
uint32_t largest_batch(size_t samples, const ReplayMemory& replay, const TrainOptions& options);

// One experience. The network is for training, with batches of at least largest_batch(). latents[i]: the bits of sample
// i; slots[i]: the slot of its class, whose name is there already.
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
  // To be called before features() where the masters are others, or elsewhere.
  void masters_changed() { network_.reset(); }

  // One experience. Throws Error if the mini-batch is too large.
  void teach(const Numbers& numbers, State& state, const float* latents, const std::vector<uint32_t>& slots,
             const TrainOptions& options);

 private:
  std::vector<uint32_t> pack(const float* latents, size_t count) const;

  std::shared_ptr<const Tail> tail_;
  const Isa* isa_;
  std::unique_ptr<TailNetwork> network_;  // for features(); made on demand, so that training has its memory
};

}  // namespace onebit::learner
