// The replay memory, and an experience with it: against the rules written out plainly, on the same generator.
#include <numeric>
#include <set>

#include "integer/softmax.h"
#include "kernels/portable/tables.h"
#include "learner/tail/read_model.h"
#include "learner/tail_learner.h"
#include "support/plain_tail.h"
#include "support/tail_file.h"

namespace onebit::test {
namespace {

using namespace onebit::learner;

std::vector<uint32_t> shuffled(std::vector<uint32_t> order, integer::Random& random) {
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(static_cast<uint32_t>(i))]);
  return order;
}

std::vector<uint32_t> count_to(size_t size) {
  std::vector<uint32_t> numbers(size);
  std::iota(numbers.begin(), numbers.end(), 0u);
  return numbers;
}

void replacement(Random& random) {
  const auto capacity = static_cast<uint32_t>(random.between(0, 12)),
             samples = static_cast<uint32_t>(random.between(1, 15));
  const auto words = static_cast<size_t>(random.between(1, 4));
  ReplayMemory replay = make_replay(capacity, words);
  std::vector<uint32_t> classes;
  std::vector<std::vector<uint32_t>> content(samples);
  std::vector<const uint32_t*> latents;
  for (uint32_t i = 0; i < samples; ++i) {
    content[i].assign(words, 100 + i);
    latents.push_back(content[i].data());
    classes.push_back(static_cast<uint32_t>(random.between(0, 3)));
  }
  const std::vector<uint32_t> old(words, 7);
  for (uint32_t i = 0; i < capacity; ++i)
    if (random.chance(70)) replay.put(i, old.data(), 9);
  const ReplayMemory before = replay;
  const auto index = static_cast<uint64_t>(random.between(1, 4));
  integer::Random generator{random.word()}, own = generator;
  replay.replace(latents, classes, index, own);

  std::vector<uint32_t> slots = before.slots, bits = before.bits;
  const auto put = [&](size_t place, uint32_t sample) {
    slots[place] = classes[sample];
    std::copy_n(latents[sample], words, bits.begin() + static_cast<std::ptrdiff_t>(place * words));
  };
  if (capacity > 0) {
    const auto order = shuffled(count_to(samples), generator);
    uint32_t filled = 0;
    for (uint32_t i = 0; i < capacity && filled < samples; ++i)
      if (before.slots[i] == ReplayMemory::kFree) put(i, order[filled++]);
    const int64_t share = std::min<int64_t>(static_cast<int64_t>(capacity / (index + 1)), samples);
    auto places = count_to(capacity);
    for (int64_t j = 0; j < share - int64_t{filled}; ++j) {
      const auto at = static_cast<size_t>(j);
      std::swap(places[at], places[at + generator.below(capacity - static_cast<uint32_t>(j))]);
      put(places[at], order[filled + at]);
    }
  }
  CHECK(replay.slots == slots && replay.bits == bits, "another item was replaced");
  CHECK(own.state == generator.state, "another number of draws");
  CHECK(replay.capacity() == capacity && replay.bits.size() == capacity * words, "the memory grew");
}

void erasing() {
  ReplayMemory replay = make_replay(5, 2);
  const uint32_t ones[] = {~0u, ~0u};
  for (uint32_t i = 0; i < 4; ++i) replay.put(i, ones, i % 2);
  replay.erase(1);
  CHECK((replay.used() == std::vector<uint32_t>{0, 2}), "the items of a class are left");
  for (const size_t item : {1, 3})
    CHECK(replay.sample(item)[0] == 0 && replay.sample(item)[1] == 0, "bits of an erased class are left");
  CHECK(replay.sample(0)[1] == ~0u, "bits of another class are gone");
}

void shares() {
  ReplayMemory replay = make_replay(5, 1);
  const TrainOptions options{0, 50, 0.1, 1, 0.01, 3};
  CHECK(largest_batch(20, replay, options) == 20 && largest_batch(70, replay, options) == 50, "without items");
  const uint32_t bits = 0;
  for (uint32_t i = 0; i < 2; ++i) replay.put(i, &bits, 0);
  CHECK(largest_batch(20, replay, options) == 22 && largest_batch(70, replay, options) == 50, "all items");
  for (uint32_t i = 2; i < 5; ++i) replay.put(i, &bits, 0);
  CHECK(largest_batch(20, replay, options) == 23 && largest_batch(70, replay, options) == 50, "some of the items");
}

