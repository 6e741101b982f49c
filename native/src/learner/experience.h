// One experience of a learner with a teachable tail: latent replay (Vorabbi et al., arXiv 2401.09916; Pellegrini et
// al., 2020) around CWR* (head/cwr.h). New samples and items of the replay memory make up each mini-batch; the head and
// the tail learn together.
//
//   a mini-batch of `batch` has `replayed` items, or all if there are fewer, and new samples; an epoch is over when
//   each new sample was there once. The default is the paper's share, 128 items beside 50 new samples.
#pragma once

#include "learner/head/cwr.h"
#include "learner/tail/network.h"

namespace onebit::learner {

// The samples of the largest mini-batch.
uint32_t most_at_once(size_t samples, const Replay& replay, const TrainOptions& options);

// The network is for training, with batches of at least most_at_once(). latents[i]: the bits of sample i; slots[i]: the
// slot of its class, whose name is there already.
void replay_teach(const Numbers& numbers, TailNetwork& network, State& state,
                  const std::vector<const uint32_t*>& latents, const std::vector<uint32_t>& slots,
                  const TrainOptions& options);

}  // namespace onebit::learner
