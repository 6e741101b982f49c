// What a packed model gives to a learner.
#pragma once

#include "format/model.h"
#include "learner/learner.h"

namespace onebit::learner {

// A class counts as seen this often where the file does not say (META classes.samples): enough for it not to be
// overrun.
constexpr uint32_t kAssumedSamples = 1000;

Hash backbone_hash(const Model& model);

// Throws Error if the model has no "features", no range for them, or a head that is not one dense layer over them.
Backbone read_backbone(const Model& model);

// The teachable tail; null if the model has none. Throws Error if it cannot be trained.
std::shared_ptr<const Tail> tail_of(const Model& model);

}  // namespace onebit::learner
