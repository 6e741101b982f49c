// The bytes of a learner in the store: what never changes (constant) and what each commit holds (docs/learner.md).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "learner/head/cwr.h"
#include "store/reader.h"
#include "store/writer.h"

namespace onebit::learner {

constexpr uint32_t kMaxClasses = 65536;
constexpr uint32_t kMaxExperiences = 1 << 20;
constexpr int32_t kMaxFraction = 200;
constexpr uint32_t kMaxReplay = 1 << 20;

struct Tail;

using Hash = std::array<uint8_t, 32>;

// The sizes of what the record holds of a trainable tail; all 0 where the head alone learns.
struct TailSizes {
  uint32_t samples = 0;                                     // capacity of the replay memory
  uint32_t words = 0;                                       // per sample
  uint64_t weights = 0, parameters = 0, float_weights = 0;  // masters

  bool any() const { return samples != 0; }
};

struct Constant {
  Hash backbone{};  // SHA-256 of the packed model
  Numbers numbers;
  uint32_t max_classes = 0;
  uint32_t max_experiences = 0;
  TailSizes tail;

  // Whether these are the sizes and numbers of a model's tail.
  bool fits(const Tail& model_tail) const;
};

// Throw Error (ONEBIT_BAD_FILE, ONEBIT_UNSUPPORTED) on bytes that no learner wrote.
std::vector<uint8_t> encode(const Constant& constant);
Constant decode_constant(const std::vector<uint8_t>& bytes);
uint64_t state_bytes(const Constant& constant);
void encode(const State& state, store::Writer& out);
State decode_state(const Constant& constant, store::Reader& in);

}  // namespace onebit::learner
