// The trainable tail of a model file.
#pragma once

#include <cstdint>
#include <vector>

#include "format/model.h"
#include "learner/tail/masters.h"
#include "learner/tail/tail.h"

namespace onebit::learner {

// Samples to replay that the file has.
struct StoredSamples {
  uint32_t count = 0;
  const uint32_t* bits = nullptr;  // latents as 1 bit each, [count][h][w][words], in the model
  std::vector<uint32_t> labels;    // a class each, by its place in the head
};

// Whether the file says that its network has a trainable tail.
bool has_tail(const Model& model);

// Throw Error if the tail is not one that can be trained, or the file contradicts itself.
Tail read_tail(const Model& model);
TailMasters read_masters(const Model& model, const Tail& tail);
StoredSamples read_samples(const Model& model, const Tail& tail);

}  // namespace onebit::learner
