// The handle behind onebit_model.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "format/model.h"
#include "graph/weights.h"
#include "onebit/onebit.h"

struct onebit_model {
  explicit onebit_model(std::shared_ptr<const onebit::Model> model) : model(std::move(model)) {}

  // The rearranged weights, shared by the sessions that are open.
  std::shared_ptr<const onebit::PackedWeights> weights(const onebit::Kernels& kernels);

  const std::shared_ptr<const onebit::Model> model;

 private:
  std::mutex mutex_;
  std::map<const onebit::Kernels*, std::weak_ptr<const onebit::PackedWeights>> weights_;
};
