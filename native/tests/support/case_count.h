#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace onebit::test {

// How many of `all` random cases a test takes: where time is short the environment says by what to divide.
inline uint32_t case_count(uint32_t all) {
  const char* divisor = std::getenv("ONEBIT_TEST_DIVISOR");
  return divisor ? std::max(1u, all / std::max(1u, static_cast<uint32_t>(std::strtoul(divisor, nullptr, 10)))) : all;
}

}  // namespace onebit::test
