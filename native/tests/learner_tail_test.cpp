// The teachable tail against its arithmetic written out plainly (tail_plain.h), on random networks, for every table and
// several threads; and the files that are refused.
#include "error.h"
#include "learner/tail_network.h"
#include "tail_plain.h"
#include "tail_support.h"

namespace onebit::test {
namespace {

using learner::Tail;
using learner::TailMasters;
using learner::TailNetwork;

struct Case {
  Buffer file;  // used in place
  std::shared_ptr<const Model> model;
  Tail tail;
  std::vector<uint32_t> bits;  // of the samples
  uint32_t samples;

  std::vector<const uint32_t*> pointers() const {
    std::vector<const uint32_t*> list;
    for (uint32_t i = 0; i < samples; ++i) list.push_back(bits.data() + i * tail.words());
    return list;
  }
};

Case random_case(Random& random) {
  TailFile file = random_tail(random, 3);
  Case made{file.finish(2), nullptr, {}, {}, random.chance(10) ? 67u : static_cast<uint32_t>(random.between(1, 5))};
  made.model = read_model(bytes_of(made.file));
  made.tail = learner::read_tail(*made.model);
  made.bits = file.packed(made.samples);
  return made;
}

// Gradients of the features, of many magnitudes, sometimes all zeros.
std::vector<int32_t> random_gradient(Random& random, size_t size) {
  std::vector<int32_t> gradient(size);
  const int most = random.chance(5) ? 0 : 1 << random.between(0, 24);
  for (int32_t& g : gradient) g = random.between(-most, most);
  return gradient;
}

struct Seen {  // so that a test of nothing does not pass
  uint32_t weights = 0, parameters = 0;
};

void equals_plain(Random& random, Seen& seen) {
  const Case made = random_case(random);
  const Tail& tail = made.tail;
  const size_t d = static_cast<size_t>(tail.features().c), values = made.samples * d;
  const double unit = std::ldexp(1.0 + random.between(0, 1000) / 1000.0, random.between(-30, -10));
  const double rate = std::ldexp(1.0, random.between(-8, 6));
  std::vector<std::vector<int32_t>> gradients;
  for (int step = 0; step < 3; ++step) gradients.push_back(random_gradient(random, values));

  PlainTail plain(*made.model);
  learner::Random generator{random.word()};
  const uint64_t seed = generator.state;
  std::vector<Numbers64> features;
  for (const auto& gradient : gradients) {
    features.push_back(plain.forward(made.pointers()));
    plain.backward(Numbers64(gradient.begin(), gradient.end()), unit, rate, generator);
  }
  features.push_back(plain.forward(made.pointers()));

  for (const Kernels* kernels : tables()) {
    for (const int threads : {1, 3}) {
      TailMasters masters = learner::first_masters(*made.model, tail);
      TailNetwork network(tail, *kernels, made.samples + 2, TailNetwork::Use::training, threads);
      network.load(masters);
      learner::Random own{seed};
      std::vector<int16_t> levels(d);
      for (size_t step = 0; step < features.size(); ++step) {
        const auto pointers = made.pointers();
        network.forward(pointers.data(), made.samples);
        for (uint32_t i = 0; i < made.samples; ++i) {
          network.features(i, levels.data());
          CHECK(std::equal(levels.begin(), levels.end(), features[step].begin() + static_cast<std::ptrdiff_t>(i * d)),
                "%s: the features of sample %u in step %zu", kernels->name, i, step);
        }
        if (step < gradients.size()) network.backward(gradients[step].data(), unit, rate, masters, own);
      }
      CHECK(own.state == generator.state, "%s: another number of draws", kernels->name);
      check_masters(plain, tail, masters, kernels->name);
      const TailMasters first = learner::first_masters(*made.model, tail);
      seen.weights += first.weights != masters.weights;
      seen.parameters += first.parameters != masters.parameters;
    }
  }
}

void run() {
  Random random(5);
  Seen seen;
  for (uint32_t i = 0; i < shape_count(100); ++i) equals_plain(random, seen);
  CHECK(seen.weights > shape_count(100) && seen.parameters > shape_count(100), "%u and %u runs changed something",
        seen.weights, seen.parameters);
}

}  // namespace
}  // namespace onebit::test

int main() { onebit::test::run(); }
