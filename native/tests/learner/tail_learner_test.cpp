// A learner whose model has a teachable tail: its record, what survives a reopening, and that nothing of a forgotten
// class is left.
#include "learner/tail_learner.h"

#include "base/error.h"
#include "kernels/registry.h"
#include "learner/backbone.h"
#include "learner/learner.h"
#include "support/environment.h"
#include "support/record_bytes.h"
#include "support/store_faults.h"
#include "support/tail_file.h"

namespace onebit::test {
namespace {

using namespace onebit::learner;

struct Case {
  Buffer file;  // used in place
  Backbone backbone;
  std::vector<float> latents;  // of `samples`
  std::vector<uint32_t> bits;
  uint32_t samples;
};

Case random_case(Random& random, uint32_t items) {
  TailFile writer = random_tail(random, 3);
  Case made{writer.finish(items), {}, {}, {}, static_cast<uint32_t>(random.between(2, 9))};
  made.backbone = read_backbone(*read_model(bytes_of(made.file)));
  made.bits = writer.packed(made.samples);
  const TailValue& shape = made.backbone.tail->latents();
  for (int64_t i = 0; i < made.samples * shape.elements(); ++i) {
    const int64_t pixel = i / shape.c, c = i % shape.c;
    const bool minus = made.bits[static_cast<size_t>(pixel * words_for(shape.c) + c / 32)] >> (c % 32) & 1u;
    made.latents.push_back(minus ? -0.5f : random.chance(50) ? 0.0f : 0.5f);
  }
  return made;
}

Learner make(Medium& medium, const Case& made, const Options& options) {
  medium.durable.assign(Learner::bytes(made.backbone, options), 0);
  return Learner::create(std::make_unique<FaultyFile>(medium), made.backbone, options);
}

Learner reopen(Medium& medium, const Case& made) {
  return Learner::open(std::make_unique<FaultyFile>(medium), made.backbone.hash, made.backbone.tail);
}

std::vector<std::string> names_of(const Case& made) {
  std::vector<std::string> names;
  for (uint32_t i = 0; i < made.samples; ++i) names.push_back(i % 2 ? "new" : "1");
  return names;
}

std::vector<uint32_t> answers(const Learner& learner, const Case& made) {
  std::vector<uint32_t> probabilities(made.samples * learner.classes().size());
  learner.predict(made.latents.data(), made.samples, probabilities.data());
  return probabilities;
}

bool same(const State& a, const State& b) {
  return encode(a) == encode(b) && a.tail.weights == b.tail.weights && a.replay.bits == b.replay.bits;
}

const TrainOptions kOptions{1, 6, 0.1, 2, 0.5, 4};

void lessons(Random& random) {
  const Case made = random_case(random, 5);
  Medium medium;
  Learner learner = make(medium, made, {8, 4, 2, 3, 4});
  CHECK(learner.has_tail() && learner.input_width() * made.samples == made.latents.size(), "its input");
  CHECK(learner.state().replay.used().size() == 4, "four of the five items");
  const State first = learner.state();
  const auto before = answers(learner, made);

  State expected = first;  // what the lesson must do
  expected.classes[3].name = "new";
  std::vector<const uint32_t*> latents;
  std::vector<uint32_t> slots;
  for (uint32_t i = 0; i < made.samples; ++i) {
    latents.push_back(made.bits.data() + i * made.backbone.tail->words());
    slots.push_back(i % 2 ? 3 : 1);
  }
  TailNetwork network(*made.backbone.tail, *select_isa("portable"), 6, TailNetwork::Use::training);
  replay_teach(learner.constant().numbers, network, expected, latents, slots, kOptions);
  CHECK(learner.teach(made.latents.data(), names_of(made), "a", kOptions), "counted");
  CHECK(learner.state().cw == expected.cw && learner.state().tail.weights == expected.tail.weights &&
            learner.state().tail.parameters == expected.tail.parameters &&
            learner.state().replay.bits == expected.replay.bits,
        "another lesson than replay_teach gives");
  const auto after = answers(learner, made);
  CHECK(same(reopen(medium, made).state(), learner.state()), "another state after reopening");
  CHECK(answers(reopen(medium, made), made) == after, "other answers after reopening");
  const Learner moved = std::move(learner);
  CHECK(answers(moved, made) == after, "other answers after a move");
  Learner again = reopen(medium, made);
  again.rollback(1);
  CHECK(same(again.state(), first) && answers(again, made) == before, "another state after a rollback");
}

// Items whose bits are a pattern that nothing else in the file has.
void forgetting() {
  Random random(4);
  TailFile writer(random, 4, 4, 96, 3);
  writer.pool(writer.conv(writer.values().back(), 8, {3, 3}, {1, 1, 1, 1}, {}));
  Case made{writer.finish(0), {}, {}, {}, 2};
  made.backbone = read_backbone(*read_model(bytes_of(made.file)));
  Medium medium;
  Learner learner = make(medium, made, {8, 4, 2, 3, 4});
  for (uint32_t pixel = 0; pixel < 32; ++pixel)
    for (int c = 0; c < 96; ++c) made.latents.push_back(0x5AA5F00Fu >> (c % 32) & 1u ? -1.0f : 1.0f);
  learner.teach(made.latents.data(), {"secret", "secret"}, "a", kOptions);
  const uint32_t pattern[] = {0x5AA5F00Fu, 0x5AA5F00Fu};
  const auto found = [&] {
    const auto* begin = reinterpret_cast<const uint8_t*>(pattern);
    return std::search(medium.durable.begin(), medium.durable.end(), begin, begin + sizeof pattern) !=
           medium.durable.end();
  };
  CHECK(found(), "the samples are not in the file");
  learner.forget("secret");
  CHECK(!found(), "bits of a forgotten class are in the file");
  CHECK(learner.state().replay.used().empty(), "its samples are left");
}

template <class Call>
bool refused(const Call& call) {
  try {
    call();
  } catch (const Error&) {
    return true;
  }
  return false;
}

void records(Random& random) {
  const Case made = random_case(random, 3);
  const auto [constant, state] = learner::first_state(made.backbone, {4, 2, 1, 0, 5});
  const auto header = encode(constant), payload = encode(state);
  CHECK(encode(decode_constant(header)) == header, "the constant");
  CHECK(encode(decode_state(constant, payload)) == payload, "the payload");
  Constant other = constant;
  ++other.numbers.features;
  CHECK(constant.fits(*made.backbone.tail) && !other.fits(*made.backbone.tail), "features of another width");
  State late = state;
  late.taught = UINT64_MAX - 1;
  CHECK(refused([&] { decode_state(constant, encode(late)); }), "a count that the next lessons overrun");
  for (size_t cut = 0; cut < header.size(); ++cut)
    CHECK(refused([&] { decode_constant({header.begin(), header.begin() + static_cast<std::ptrdiff_t>(cut)}); }),
          "a constant of %zu bytes", cut);
  // whatever a record says, it is refused or leads to a learner that answers
  for (int i = 0; i < 200; ++i) {
    auto bytes = payload;
    for (int j = random.between(1, 4); j > 0; --j) {
      const bool at_end = random.chance(50);
      const auto most = static_cast<int>(bytes.size()) - 1;
      bytes[static_cast<size_t>(at_end ? random.between(std::max(0, most - 200), most) : random.between(0, most))] =
          static_cast<uint8_t>(random.word());
    }
    try {
      State changed = decode_state(constant, bytes);
      TailNetwork network(*made.backbone.tail, *isas().front(), 6, TailNetwork::Use::training);
      changed.classes[0].name = "0";
      std::vector<const uint32_t*> latents(2, made.bits.data());
      replay_teach(constant.numbers, network, changed, latents, {0, 0}, kOptions);
    } catch (const Error&) {
    }
  }
  const auto [alone, head] = learner::first_state(made.backbone, {4, 2, 1, 0, 0});
  CHECK(!alone.tail.any() && head.tail.weights.empty() && head.replay.capacity() == 0, "the head alone");
  CHECK(encode(alone)[0] == 1 && header[0] == (constant.tail.float_weights ? 3 : 2), "the versions of the record");
  CHECK(encode(head).size() < payload.size(), "a tail in the record of a head");
}

void refusals() {
  Random random(8);
  const Case made = random_case(random, 2);
  Medium medium;
  Learner learner = make(medium, made, {8, 4, 2, 3, 4});
  const auto before = encode(learner.state());
  for (const TrainOptions& bad : {TrainOptions{1, 2, 0.1, 1, 0.1, 2},
                                  {1, 2, 0.1, 1, 0.1, 0},
                                  {1, 2, 0.1, 0, 0.1, 1},
                                  {1, 2, 0.1, 1, -1.0, 1},
                                  {1, 2, 0.1, 1, NAN, 1}})
    CHECK(refused([&] { learner.teach(made.latents.data(), names_of(made), "a", bad); }), "bad options");
  std::vector<float> broken = made.latents;
  broken.back() = NAN;
  CHECK(refused([&] { learner.teach(broken.data(), names_of(made), "a", kOptions); }), "a latent that is not finite");
  const auto answered = answers(learner, made);
  const char* isa = std::getenv("ONEBIT_ISA");
  const std::string kept = isa ? isa : "";
  set_environment("ONEBIT_ISA", "none such");
  CHECK(refused([&] { learner.teach(made.latents.data(), names_of(made), "a", kOptions); }), "an unknown ISA");
  CHECK(answers(learner, made) == answered, "a lesson that failed changed the answers");
  set_environment("ONEBIT_ISA", kept.c_str());
  auto names = names_of(made);
  names.back() = "";
  CHECK(refused([&] { learner.teach(made.latents.data(), names, "a", kOptions); }), "a class without a name");
  CHECK(encode(learner.state()) == before && answers(learner, made) == answered, "a refusal changed something");
  CHECK(learner.teach(made.latents.data(), names_of(made), "a", kOptions), "the next lesson");
  CHECK(refused([&] { Learner::open(std::make_unique<FaultyFile>(medium), made.backbone.hash); }), "without its tail");
}

void run() {
  Random random(2);
  for (uint32_t i = 0; i < case_count(30); ++i) lessons(random);
  forgetting();
  for (int i = 0; i < 5; ++i) records(random);
  refusals();
}

}  // namespace
}  // namespace onebit::test

int main() { onebit::test::run(); }
