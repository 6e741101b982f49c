// Ten thousand power cuts at random bytes of a learner's life: lessons, renamings, forgettings and rollbacks, with
// unsynced sectors kept or lost at random. After each the state opens and is the last commit or the one being made.
#include "support/case_count.h"
#include "support/check.h"
#include "support/small_learner.h"

using namespace onebit;
using namespace onebit::test;
using learner::Learner;

namespace {

Learner open(Medium& medium, uint64_t budget = UINT64_MAX) {
  return Learner::open(std::make_unique<FaultyFile>(medium, budget), small_backbone().hash);
}

// One change, chosen by `seed`: the same seed on the same state is the same change. Returns what it must erase.
std::string change(Learner& learner, uint32_t seed) {
  std::mt19937 random(seed);
  const auto& classes = learner.classes();
  const auto any = [&] { return classes[random() % classes.size()].name; };
  const std::string fresh = "kind " + std::to_string(seed);
  switch (random() % 8) {
    case 0:
      if (classes.size() > 2) {
        const std::string name = any();
        learner.forget(name);
        return name;
      }
      break;
    case 1: learner.rename(any(), fresh); return "";
    case 2:
      if (const uint32_t kept = learner.store().ancestors()) {
        learner.rollback(1 + random() % kept);
        return "";
      }
      break;
    default: break;
  }
  CHECK(teach_lesson(learner, seed, any(), classes.size() < kSmall.max_classes ? fresh : any()), "counted before");
  return "";
}

}  // namespace

int main() {
  Medium medium;
  medium.durable.resize(Learner::bytes(small_backbone(), kSmall));
  Learner::create(std::make_unique<FaultyFile>(medium), small_backbone(), kSmall);

  std::mt19937 random(1);
  const auto cuts = static_cast<int>(case_count(10000));
  int befores = 0, afters = 0, erased = 0;
  for (int i = 0; i < cuts; ++i) {
    const uint32_t seed = random();
    const store::Bytes before = payload_in(open(medium).store());

    // Undisturbed, for what it leaves and what it writes.
    Medium calm = medium;
    auto file = std::make_unique<FaultyFile>(calm);
    const FaultyFile& written = *file;
    Learner learner = Learner::open(std::move(file), small_backbone().hash);
    const std::string gone = change(learner, seed);
    const store::Bytes after = payload_in(learner.store());
    const uint64_t cost = written.written + written.syncs;

    // Half of the cuts among the last bytes: there the commit is decided and an erasing goes on.
    const uint64_t budget = i % 2 ? random() % cost : cost - 1 - random() % std::min<uint64_t>(cost, 16);
    bool cut = false;
    try {
      Learner dying = open(medium, budget);
      change(dying, seed);
    } catch (const PowerCut&) {
      cut = true;
    }
    CHECK(cut, "cut %d: %llu of %llu bytes and syncs are enough", i, (unsigned long long)budget,
          (unsigned long long)cost);
    medium.settle_some(random, random() % 101);
    if (random() % 4 == 0) {  // and again, while the next opening finishes an erasing
      try {
        open(medium, random() % cost);
      } catch (const PowerCut&) {
        medium.settle_some(random, random() % 101);
      }
    }
    const store::Bytes now = payload_in(open(medium).store());
    CHECK(now == before || now == after, "cut %d (seed %u, after %llu bytes) leaves another state", i, seed,
          (unsigned long long)budget);
    (now == after ? afters : befores) += 1;
    if (now == after && !gone.empty()) {
      const store::Bytes name(gone.begin(), gone.end());
      const auto at = std::search(medium.durable.begin(), medium.durable.end(), name.begin(), name.end());
      CHECK(at == medium.durable.end(), "cut %d leaves the name of a forgotten class", i);
      ++erased;
    }
    // Not cut, the change comes through: life goes on from there.
    if (now == before) {
      Learner again = open(medium);
      change(again, seed);
    }
    CHECK(payload_in(open(medium).store()) == after, "cut %d: the change made again gives another state", i);
  }
  CHECK(befores > cuts / 10 && afters > cuts / 10 && erased > cuts / 100,
        "%d before, %d after, %d erased: not all ends of a cut", befores, afters, erased);
  std::printf("%d cuts: %d left the state before, %d the one after, %d of them with a class erased\n", cuts, befores,
              afters, erased);
}
