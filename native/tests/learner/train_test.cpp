// The learner on random and extreme numbers: the same seed gives the same bytes, nothing overflows (run under the
// undefined-behaviour sanitizer), counters saturate, and bad input changes nothing.
#include <cmath>
#include <limits>
#include <random>

#include "kernels/portable/tables.h"
#include "learner/learner.h"
#include "support/check.h"
#include "support/record_bytes.h"
#include "support/store_faults.h"

using namespace onebit;
using namespace onebit::learner;
using namespace onebit::test;

namespace {

Backbone random_backbone(std::mt19937& random, uint32_t classes, uint32_t features, float low, float high, bool bias) {
  Backbone backbone;
  backbone.features = features;
  backbone.low = low;
  backbone.high = high;
  std::normal_distribution<float> normal;
  for (uint32_t j = 0; j < classes; ++j) {
    backbone.names.push_back("class " + std::to_string(j));
    backbone.samples.push_back(10 + j);
    for (uint32_t i = 0; i < features; ++i) backbone.weight.push_back(0.1f * normal(random));
    if (bias) backbone.bias.push_back(normal(random));
  }
  return backbone;
}

Learner make(Medium& medium, const Backbone& backbone, const Options& options) {
  const auto [constant, state] = learner::first_state(backbone, options);
  const store::Bytes payload = encode(state);
  medium.durable.assign(store::Store::file_size(payload.size(), options.history), 0);
  FaultyFile file(medium);
  store::Store::format(file, options.history, encode(constant), payload.size(), writing(payload));
  return Learner::open(std::make_unique<FaultyFile>(medium), backbone.hash);
}

std::vector<float> random_features(std::mt19937& random, size_t count, float low, float high) {
  std::vector<float> features(count);
  for (float& f : features) f = low + (high - low) * static_cast<float>(random() % 10001) / 10000;
  return features;
}

template <class Call>
onebit_status status_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.status;
  }
  return ONEBIT_OK;
}

void same_seed_same_bytes() {
  std::mt19937 random(1);
  const auto backbone = random_backbone(random, 5, 33, -1, 3, true);
  const auto features = random_features(random, 40 * 33, -1, 3);
  std::vector<std::string> names;
  for (int i = 0; i < 40; ++i) names.push_back(i % 3 ? "class 1" : "new");
  Medium one, two, other;
  for (Medium* medium : {&one, &two, &other}) {
    Learner learner = make(*medium, backbone, {16, 4, 2, medium == &other ? 8u : 7u});
    CHECK(learner.teach(features.data(), names, "a", {20, 16, 0.1}), "counted");
    CHECK(!learner.teach(features.data(), names, "a", {20, 16, 0.1}), "counted twice");
  }
  CHECK(one.durable == two.durable, "the same seed gives other bytes");
  CHECK(one.durable != other.durable, "the seed does nothing");
}

