// One experience of a learner with a teachable tail: latent replay (Vorabbi et al., arXiv 2401.09916; Pellegrini et
// al., 2020) around CWR* (cwr.h). New samples and items of the replay memory make up each mini-batch; the head and the
// tail learn together.
//
//   n = B where there are no items, else clamp(round(B N / (N + R)), 1, min(N, B - 1)) new samples a mini-batch and
//   B - n items; an epoch is over when each of the N new samples was there once
#pragma once

#include "learner/cwr.h"
#include "learner/tail_network.h"

namespace onebit::learner {

// The new samples of a mini-batch, of `samples` in all beside `items`.
uint32_t new_samples(uint32_t samples, uint32_t items, uint32_t batch);

// The network is for training, with batches of at least options.batch, which is 2 or more. latents[i]: the bits of
// sample i; slots[i]: the slot of its class, whose name is there already.
void replay_teach(const Numbers& numbers, TailNetwork& network, State& state,
                  const std::vector<const uint32_t*>& latents, const std::vector<uint32_t>& slots,
                  const TrainOptions& options);

}  // namespace onebit::learner
