// What a model needs to run on one instruction set with one batch size: which nodes, where each value lies, the weights
// as the kernels read them. Immutable.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "format/model.h"

namespace onebit {

ConvShape conv_shape(const Model& model, const Node& node, int32_t batch);

// The shape that int8_conv works on: the image holds its padding.
ConvShape padded_shape(const Model& model, const Node& node, int32_t batch);

// Multiply-accumulates of a node for one sample; taps outside the image are left out. 0 without weights.
uint64_t operations(const Model& model, const Node& node);

// All weights of a model, rearranged for one table of kernels.
struct PackedWeights {
  PackedWeights(const Model& model, const Kernels& kernels);

  AlignedMemory memory;
  std::vector<uint64_t> offsets;  // one a node
  uint64_t bytes = 0;
};

constexpr int32_t kMaxBatch = 4096;

struct Plan {
  static constexpr uint64_t nowhere = ~uint64_t{0};

  // `outputs` are the names wanted, all if empty. Throws Error.
  Plan(std::shared_ptr<const Model> model, const Kernels& kernels, std::shared_ptr<const PackedWeights> weights,
       int32_t batch, const std::vector<std::string>& outputs);

  std::shared_ptr<const Model> model;
  const Kernels& kernels;
  std::shared_ptr<const PackedWeights> weights;
  int32_t batch;
  std::vector<uint32_t> outputs;  // wanted, as indices into the model's
  std::vector<uint32_t> steps;    // nodes to run, in order
  std::vector<uint64_t> offsets;  // of each value in the arena, or nowhere
  uint64_t arena_bytes = 0;

 private:
  void choose_outputs(const std::vector<std::string>& names);
  void choose_steps();
  void place_values();
};

}  // namespace onebit
