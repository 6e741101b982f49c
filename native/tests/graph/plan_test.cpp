// Some hundreds of random graphs: every instruction set, number of threads and cut gives the interpreter's bits.
#include "../../fuzz/plan_check.h"
#include "support/case_count.h"
#include "support/check.h"

int main(int argc, char** argv) {
  using onebit::fuzz::Choices;
  constexpr uint32_t kAll = 500;
  const uint32_t graphs = onebit::test::case_count(kAll), stride = kAll / graphs;  // few of them are of all sizes, too
  const uint32_t first = argc > 1 ? static_cast<uint32_t>(std::atoi(argv[1])) : 0;
  uint32_t defined = 0;
  onebit::fuzz::PlanCheck::Reached all;
  for (uint32_t i = 0; i < graphs; ++i) {
    const uint32_t seed = first + i * stride;
    onebit::fuzz::PlanCheck check(Choices(seed, 20 + seed % 200));
    check.run_everywhere();
    defined += check.is_defined();
    all.steps += check.reached().steps, all.row_blocks += check.reached().row_blocks;
    all.bits_beside += check.reached().bits_beside, all.in_place += check.reached().in_place;
  }
  std::printf("%u graphs, %u compared; %zu steps, %zu in row blocks, %zu with bits beside floats, %zu in place\n",
              graphs, defined, all.steps, all.row_blocks, all.bits_beside, all.in_place);
  CHECK(defined > graphs * 9 / 10 && std::min({all.row_blocks, all.bits_beside, all.in_place}) > graphs / 10,
        "the graphs reach too little");
}
