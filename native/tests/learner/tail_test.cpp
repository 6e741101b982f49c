// The teachable tail against its arithmetic written out plainly (tail_plain.h), on random networks, for every table and
// several threads; and the files that are refused.
#include "base/error.h"
#include "learner/tail/network.h"
#include "learner/tail/read_model.h"
#include "support/allocations.h"
#include "support/plain_tail.h"
#include "support/tail_file.h"

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
  uint32_t runs = 0, weights = 0, parameters = 0, reals = 0;
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
  integer::Random generator{random.word()};
  const uint64_t seed = generator.state;
  std::vector<Numbers64> features;
  for (const auto& gradient : gradients) {
    features.push_back(plain.forward(made.pointers()));
    plain.backward(Numbers64(gradient.begin(), gradient.end()), unit, rate, generator);
  }
  features.push_back(plain.forward(made.pointers()));

  for (const Isa* isa : isas()) {
    const char* name = isa->kernels().name;
    for (const int threads : {1, 3}) {
      TailMasters masters = learner::read_masters(*made.model, tail);
      TailNetwork network(tail, *isa, made.samples + 2, TailNetwork::Use::training, threads);
      network.load(masters);
      integer::Random own{seed};
      std::vector<int16_t> levels(d);
      for (size_t step = 0; step < features.size(); ++step) {
        const auto pointers = made.pointers();
        network.forward(pointers.data(), made.samples);
        for (uint32_t i = 0; i < made.samples; ++i) {
          network.features(i, levels.data());
          CHECK(std::equal(levels.begin(), levels.end(), features[step].begin() + static_cast<std::ptrdiff_t>(i * d)),
                "%s: the features of sample %u in step %zu", name, i, step);
        }
        if (step < gradients.size()) network.backward(gradients[step].data(), unit, rate, masters, own);
      }
      CHECK(own.state == generator.state, "%s: another number of draws", name);
      check_masters(plain, tail, masters, name);
      const TailMasters first = learner::read_masters(*made.model, tail);
      ++seen.runs;
      seen.weights += first.weights != masters.weights;
      seen.parameters += first.parameters != masters.parameters;
      seen.reals += first.float_weights != masters.float_weights;
    }
  }
}

// Nothing is allocated once a network is made.
void no_allocation() {
  Random random(6);
  for (int i = 0; i < 10; ++i) {
    const Case made = random_case(random);
    TailMasters masters = learner::read_masters(*made.model, made.tail);
    TailNetwork network(made.tail, *isas().front(), made.samples, TailNetwork::Use::training);
    const auto pointers = made.pointers();
    const auto gradient = random_gradient(random, made.samples * static_cast<size_t>(made.tail.features().c));
    integer::Random generator{1};
    const uint64_t before = allocations;
    network.load(masters);
    network.forward(pointers.data(), made.samples);
    network.backward(gradient.data(), 1e-5, 1.0, masters, generator);
    CHECK(allocations == before, "a step allocated");
  }
}

// What is too many pixels for a mini-batch is not for answers.
void many_pixels() {
  Random random(9);
  TailFile writer(random, 66, 66, 4, 3);
  writer.pool(writer.real_conv(writer.values().back(), 2, {1, 1}, {0, 0, 0, 0}, {}));
  const Buffer file = writer.finish(0);
  const auto model = read_model(bytes_of(file));
  const Tail tail = learner::read_tail(*model);
  TailNetwork answering(tail, *isas().front(), 16, TailNetwork::Use::forward);
  bool refused = false;
  try {
    TailNetwork training(tail, *isas().front(), 16, TailNetwork::Use::training);
  } catch (const Error&) {
    refused = true;
  }
  CHECK(refused, "a mini-batch of 69,696 pixels");
}

// Reads a file as a learner does, and trains a step.
void use(const Buffer& file) {
  const auto model = read_model(bytes_of(file));
  if (!learner::has_tail(*model)) return;
  const Tail tail = learner::read_tail(*model);
  TailMasters masters = learner::read_masters(*model, tail);
  learner::read_samples(*model, tail);
  for (const learner::TailValue& value : tail.values)
    if (value.elements() > 1000000) return;
  TailNetwork network(tail, *isas().front(), 2, TailNetwork::Use::training);
  network.load(masters);
  const std::vector<uint32_t> bits(static_cast<size_t>(tail.words()), 0x55555555u);
  const std::vector<const uint32_t*> samples(2, bits.data());
  const std::vector<int32_t> gradient(2 * static_cast<size_t>(tail.features().elements()), 1000);
  integer::Random generator{1};
  network.forward(samples.data(), 2);
  network.backward(gradient.data(), 1e-5, 1e3, masters, generator);
}

bool refused(const Buffer& file, const char* what) {
  try {
    use(file);
  } catch (const Error& error) {
    return error.message.find(what) != std::string::npos;
  }
  return false;
}

// Latents of one pixel, a convolution with a residual, a pointwise operator.
template <class Change>
Buffer changed(const Change& change) {
  Random random(1);
  TailFile file(random, 1, 1, 40, 3);
  const uint32_t latents = file.values().back();
  file.pointwise(file.conv(latents, 40, {3, 3}, {1, 1, 1, 1}, {true, true, false, Activation::none, latents}), {});
  return file.finish(2, [&](FileWriter& writer) { change(writer); });
}

