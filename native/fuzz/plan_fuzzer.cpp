// Takes the input as choices of a random valid graph and runs it in every way, on one instruction set.
#include "plan_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  onebit::fuzz::PlanCheck(onebit::fuzz::Choices(data, size)).run_on_one();
  return 0;
}