// A lesson by the rules: the plain tail, and the head's own steps.
void lesson(Random& random) {
  TailFile writer = random_tail(random, 3);
  const Buffer file = writer.finish(6);
  const auto model = read_model(bytes_of(file));
  const Tail tail = read_tail(*model);
  const auto samples = static_cast<uint32_t>(random.between(1, 7));
  const auto capacity = static_cast<uint32_t>(random.between(0, 6));
  const auto packed = writer.packed(samples);
  std::vector<const uint32_t*> latents;
  std::vector<uint32_t> slots;
  for (uint32_t i = 0; i < samples; ++i) {
    latents.push_back(packed.data() + i * tail.words());
    slots.push_back(static_cast<uint32_t>(random.between(0, 3)));
  }
  const auto d = static_cast<uint32_t>(tail.features().c);
  const learner::Numbers numbers{d, random.chance(50), tail.features().quantizer, 12};
  State state;
  state.classes.resize(5);
  for (const uint32_t slot : {0, 1, 2, 3})
    state.classes[slot] = {std::string(1, static_cast<char>('a' + slot)), slot ? 20u : 0u};
  for (size_t i = 0; i < state.classes.size() * numbers.width(); ++i)
    state.cw.push_back(i < 4 * numbers.width() ? static_cast<int16_t>(random.between(-2000, 2000)) : int16_t{0});
  state.random.state = random.word();
  state.taught = static_cast<uint64_t>(random.between(0, 2));
  state.tail = read_masters(*model, tail);
  state.replay = make_replay(capacity, static_cast<size_t>(tail.words()));
  const auto stored = writer.packed(capacity + 1);
  for (uint32_t i = 0; i < capacity; ++i)
    if (random.chance(70)) state.replay.put(i, stored.data() + i * tail.words(), i % 4);
  const auto batch = static_cast<uint32_t>(random.between(2, 9));
  const TrainOptions options{0,
                             batch,
                             0.1,
                             static_cast<uint32_t>(random.between(1, 3)),
                             std::ldexp(1.0, random.between(-5, 5)),
                             static_cast<uint32_t>(random.between(1, static_cast<int>(batch) - 1))};

  State expected = state;
  PlainTail plain(*model);
  {
    State& s = expected;
    const auto items = s.replay.used();
    const auto r = static_cast<int64_t>(items.size()), n_all = int64_t{samples};
    const int64_t replayed = std::min(r, int64_t{options.replayed}), n = std::min(options.batch - replayed, n_all);
    std::vector<uint32_t> current(5);
    for (const uint32_t slot : slots) ++current[slot];
    for (const uint32_t item : items) ++current[s.replay.slots[item]];
    std::vector<int16_t> tw(4 * numbers.width());
    for (size_t j = 0; j < 4; ++j)
      if (current[j] && s.classes[j].past)
        std::copy_n(s.cw.begin() + static_cast<std::ptrdiff_t>(j * numbers.width()), numbers.width(),
                    tw.begin() + static_cast<std::ptrdiff_t>(j * numbers.width()));
    auto order = count_to(samples), item_order = count_to(items.size());
    size_t position = 0;
    for (uint32_t epoch = 0; epoch < options.epochs; ++epoch) {
      order = shuffled(order, s.random);
      for (int64_t first = 0; first < n_all; first += n) {
        std::vector<const uint32_t*> bits;
        std::vector<uint32_t> targets;
        for (int64_t i = first; i < std::min(n_all, first + n); ++i) {
          const uint32_t at = order[static_cast<size_t>(i)];
          bits.push_back(latents[at]);
          targets.push_back(slots[at]);
        }
        for (int64_t i = 0; i < replayed; ++i) {
          if (position == 0) item_order = shuffled(item_order, s.random);
          const uint32_t item = items[item_order[position]];
          position = (position + 1) % items.size();
          bits.push_back(s.replay.sample(item));
          targets.push_back(s.replay.slots[item]);
        }
        const Numbers64 levels = plain.forward(bits);
        // the head's step, in its own words
        const HeadKernels& passes = portable::head();
        const auto width = static_cast<int64_t>(numbers.width());
        const auto pitch = static_cast<size_t>(head_pitch(width));
        std::vector<int16_t> w(4 * pitch);
        const WeightQuantizer quantizer = quantize_weights(passes, tw.data(), 4, numbers.width(), w.data());
        Trainer head(numbers, passes, 4, 0);
        head.begin(tw.data());
        Numbers64 f;
        for (size_t i = 0; i < bits.size(); ++i) {
          std::vector<int16_t> x;
          for (uint32_t c = 0; c < d; ++c) x.push_back(static_cast<int16_t>(levels[i * d + c]));
          if (numbers.bias) x.push_back(numbers.bias_level());
          std::vector<int32_t> scores(4);
          std::vector<int64_t> powers(4);
          const int16_t* input = x.data();
          passes.scores({w.data(), 4, width, &input, 1, scores.data(), 1});
          const int64_t sum = softmax_powers(scores.data(), 4, numbers.score_factor(quantizer.span), powers.data());
          for (uint32_t c = 0; c < d; ++c) {
            int64_t total = 0;
            for (size_t k = 0; k < 4; ++k) {
              const int64_t p = round_div(255 * powers[k], sum);
              const int64_t e = clamp<-128, 127>(round_shift(p - (k == targets[i] ? 255 : 0), 1));
              total += e * w[k * pitch + c];
            }
            f.push_back(total);
          }
          head.add(&input, &targets[i], 1);
        }
        head.update(tw.data(), static_cast<uint32_t>(bits.size()), options.learning_rate, s.random);
        const double error_unit = 2.0 / (255.0 * static_cast<double>(bits.size()));
        const double weight_unit = std::ldexp(52.0 * quantizer.span / 12750.0, -numbers.fraction);
        plain.backward(f, error_unit * weight_unit, options.tail_rate, s.random);
      }
    }
    LiveHead head = begin_experience(numbers, s, slots);
    head.masters = tw;
    for (size_t j = 0; j < 4; ++j) head.current[j] = current[j];
    end_experience(numbers, s, head);
    s.replay.replace(latents, slots, s.taught + 1, s.random);
  }

  const uint32_t most = largest_batch(samples, state.replay, options);
  TailNetwork network(tail, *isas().front(), most, TailNetwork::Use::training);
  replay_teach(numbers, network, state, latents, slots, options);
  CHECK(state.cw == expected.cw, "the head");
  CHECK(state.random.state == expected.random.state, "another number of draws");
  CHECK(state.replay.slots == expected.replay.slots && state.replay.bits == expected.replay.bits, "the items");
  for (size_t j = 0; j < 5; ++j) CHECK(state.classes[j].past == expected.classes[j].past, "the counts");
  check_masters(plain, tail, state.tail, "a lesson");
}