void extremes() {
  std::mt19937 random(2);
  const float ranges[][2] = {{-1, 3}, {0, 1e-20f}, {-1e20f, 1e20f}, {5, 6}, {-7, -6}};
  for (const auto& range : ranges) {
    for (const double rate : {1e-300, 1e-3, 1.0, 1e6}) {
      for (const bool bias : {false, true}) {
        const auto backbone = random_backbone(random, 3, 64, range[0], range[1], bias);
        Medium medium;
        Learner learner = make(medium, backbone, {8, 4, 1, 0});
        auto features = random_features(random, 20 * 64, range[0], range[1]);
        features[0] = std::numeric_limits<float>::max();
        features[1] = std::numeric_limits<float>::lowest();
        features[2] = std::numeric_limits<float>::denorm_min();
        std::vector<std::string> names(20, "new");
        for (size_t i = 0; i < names.size(); i += 2) names[i] = "class 0";
        learner.teach(features.data(), names, "a", {50, 7, rate});
        std::vector<uint32_t> p(20 * 4);
        learner.predict(features.data(), 20, p.data());
        for (size_t i = 0; i < 20; ++i) {
          const uint32_t sum = p[4 * i] + p[4 * i + 1] + p[4 * i + 2] + p[4 * i + 3];
          CHECK(sum + 4 > 65536 && sum < 65536 + 4, "probabilities add up to %u", sum);
        }
      }
    }
  }
  // The widest head and every level at its end: the sums reach 255 * 255 * 32768, just inside int32.
  Numbers numbers;
  numbers.features = kMaxWidth;
  numbers.quantizer = FeatureQuantizer::from_range(0, 1);
  std::vector<int16_t> masters(2 * size_t{kMaxWidth}), inputs(2 * size_t{kMaxWidth}, 255);
  std::fill_n(masters.begin(), kMaxWidth, int16_t{32767});
  std::fill(masters.begin() + kMaxWidth, masters.end(), int16_t{-32768});
  const std::vector<uint32_t> targets = {1, 1};
  Random generator{5};
  Trainer(numbers, portable::head(), 2, 2).train(masters.data(), inputs.data(), targets.data(), {3, 2, 1e6}, generator);
  for (int32_t i = -32768; i < 32768; ++i) {
    const auto value = static_cast<int16_t>(i);
    const auto level = WeightQuantizer::from_range(-32768, 32767)(value);
    CHECK(std::abs(level) <= 255 &&
              std::fabs(level * 52.0 * 65535 / (50 * 255) - value) <= 0.51 * 52 * 65535 / (50 * 255),
          "%d", i);
  }
}

void counters_and_rings() {
  std::mt19937 random(3);
  auto backbone = random_backbone(random, 2, 4, 0, 1, false);
  backbone.samples = {std::numeric_limits<uint32_t>::max() - 1, 0};
  Medium medium;
  Learner learner = make(medium, backbone, {3, 2, 2, 0});
  CHECK(learner.classes().size() == 1, "a class that was never seen is left out");
  const auto features = random_features(random, 4 * 4, 0, 1);
  const TrainOptions options{2, 4, 0.1};
  CHECK(status_of([&] { learner.teach(features.data(), {""}, "empty", options); }) == ONEBIT_INVALID_ARGUMENT,
        "no name");
  learner.teach(features.data(), std::vector<std::string>(4, "class 0"), "a", options);
  CHECK(learner.classes()[0].past == std::numeric_limits<uint32_t>::max(), "the count must saturate");
  const size_t size = medium.durable.size();
  for (const char* id : {"b", "c"}) CHECK(learner.teach(features.data(), {"x", "x", "y", "y"}, id, options), "%s", id);
  CHECK(!learner.teach(features.data(), {"x", "x", "y", "y"}, "c", options), "remembered");
  CHECK(learner.teach(features.data(), {"x", "x", "y", "y"}, "a", options), "the ring holds two ids");
  CHECK(medium.durable.size() == size, "the file grew");

  const store::Bytes before = medium.durable;
  auto broken = features;
  broken[5] = std::numeric_limits<float>::quiet_NaN();
  const std::string long_name(64, 'n');
  for (const auto& names :
       std::vector<std::vector<std::string>>{{}, {"full"}, {long_name}, {""}, {"a\nb"}, {"\xC3"}, {"\xED\xA0\x80"}}) {
    CHECK(status_of([&] { learner.teach(features.data(), names, "d", options); }) == ONEBIT_INVALID_ARGUMENT,
          "bad names");
  }
  CHECK(status_of([&] { learner.teach(broken.data(), {"x", "x"}, "d", options); }) == ONEBIT_INVALID_ARGUMENT, "NaN");
  CHECK(status_of([&] { learner.teach(features.data(), {"x"}, "", options); }) == ONEBIT_INVALID_ARGUMENT, "no id");
  for (const TrainOptions& bad :
       {TrainOptions{0, 1, 1}, {1, 0, 1}, {1, 5000, 1}, {1, 1, 0}, {1, 1, NAN}, {1, 1, INFINITY}}) {
    CHECK(status_of([&] { learner.teach(features.data(), {"x"}, "d", bad); }) == ONEBIT_INVALID_ARGUMENT, "options");
  }
  CHECK(status_of([&] { learner.forget("nobody"); }) == ONEBIT_INVALID_ARGUMENT, "unknown");
  CHECK(medium.durable == before, "refused input changed the file");

  Hash other{};
  other[31] = 1;
  CHECK(status_of([&] { Learner::open(std::make_unique<FaultyFile>(medium), other); }) == ONEBIT_INVALID_ARGUMENT,
        "foreign");
}