// A block that halves the sides.
template <class Change>
Buffer changed_down(const Change& change) {
  Random random(1);
  TailFile file(random, 4, 4, 16, 3);
  const uint32_t latents = file.values().back();
  const uint32_t mean = file.pool(latents, Op::average_pool, {{2, 2}, {0, 0, 0, 0}, {2, 2}});
  const uint32_t shortcut = file.real_conv(mean, 24, {1, 1}, {0, 0, 0, 0}, {true, true, false, Activation::none});
  const TailFile::Epilogue epilogue{true, true, true, Activation::prelu, shortcut};
  const uint32_t largest = file.conv(latents, 24, {3, 3}, {1, 1, 1, 1}, epilogue, {2, 2});
  file.pad_channels(file.pool(largest, Op::max_pool, {{2, 2}, {0, 0, 0, 0}}), 1, 2);
  return file.finish(2, [&](FileWriter& writer) { change(writer); });
}

// Node 0 binarizes the input, 1 makes the latents, 2 and 3 are the convolution, 4 the pointwise operator.
void refusals() {
  const auto node = [](size_t index, size_t attribute, int32_t value) {
    return changed([=](FileWriter& w) { w.nodes[index].attributes[attribute] = value; });
  };
  const auto entry = [](const char* key, const Buffer& value) {
    return changed([&](FileWriter& w) {
      for (auto& known : w.meta)
        if (known.key == key) known.value = value;
    });
  };
  const auto without = [](const char* key) {
    return changed([=](FileWriter& w) {
      w.meta.erase(std::find_if(w.meta.begin(), w.meta.end(), [=](const auto& e) { return e.key == key; }));
    });
  };
  use(changed([](FileWriter&) {}));
  CHECK(refused(node(3, 10, -1), "padding of -1"), "padding of -1");
  CHECK(refused(changed([](FileWriter& w) { w.nodes[3].inputs[1] = 0; }), "from before the latents"), "past the cut");
  CHECK(refused(changed([](FileWriter& w) { w.nodes[1].tensors[1] = absent; }), "latents"), "latents without a size");
  CHECK(refused(changed([](FileWriter& w) { w.outputs.pop_back(); }), "no output 'latents'"), "no latents");
  for (const char* key : {"tail.latent", "tail.latent_max", "tail.estimators", "features.range"})
    CHECK(refused(without(key), key), "%s is absent", key);
  Buffer three, zero, negative, none;
  put(three, 3u), put(zero, 0u), put(negative, -1.0f), put(none, 0.0f);
  CHECK(refused(entry("tail.estimators", three), "estimator"), "an estimator of 3");
  CHECK(refused(entry("tail.latent_max", none), "largest latent weight"), "no largest weight");
  CHECK(refused(entry("tail.latent", zero), "type or rank"), "another tensor");
  CHECK(refused(entry("tail.ranges", negative), "pairs"), "half a range");
  CHECK(refused(entry("tail.ranges", {}), "tail.ranges"), "no range");
  CHECK(refused(entry("tail.replay", zero), "type or rank"), "items of another type");
  CHECK(refused(entry("tail.replay", {}), "empty"), "no items");
  const auto weights = [](FileWriter& w) {  // another sign than that of the latent weight
    const uint32_t index = w.nodes[3].tensors[0];
    uint64_t offset;
    std::memcpy(&offset, &w.tensors[40 * index + 24], sizeof offset);
    w.data[offset] ^= 1;
  };
  CHECK(refused(changed(weights), "other signs"), "other signs");
}

// Node 2 is the mean, 3 the real-valued convolution, 6 the maximum pool.
void refusals_of_what_halves_the_sides() {
  use(changed_down([](FileWriter&) {}));
  const auto weights = [](float value) {
    return changed_down([=](FileWriter& w) {
      const uint32_t index = w.nodes[3].tensors[0];
      uint64_t offset, bytes;
      std::memcpy(&offset, &w.tensors[40 * index + 24], sizeof offset);
      std::memcpy(&bytes, &w.tensors[40 * index + 32], sizeof bytes);
      for (uint64_t i = 0; i < bytes; i += sizeof value) std::memcpy(&w.data[offset + i], &value, sizeof value);
    });
  };
  CHECK(refused(weights(0.0f), "largest weight"), "no weights");
  CHECK(refused(weights(1e38f), "largest weight"), "weights too large");
  CHECK(refused(changed_down([](FileWriter& w) {  // the same sides
                  auto& mean = w.nodes[2].attributes;
                  mean[0] = mean[1] = 3, mean[4] = mean[7] = 1;
                }),
                "padding"),
        "a mean with padding");
  CHECK(refused(changed_down([](FileWriter& w) {  // -1 where the pixel is padded
                  w.nodes[5].attributes[10] = -1;
                }),
                "padding of -1"),
        "padding of -1");
}

// Whatever a file says, it is refused or trains.
void mutants(const Buffer& whole) {
  Random random(7);
  uint32_t used = 0;
  for (int i = 0; i < 400; ++i) {
    Buffer file = whole;
    for (int j = random.between(1, 3); j > 0; --j) {
      const auto at =
          static_cast<size_t>(random.between(160, static_cast<int>(std::min<size_t>(file.size(), 2400)) - 1));
      file[random.chance(80) ? at : static_cast<size_t>(random.between(64, static_cast<int>(file.size()) - 1))] =
          static_cast<uint8_t>(random.word());
    }
    fuzz::repair(file);
    try {
      use(file);
      ++used;
    } catch (const Error&) {
    }
  }
  CHECK(used > 20, "%u mutants were used", used);
}

void run() {
  refusals();
  refusals_of_what_halves_the_sides();
  mutants(changed([](FileWriter&) {}));
  mutants(changed_down([](FileWriter&) {}));
  no_allocation();
  many_pixels();
  Random random(5);
  Seen seen;
  for (uint32_t i = 0; i < case_count(100); ++i) equals_plain(random, seen);
  for (const uint32_t changed : {seen.weights, seen.parameters, seen.reals})
    CHECK(changed > seen.runs / 4, "only %u of %u runs changed something", changed, seen.runs);
}

}  // namespace
}  // namespace onebit::test

int main() { onebit::test::run(); }