// Classes of random prototypes, a quarter of whose bits flip. How many of six are told apart after three lessons of
// two.
double learn(double tail_rate) {
  Random random(3);
  TailFile writer(random, 4, 4, 64, 4);
  TailFile::Epilogue epilogue{true, true, false, Activation::prelu, writer.values().back()};
  epilogue.residual = writer.conv(writer.values().back(), 64, {3, 3}, {1, 1, 1, 1}, epilogue);
  writer.pool(writer.conv(writer.values().back(), 64, {3, 3}, {1, 1, 1, 1}, epilogue));
  const Buffer file = writer.finish(0);
  const auto model = read_model(bytes_of(file));
  const Tail tail = read_tail(*model);
  const auto words = static_cast<size_t>(tail.words());
  constexpr uint32_t kEach = 20;
  const auto prototypes = writer.packed(6);
  const auto sample = [&](uint32_t j) {
    std::vector<uint32_t> bits(prototypes.begin() + static_cast<std::ptrdiff_t>(j * words),
                               prototypes.begin() + static_cast<std::ptrdiff_t>((j + 1) * words));
    for (uint32_t& word : bits) word ^= random.word() & random.word();  // a quarter of them
    return bits;
  };
  State state;
  state.classes.resize(6);
  const learner::Numbers numbers{64, true, tail.features().quantizer, 12};
  state.cw.resize(6 * numbers.width());
  state.tail = read_masters(*model, tail);
  state.replay = make_replay(40, words);
  TailNetwork network(tail, *isas().front(), 16, TailNetwork::Use::training);
  const auto accuracy = [&](uint32_t first, uint32_t last) {
    network.load(state.tail);
    std::vector<int16_t> input(numbers.width(), numbers.bias_level());
    uint32_t right = 0;
    for (uint32_t i = 0; i < 50 * (last - first); ++i) {
      const uint32_t j = first + i % (last - first);
      const auto bits = sample(j);
      const uint32_t* pointer = bits.data();
      network.forward(&pointer, 1);
      network.features(0, input.data());
      int64_t best = INT64_MIN, label = -1;
      for (const uint32_t k : state.seen()) {
        int64_t score = 0;
        for (size_t c = 0; c < input.size(); ++c) score += int64_t{state.cw[k * input.size() + c]} * input[c];
        if (score > best) best = score, label = k;
      }
      right += label == j;
    }
    return static_cast<double>(right) / (50 * (last - first));
  };
  const TailMasters before = state.tail;
  for (uint32_t experience = 0; experience < 3; ++experience) {
    std::vector<std::vector<uint32_t>> samples;
    std::vector<const uint32_t*> latents;
    std::vector<uint32_t> slots;
    for (uint32_t i = 0; i < 2 * kEach; ++i) {
      slots.push_back(2 * experience + i % 2);
      samples.push_back(sample(slots.back()));
      state.classes[slots.back()].name = "class " + std::to_string(slots.back());
    }
    for (const auto& bits : samples) latents.push_back(bits.data());
    replay_teach(numbers, network, state, latents, slots, {0, 16, 0.1, 10, tail_rate, 11});
    ++state.taught;
  }
  size_t flipped = 0;
  for (size_t i = 0; i < before.weights.size(); ++i) flipped += (before.weights[i] < 0) != (state.tail.weights[i] < 0);
  CHECK((flipped > 0) == (tail_rate > 1e-3), "%zu weights changed their sign", flipped);
  return accuracy(0, 6);
}

void run() {
  Random random(9);
  for (int i = 0; i < 300; ++i) replacement(random);
  erasing();
  shares();
  for (uint32_t i = 0; i < case_count(100); ++i) lesson(random);
  const double trained = learn(0.1), frozen = learn(1e-9);
  CHECK(trained > 0.8 && frozen < trained - 0.15, "%g are right, and %g with a frozen tail", trained, frozen);
}

}  // namespace
}  // namespace onebit::test

int main() { onebit::test::run(); }
