// A thousand experiences, with classes that come and go: the heap holds the same bytes throughout, and so does the
// region. (benchmarks/learner_soak.py does it with a model, a real file and a process.)
#include "support/check.h"
#include "support/live_bytes.h"
#include "support/small_learner.h"

using namespace onebit;
using namespace onebit::test;
using learner::Learner;

int main() {
  Medium medium;
  medium.durable.resize(Learner::bytes(small_backbone(), kSmall));
  const uint64_t empty = live_bytes;
  Learner learner = Learner::create(std::make_unique<FaultyFile>(medium), small_backbone(), kSmall);
  uint64_t held = 0;
  for (uint32_t i = 0; i < 1000; ++i) {
    teach_lesson(learner, i, i % 2 ? "ant" : "bee", i % 10 < 5 ? "cat" : "dog");
    if (i % 10 == 7) learner.rollback(1);
    if (i % 10 == 8) learner.forget("cat");
    if (i % 10 != 9) continue;
    medium.pending.shrink_to_fit();
    if (held == 0) held = live_bytes - empty;
    CHECK(live_bytes - empty == held, "experience %u: %llu bytes on the heap, %llu at first", i,
          (unsigned long long)(live_bytes - empty), (unsigned long long)held);
  }
  CHECK(learner.state().taught == 900, "%llu experiences", (unsigned long long)learner.state().taught);
  std::printf("1,000 lessons: %llu bytes of heap throughout, for a region of %zu bytes\n", (unsigned long long)held,
              medium.durable.size());
}
