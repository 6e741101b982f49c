// Runs a plan as a session may: every step in parts, cut anywhere and in any order or by several threads, with
// row blocks of any height, in memory and on a stack that hold NaNs. All orders must give identical bits; a difference means an
// undeclared dependency in a kernel, the plan or the compiler's assumptions.
#pragma once

#include <algorithm>
#include <cstring>
#include <random>

#include "base/thread_pool.h"
#include "graph/plan.h"
#include "run/step.h"

namespace onebit::fuzz {

// What the next function finds on its stack: a register that is spilled in part and read back whole shows.
[[gnu::noinline]] inline void fill_stack() {
  uint8_t stack[16384];
  std::memset(stack, 0xFF, sizeof stack);
  __asm__ volatile("" : : "r"(stack) : "memory");
}

class AnyOrder {
 public:
  AnyOrder(const Plan& plan, uint32_t seed)
      : plan_(plan), random_(seed), pool_(plan.threads), steps_(plan.steps), scratch_bytes_(choose_row_blocks()) {}

  // As Session::run.
  void run(const float* input, int32_t count, float* const* outputs) {
    const AlignedMemory arena = filled(plan_.arena_bytes);
    std::vector<AlignedMemory> scratch;
    for (int i = 0; i < plan_.threads; ++i) scratch.push_back(filled(scratch_bytes_));
    const Bases bases{arena.get(), nullptr, plan_.weights->memory.get(), plan_.model->bytes.data(),
                      reinterpret_cast<const uint8_t*>(input)};
    for (size_t i = 0; i < steps_.size(); ++i) {
      run_step_in_parts(steps_[i], bases, scratch, count);
      if (steps_[i].block_rows > 0) ++i;  // the pool ran with it
    }
    for (size_t i = 0; i < plan_.outputs.size(); ++i) {
      const Value& value = plan_.model->values[plan_.model->outputs[plan_.outputs[i]].value];
      std::memcpy(outputs[i], read<uint8_t>(plan_.output_values[i], bases),
                  value.bytes() * static_cast<uint64_t>(count));
    }
  }

 private:
  static AlignedMemory filled(uint64_t bytes) {
    AlignedMemory memory = allocate_aligned(bytes);
    std::memset(memory.get(), 0xFF, bytes);
    return memory;
  }

  // Returns what the row blocks need of scratch.
  uint64_t choose_row_blocks() {
    uint64_t bytes = 0;
    for (size_t i = 0; i < steps_.size(); ++i) {
      if (steps_[i].block_rows == 0) continue;
      const ConvShape& conv = steps_[i].shape;
      const Step& pool = steps_[i + 1];
      steps_[i].block_rows = 1 + static_cast<int32_t>(random_() % static_cast<uint32_t>(pool.shape.out_h));
      const int64_t floats = block_conv_rows(pool, steps_[i].block_rows) * conv.out_w * conv.out_c;
      bytes = std::max(bytes, static_cast<uint64_t>(floats) * sizeof(float));
    }
    return bytes;
  }

  void run_step_in_parts(const Step& step, const Bases& bases, const std::vector<AlignedMemory>& scratch,
                         int32_t count) {
    const int64_t units = step_units(&step, plan_.kernels, count);
    const auto part = [&](int64_t begin, int64_t end, size_t thread) {
      Bases own = bases;
      own.scratch = scratch[thread].get();
      fill_stack();
      run_step(&step, plan_.kernels, own, count, begin, end);
    };
    if (plan_.threads > 1) return pool_.split(units, part);
    std::vector<int64_t> cuts = {0, units};
    for (uint32_t i = random_() % 4; i > 0; --i)
      cuts.push_back(static_cast<int64_t>(random_() % static_cast<uint64_t>(units + 1)));
    std::sort(cuts.begin(), cuts.end());
    std::vector<size_t> order(cuts.size() - 1);
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), random_);
    for (const size_t i : order) part(cuts[i], cuts[i + 1], 0);
  }

  const Plan& plan_;
  std::mt19937 random_;
  ThreadPool pool_;
  std::vector<Step> steps_;
  const uint64_t scratch_bytes_;
};

}  // namespace onebit::fuzz
