// The bytes of a learner in the store: what never changes (constant) and what each commit holds (docs/learner.md).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "learner/cwr.h"

namespace onebit::learner {

constexpr uint32_t kMaxClasses = 65536;
constexpr uint32_t kMaxExperiences = 1 << 20;
constexpr int32_t kMaxFraction = 200;

using Hash = std::array<uint8_t, 32>;

struct Constant {
  Hash backbone{};  // SHA-256 of the packed model
  Numbers numbers;
  uint32_t max_classes = 0;
  uint32_t max_experiences = 0;
};

// Throw Error (ONEBIT_BAD_FILE, ONEBIT_UNSUPPORTED) on bytes that no learner wrote.
std::vector<uint8_t> encode(const Constant& constant);
Constant decode_constant(const std::vector<uint8_t>& bytes);
std::vector<uint8_t> encode(const State& state);
State decode_state(const Constant& constant, const std::vector<uint8_t>& bytes);

// Printable UTF-8 of 1 to 63 bytes.
bool valid_name(const std::string& name);

}  // namespace onebit::learner
