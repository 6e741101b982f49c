// One stream of experiences on every instruction set of this machine, the network with 1 and 3 threads: the state files
// are the same after every change, byte for byte, and those of every other processor, whose digest stands here.
#include <cstdio>
#include <fstream>
#include <iterator>

#include "base/sha256.h"
#include "onebit/learner.h"
#include "support/check.h"
#include "support/environment.h"
#include "support/tail_file.h"

namespace onebit::test {
namespace {

constexpr char kModels[] = "c25e79095636143bcd4bc00692c1ad76513139e69eefd15503f86a3ff9c39e43";
constexpr char kStates[] = "af2db1a55986e37ffca232d318ae58414f1e64f73f69d72f02d17f0b31a3b7b4";
constexpr char kPath[] = "learner_isa_test.state";
constexpr uint32_t kImages = 9, kItems = 12;

std::string digest(const std::vector<Buffer>& parts) {
  Sha256 hash;
  for (const Buffer& part : parts) hash.add(part.data(), part.size());
  return hash.hex();
}

// A convolution with a residual and each activation, a pointwise operator, a pool; widths that fill no vector.
Buffer every_operator() {
  Random random(1);
  TailFile file(random, 4, 3, 40, 3);
  uint32_t value = file.values().back();
  for (const Activation activation : {Activation::prelu, Activation::relu, Activation::hardtanh, Activation::none})
    value = file.conv(value, 40, {3, 3}, {1, 1, 1, 1}, {true, true, true, activation, value});
  value = file.pointwise(file.conv(value, 70, {1, 3}, {0, 0, 0, 2}, {}), {true, true, true, Activation::prelu, absent});
  file.pool(value);
  return file.finish(kItems);
}

std::vector<Buffer> models() {
  std::vector<Buffer> files = {every_operator()};
  Random random(2);
  for (int i = 0; i < 4; ++i) files.push_back(random_tail(random, 3).finish(kItems));
  return files;
}

#define DONE(call)                                   \
  do {                                               \
    onebit_error error;                              \
    CHECK((call) == ONEBIT_OK, "%s", error.message); \
  } while (0)

// A learner in a file, closed and opened again after every change, as on a device.
class Stream {
 public:
  Stream(const Buffer& file, const char* isa, uint32_t threads, uint32_t replay) {
    set_environment("ONEBIT_ISA", isa);  // for the learner
    DONE(onebit_model_open_memory(file.data(), file.size(), &model_, &error));
    onebit_learner_options options = ONEBIT_LEARNER_DEFAULTS;
    options.max_classes = 8, options.max_experiences = 4, options.history = 2, options.seed = 7,
    options.replay = replay;
    std::remove(kPath);
    DONE(onebit_learner_create(kPath, model_, &options, &learner_, &error));
    const char* output = onebit_learner_input(learner_);
    CHECK(std::strcmp(output, replay ? "latents" : "features") == 0, "it is handed %s", output);
    width_ = onebit_learner_features(learner_);
    const onebit_session_options session = {kImages, threads, isa, &output, 1};
    DONE(onebit_session_open(model_, &session, &session_, &error));
    keep();
  }
  ~Stream() {
    onebit_learner_close(learner_);
    onebit_session_close(session_);
    onebit_model_close(model_);
    std::remove(kPath);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void teach(uint32_t seed, const char* one, const char* two) {
    const char* names[kImages];
    for (uint32_t i = 0; i < kImages; ++i) names[i] = i % 2 ? two : one;
    const onebit_teach_options options = {12, 8, 0.1, 2, 0.5, 5};
    int counted = 0;
    DONE(onebit_learner_teach(learner_, run(seed).data(), names, kImages, std::to_string(seed).c_str(), &options,
                              &counted, &error));
    CHECK(counted, "lesson %u", seed);
    keep();
  }
  void rename(const char* name, const char* new_name) {
    DONE(onebit_learner_rename(learner_, name, new_name, &error));
    keep();
  }
  void forget(const char* name) {
    DONE(onebit_learner_forget(learner_, name, &error));
    keep();
  }
  void rollback() {
    DONE(onebit_learner_rollback(learner_, 1, &error));
    keep();
  }

  const std::vector<Buffer>& states() const { return states_; }    // the file after every change
  const std::vector<Buffer>& answers() const { return answers_; }  // probabilities after every change

 private:
  // What the network makes of some images.
  std::vector<float> run(uint32_t seed) {
    Random random(seed);
    const onebit_shape in = onebit_model_input(model_);
    std::vector<float> images(size_t{kImages} * in.h * in.w * in.c), out(size_t{kImages} * width_);
    for (float& pixel : images) pixel = static_cast<float>(random.between(-2000, 2000)) / 1000.0f;
    float* outputs[] = {out.data()};
    DONE(onebit_session_run(session_, images.data(), kImages, outputs, &error));
    return out;
  }

  void keep() {
    onebit_learner_close(learner_);
    std::ifstream file(kPath, std::ios::binary);
    states_.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    file.close();
    DONE(onebit_learner_open(kPath, model_, &learner_, &error));
    std::vector<uint32_t> probabilities(kImages * onebit_learner_class_count(learner_));
    DONE(onebit_learner_predict(learner_, run(0).data(), kImages, probabilities.data(), &error));
    Buffer answer;
    for (const uint32_t p : probabilities) put(answer, p);
    answers_.push_back(answer);
  }

  onebit_model* model_ = nullptr;
  onebit_learner* learner_ = nullptr;
  onebit_session* session_ = nullptr;
  size_t width_ = 0;
  std::vector<Buffer> states_, answers_;
};

void live(Stream& stream) {
  stream.teach(1, "0", "elk");
  stream.teach(2, "fox", "1");
  stream.teach(3, "elk", "fox");
  stream.rename("elk", "moose");
  stream.teach(4, "moose", "owl");
  stream.rollback();
  stream.teach(5, "owl", "2");
  stream.forget("fox");
  stream.teach(6, "moose", "0");
  stream.teach(7, "fox", "owl");
  stream.rollback();
  for (size_t i = 1; i < stream.states().size(); ++i)
    CHECK(stream.states()[i] != stream.states()[i - 1], "change %zu changed nothing", i);
}

// All states that this file's learner goes through.
std::vector<Buffer> same_everywhere(const Buffer& file, size_t number, uint32_t replay) {
  std::vector<Buffer> states, answers;
  for (const Kernels* isa : tables()) {
    for (const uint32_t threads : {1u, 3u}) {
      Stream stream(file, isa->name, threads, replay);
      live(stream);
      if (states.empty()) states = stream.states(), answers = stream.answers();
      for (size_t change = 0; change < states.size(); ++change) {
        CHECK(stream.states()[change] == states[change] && stream.answers()[change] == answers[change],
              "model %zu, replay %u, %s, %u threads: another state than with the first after change %zu", number,
              replay, isa->name, threads, change);
      }
    }
  }
  return states;
}

void run() {
  const std::vector<Buffer> files = models();
  CHECK(digest(files) == kModels, "the models are other ones, of digest %s", digest(files).c_str());
  std::vector<Buffer> states;
  for (size_t i = 0; i < files.size(); ++i) {
    for (const uint32_t replay : {0u, kItems}) {
      const auto more = same_everywhere(files[i], i, replay);
      states.insert(states.end(), more.begin(), more.end());
    }
  }
  CHECK(digest(states) == kStates, "other states than recorded, of digest %s", digest(states).c_str());
  for (const Kernels* isa : tables()) std::printf("%s ", isa->name);
  std::printf("with 1 and 3 threads: %zu states of %zu models, head alone and with a tail, sha256 %s\n", states.size(),
              files.size(), kStates);
}

}  // namespace
}  // namespace onebit::test

int main() { onebit::test::run(); }
