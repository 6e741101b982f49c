// What a learner starts from: a frozen network with its head, and its tail where that is trained; and the state that a
// learner makes of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "format/model.h"
#include "learner/record.h"

namespace onebit::learner {

// The samples of a class where the file does not say (META classes.samples): enough that the first experience does not
// overrun it.
constexpr uint32_t kAssumedSamples = 1000;

// weight: classes x features, of the packed head; bias: one per class, or empty.
struct Backbone {
  Hash hash{};
  uint32_t features = 0;
  float low = 0, high = 0;  // calibrated range of the features
  std::vector<std::string> names;
  std::vector<uint32_t> samples;  // per class; one with 0, which the backbone never saw, is left out
  std::vector<float> weight, bias;
  // Where the model has a trainable tail:
  std::shared_ptr<const Tail> tail;
  TailMasters masters;
  std::vector<uint32_t> replay_bits, replay_labels;  // the first samples of the replay memory
};

Hash backbone_hash(const Model& model);

// Throws Error if the model has no "features", no range for them, or a head that is not one dense layer over them.
Backbone read_backbone(const Model& model);

// The trainable tail; null if the model has none. Throws Error if it cannot be trained.
std::shared_ptr<const Tail> tail_of(const Model& model);

struct Options {
  uint32_t max_classes = 64;
  uint32_t max_experiences = 1024;
  uint32_t history = 8;
  uint64_t seed = 0;
  uint32_t replay = 300;  // samples in the replay memory of a trainable tail; with 0 the head alone learns
};

// The first commit: cw from the packed head, each row less the mean of all. Throws Error if the backbone or an option
// is not valid.
std::pair<Constant, State> first_state(Backbone backbone, const Options& options);

}  // namespace onebit::learner
