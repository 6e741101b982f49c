// The memory and the threads of one run. Running neither allocates nor throws.
#pragma once

#include <memory>
#include <vector>

#include "graph/plan.h"
#include "graph/pool.h"

namespace onebit {

constexpr int kMaxThreads = 256;

class Session {
 public:
  // Throws Error, std::bad_alloc or std::system_error.
  Session(std::shared_ptr<const Plan> plan, int threads);

  const Plan& plan() const { return *plan_; }

  // input: count images of floats; outputs: a buffer for each output of the plan.
  void run(const float* input, int32_t count, float* const* outputs) noexcept;

  // Nanoseconds of each node of the model in the last run.
  const std::vector<uint64_t>& times() const { return times_; }

 private:
  void run_node(const Node& node, uint32_t index, int32_t count) noexcept;
  template <class Args, class Kernel>
  void split(int64_t rows, uint64_t work, const Args& args, Kernel kernel) noexcept;

  Epilogue epilogue(const Node& node) const noexcept;
  template <class Element>
  const Element* at(uint32_t value) const noexcept {
    return static_cast<const Element*>(pointers_[value]);
  }
  template <class Element>
  Element* target(const Node& node) noexcept {
    return reinterpret_cast<Element*>(arena_.get() + plan_->offsets[node.output]);
  }

  std::shared_ptr<const Plan> plan_;
  Pool pool_;
  AlignedMemory arena_;
  AlignedMemory bytes_;                // the input of a conv_int8 with its padding
  std::vector<const void*> pointers_;  // to every value, null where there is none
  std::vector<uint64_t> work_;         // of every node for one sample, roughly in nanoseconds
  std::vector<uint64_t> times_;
};

}  // namespace onebit
