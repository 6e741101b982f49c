// A small learner for the tests of what happens to its state, and lessons for it.
#pragma once

#include <random>

#include "learner/learner.h"
#include "store_faults.h"

namespace onebit::test {

constexpr uint32_t kFeatures = 4;

// Two classes with a bias; a file of five blocks.
inline learner::Backbone small_backbone() {
  learner::Backbone backbone;
  backbone.features = kFeatures;
  backbone.low = -1, backbone.high = 1;
  backbone.names = {"ant", "bee"};
  backbone.samples = {10, 10};
  backbone.weight = {0.5f, -0.25f, 0, 1, -0.5f, 0.25f, 0, -1};
  backbone.bias = {0.1f, -0.1f};
  return backbone;
}

constexpr learner::Options kSmall{6, 4, 2, 1};

// Lesson number `seed`, of two classes that are named.
inline bool teach_lesson(learner::Learner& learner, uint32_t seed, const std::string& one, const std::string& two) {
  std::mt19937 random(seed);
  float features[6 * kFeatures];
  for (float& f : features) f = static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
  return learner.teach(features, {one, two, one, two, one, two}, "lesson " + std::to_string(seed), {3, 4, 0.1});
}

}  // namespace onebit::test
