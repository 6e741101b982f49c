// Prints checksums of what the engine and the learner compute, to be compared between processors: of the example file,
// of a stream of lessons, and of each pair of a model file and its images (raw float32) on the command line. Every
// instruction set here must give the same bits.
#include <onebit/onebit.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "check.h"
#include "learner/learner.h"
#include "obn_writer.h"
#include "record_bytes.h"
#include "store_faults.h"

namespace onebit::test {
namespace {

uint32_t checksum(const void* bytes, size_t size, uint32_t initial = 0) { return onebit_crc32c(bytes, size, initial); }

size_t volume(onebit_shape shape) { return size_t{shape.h} * shape.w * shape.c; }

// Integers by an engine that the standard prescribes, so that every library gives the same.
std::vector<float> numbers(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> list(count);
  for (float& number : list) number = static_cast<float>(random() % 4001) / 1000.0f - 2.0f;
  return list;
}

// Of all outputs of all whole images.
uint32_t answers(onebit_model* model, const char* isa, const std::vector<float>& images) {
  onebit_error error;
  onebit_session* session = nullptr;
  onebit_session_options options = ONEBIT_SESSION_DEFAULTS;
  options.isa = isa;
  options.threads = 2;
  CHECK(onebit_session_open(model, &options, &session, &error) == ONEBIT_OK, "%s", error.message);
  std::vector<Buffer> memory;
  std::vector<float*> outputs;
  for (size_t i = 0; i < onebit_model_output_count(model); ++i)
    memory.emplace_back(volume(onebit_model_output_shape(model, i)) * sizeof(float));
  for (Buffer& buffer : memory) outputs.push_back(reinterpret_cast<float*>(buffer.data()));
  uint32_t sum = 0;
  const size_t size = volume(onebit_model_input(model));
  for (size_t at = 0; at + size <= images.size(); at += size) {
    CHECK(onebit_session_run(session, &images[at], 1, outputs.data(), &error) == ONEBIT_OK, "%s", error.message);
    for (const Buffer& buffer : memory) sum = checksum(buffer.data(), buffer.size(), sum);
  }
  onebit_session_close(session);
  return sum;
}

void print_model(const std::string& name, onebit_model* model, const std::vector<float>& images) {
  const uint32_t sum = answers(model, nullptr, images);
  for (size_t i = 0; onebit_isa(i) != nullptr; ++i) {
    CHECK(answers(model, onebit_isa(i), images) == sum, "%s: %s differs", name.c_str(), onebit_isa(i));
    std::fprintf(stderr, "%s: %s\n", name.c_str(), onebit_isa(i));
  }
  std::printf("%s: %zu images, outputs %08x\n", name.c_str(), images.size() / volume(onebit_model_input(model)), sum);
  onebit_model_close(model);
}

void print_example() {
  const Buffer file = example().bytes();
  onebit_model* model = nullptr;
  CHECK(onebit_model_open_memory(file.data(), file.size(), &model, nullptr) == ONEBIT_OK, "the example file");
  print_model("example", model, numbers(20 * volume(onebit_model_input(model)), 1));
}

void print_file(const char* path, const char* images) {
  onebit_error error;
  onebit_model* model = nullptr;
  CHECK(onebit_model_open(path, &model, &error) == ONEBIT_OK, "%s", error.message);
  std::ifstream stream(images, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(stream), {}};
  CHECK(!bytes.empty() && bytes.size() % (sizeof(float) * volume(onebit_model_input(model))) == 0, "%s", images);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  print_model(std::string(path).substr(std::string(path).find_last_of('/') + 1), model, values);
}

// Three known classes, then new ones; every state on the way counts.
void print_learner() {
  constexpr uint32_t features = 100, classes = 3;
  learner::Backbone backbone;
  backbone.features = features;
  backbone.low = -2.0f, backbone.high = 2.0f;
  for (uint32_t j = 0; j < classes; ++j) backbone.names.push_back("known " + std::to_string(j));
  backbone.samples.assign(classes, 50);
  backbone.weight = numbers(classes * features, 2);
  backbone.bias = numbers(classes, 3);
  const auto [constant, state] = learner::first_state(backbone, {16, 8, 4, 7});
  const store::Bytes payload = encode(state);
  Medium medium;
  medium.durable.assign(store::Store::file_size(payload.size(), 4), 0);
  FaultyFile file(medium);
  store::Store::format(file, 4, encode(constant), payload.size(), writing(payload));
  auto learner = learner::Learner::open(std::make_unique<FaultyFile>(medium), backbone.hash);
  uint32_t states = 0, probabilities = 0;
  for (uint32_t lesson = 0; lesson < 8; ++lesson) {
    std::vector<std::string> names;
    for (int i = 0; i < 30; ++i) names.push_back(i % 3 ? "new " + std::to_string(lesson / 2) : "known 1");
    const auto images = numbers(names.size() * features, 10 + lesson);
    CHECK(learner.teach(images.data(), names, std::to_string(lesson), {40, 16, 0.1}), "lesson %u", lesson);
    states = checksum(medium.durable.data(), medium.durable.size(), states);
    std::vector<uint32_t> p(names.size() * learner.classes().size());
    learner.predict(images.data(), names.size(), p.data());
    probabilities = checksum(p.data(), p.size() * sizeof(uint32_t), probabilities);
  }
  std::printf("learner: 8 lessons, states %08x, probabilities %08x\n", states, probabilities);
}

}  // namespace
}  // namespace onebit::test

int main(int count, char** arguments) {
  using namespace onebit::test;
  print_example();
  print_learner();
  for (int i = 1; i + 1 < count; i += 2) print_file(arguments[i], arguments[i + 1]);
}
