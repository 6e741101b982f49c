// What a model needs to run on one instruction set with one batch size and number of threads: the steps, where each
// value lies, the weights as the kernels read them. Immutable.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "graph/weights.h"
#include "run/step.h"

namespace onebit {

constexpr int32_t kMaxBatch = 4096;
constexpr int kMaxThreads = 256;

struct Plan {
  // `outputs` are the names wanted, all if empty. Throws Error.
  Plan(std::shared_ptr<const Model> model, const Kernels& kernels, std::shared_ptr<const PackedWeights> weights,
       int32_t batch, int threads, const std::vector<std::string>& outputs);

  std::shared_ptr<const Model> model;
  const Kernels& kernels;
  std::shared_ptr<const PackedWeights> weights;
  int32_t batch;
  int threads;
  std::vector<uint32_t> outputs;       // wanted, as indices into the model's
  std::vector<Step> steps;             // in order
  std::vector<Address> output_values;  // where each wanted output lies
  uint64_t arena_bytes = 0;
  uint64_t scratch_bytes = 0;  // per thread
};

}  // namespace onebit