// Each bit of the two records flipped behind a right checksum: refused, or read without harm.
void hostile_records() {
  std::mt19937 random(4);
  const auto backbone = random_backbone(random, 2, 6, -1, 1, true);
  const std::pair started = learner::first_state(backbone, {4, 2, 1, 0});
  const auto& constant = started.first;
  const auto& state = started.second;
  const store::Bytes numbers = encode(constant), payload = encode(state);
  CHECK(encode(decode_constant(numbers)) == numbers && encode(decode_state(constant, payload)) == payload,
        "round trip");
  size_t refused = 0;
  for (size_t bit = 0; bit < 8 * numbers.size(); ++bit) {
    store::Bytes bad = numbers;
    bad[bit / 8] = static_cast<uint8_t>(bad[bit / 8] ^ 1 << bit % 8);
    refused += status_of([&] { decode_state(decode_constant(bad), payload); }) != ONEBIT_OK;
  }
  for (size_t bit = 0; bit < 8 * payload.size(); ++bit) {
    store::Bytes bad = payload;
    bad[bit / 8] = static_cast<uint8_t>(bad[bit / 8] ^ 1 << bit % 8);
    refused += status_of([&] { decode_state(constant, bad); }) != ONEBIT_OK;
  }
  CHECK(refused > 100, "%zu refused", refused);
  for (size_t size = 0; size < payload.size(); ++size) {
    const store::Bytes cut(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK(status_of([&] { decode_state(constant, cut); }) == ONEBIT_BAD_FILE, "%zu bytes", size);
  }
}

void forget_wipes() {
  std::mt19937 random(5);
  Medium medium;
  Learner learner = make(medium, random_backbone(random, 3, 16, 0, 1, false), {8, 4, 3, 0});
  const auto features = random_features(random, 6 * 16, 0, 1);
  learner.teach(features.data(), std::vector<std::string>(6, "secret"), "a", {10, 6, 0.5});
  const auto row = learner.state().cw.begin() + 3 * 16;
  const store::Bytes name = {'s', 'e', 'c', 'r', 'e', 't'};
  store::Bytes bytes;
  for (auto it = row; it != row + 16; ++it)
    bytes.insert(bytes.end(), {static_cast<uint8_t>(*it & 0xFF), static_cast<uint8_t>(*it >> 8 & 0xFF)});
  const auto there = [&](const store::Bytes& what) {
    return std::search(medium.durable.begin(), medium.durable.end(), what.begin(), what.end()) != medium.durable.end();
  };
  CHECK(there(name) && there(bytes), "it was there");
  learner.teach(features.data(), std::vector<std::string>(6, "class 0"), "b", {10, 6, 0.5});
  learner.forget("secret");
  CHECK(!there(name) && !there(bytes), "forgotten bytes are still in the file");
  CHECK(learner.classes().size() == 3 && learner.store().ancestors() == 0, "no way back");
  learner.teach(features.data(), std::vector<std::string>(6, "next"), "c", {10, 6, 0.5});
  CHECK(learner.classes()[3].name == "next" && learner.classes()[3].past == 6, "its place is free");
}

}  // namespace

int main() {
  same_seed_same_bytes();
  extremes();
  counters_and_rings();
  hostile_records();
  forget_wipes();
}
