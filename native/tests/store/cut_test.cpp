// The power is cut at every byte of a commit, of an erasing commit and of a rollback: the state is the one before or
// the one after.
#include <functional>

#include "support/check.h"
#include "support/store_faults.h"

using namespace onebit;
using namespace onebit::test;

namespace {

constexpr uint32_t kHistory = 2;

Medium with_commits(uint32_t count, size_t size = 100) {
  Medium medium = formatted(kHistory, payload_of(0, size));
  for (uint32_t i = 1; i <= count; ++i) open_store(medium).commit(writing(payload_of(i, size)));
  return medium;
}

// Cuts `change` at every `stride`-th byte. `after` is the payload that it leaves, `erased` one that must then be
// nowhere in the file.
void cut_everywhere(const char* what, const Medium& start, const std::function<void(store::Store&)>& change,
                    const Bytes& before, const Bytes& after, const Bytes* erased = nullptr, uint64_t stride = 1) {
  std::mt19937 random(1);
  uint64_t befores = 0, afters = 0;
  bool done = false;
  for (uint64_t budget = 0; !done; budget += stride) {
    // Everything before the cut is on the medium; now and then only some unsynced sectors are, or none.
    for (const unsigned percent : {100u, 50u, 0u}) {
      if (percent != 100 && !done && budget % 64) continue;
      Medium medium = start;
      try {
        store::Store store = open_store(medium, budget);
        change(store);
        done = true;
      } catch (const PowerCut&) {
      }
      medium.settle_some(random, percent);
      store::Store reopened = open_store(medium);
      const bool is_after = payload_in(reopened) == after;
      CHECK(is_after || payload_in(reopened) == before, "%s cut at byte %llu leaves another state", what,
            (unsigned long long)budget);
      CHECK(!done || is_after, "%s: a finished change is not there", what);
      (is_after ? afters : befores) += 1;
      if (is_after && erased) {
        const auto found = std::search(medium.durable.begin(), medium.durable.end(), erased->begin(), erased->end());
        CHECK(found == medium.durable.end(), "%s cut at byte %llu leaves erased bytes", what,
              (unsigned long long)budget);
      }
      if (budget % 64 && !done) continue;
      // Life goes on: the next commit works, and so does going back from it.
      const Bytes next = payload_of(99, before.size()), current = payload_in(reopened);
      reopened.commit(writing(next));
      reopened.rollback(1, [](store::Reader&) {});
      CHECK(payload_in(open_store(medium)) == current, "%s cut at byte %llu: rollback", what,
            (unsigned long long)budget);
      CHECK(open_store(medium).check().damaged == 0 || budget, "%s: damage without a cut", what);
    }
  }
  CHECK(befores && afters, "%s: both outcomes must occur", what);
  std::printf("%s: %llu cuts before, %llu after\n", what, (unsigned long long)befores, (unsigned long long)afters);
}

}  // namespace

int main() {
  const Bytes newest = payload_of(4), next = payload_of(5);
  const Medium start = with_commits(4);
  cut_everywhere("commit", start, [&](store::Store& s) { s.commit(writing(next)); }, newest, next);
  cut_everywhere(
      "rollback", start, [&](store::Store& s) { s.rollback(2, [](store::Reader&) {}); }, newest, payload_of(2));
  cut_everywhere("erase", start, [&](store::Store& s) { s.commit_and_erase(writing(next)); }, newest, next, &newest);
  // More than one part of 64 KiB: the copy is read while it is written.
  constexpr size_t kSize = 150000;
  const auto back = [](store::Store& s) { s.rollback(2, [](store::Reader&) {}); };
  cut_everywhere("rollback in parts", with_commits(4, kSize), back, payload_of(4, kSize), payload_of(2, kSize), nullptr,
                 997);

  // A cut while the erasing is finished on opening.
  Medium half = start;
  uint64_t budget = 0;
  for (bool committed = false; !committed; budget += 16) {
    half = start;
    try {
      store::Store store = open_store(half, budget);
      store.commit_and_erase(writing(next));
    } catch (const PowerCut&) {
    }
    half.settle_all();
    Medium copy = half;
    committed = payload_in(open_store(copy)) == next;
  }
  for (uint64_t second = 0; second < 14000; second += 97) {
    Medium medium = half;
    try {
      open_store(medium, second);
    } catch (const PowerCut&) {
    }
    medium.settle_all();
    CHECK(payload_in(open_store(medium)) == next, "a cut while an erasing is finished loses the state");
    CHECK(
        std::search(medium.durable.begin(), medium.durable.end(), newest.begin(), newest.end()) == medium.durable.end(),
        "erased");
  }
}
