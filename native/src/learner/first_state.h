// What a learner starts from, and the state that it makes of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "learner/record.h"

namespace onebit::learner {

// What a learner starts from. weight: classes x features, of the packed head; bias: one per class, or empty.
struct Backbone {
  Hash hash{};
  uint32_t features = 0;
  float low = 0, high = 0;  // calibrated range of the features
  std::vector<std::string> names;
  std::vector<uint32_t> samples;  // 0: a class that the backbone never saw; it is left out
  std::vector<float> weight, bias;
  // Where the model has a teachable tail:
  std::shared_ptr<const Tail> tail;
  TailMasters masters;
  std::vector<uint32_t> item_bits, item_labels;  // latents to begin the replay memory with
};

struct Options {
  uint32_t max_classes = 64;
  uint32_t max_experiences = 1024;
  uint32_t history = 8;
  uint64_t seed = 0;
  uint32_t replay = 300;  // items of the replay memory of a teachable tail; with 0 the head alone learns
};

// The first commit: cw from the packed head, each row less the mean of all. Throws Error if the backbone or an option
// cannot be.
std::pair<Constant, State> first_state(Backbone backbone, const Options& options);

}  // namespace onebit::learner
