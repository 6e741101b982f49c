// A state's record as bytes in memory.
#pragma once

#include "learner/record.h"

namespace onebit::learner {

inline std::vector<uint8_t> encode(const State& state) {
  store::Writer out(0);
  encode(state, out);
  return out.bytes;
}

inline State decode_state(const Constant& constant, const std::vector<uint8_t>& bytes) {
  size_t at = 0;
  store::Reader in(bytes.size(), 7, [&](uint8_t* to, size_t count) {
    std::copy_n(bytes.data() + at, count, to);
    at += count;
  });
  return decode_state(constant, in);
}

}  // namespace onebit::learner
