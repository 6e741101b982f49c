// Many threads and one model, through the C API: sessions of every instruction set and number of threads answer alike
// while others open and close beside them; a session in use refuses a second thread; a model may be closed first. Meant
// to be run under the thread sanitizer as well.
#include <atomic>
#include <cstring>
#include <thread>

#include "onebit/onebit.h"
#include "support/check.h"
#include "support/obn_writer.h"
#include "support/strips.h"

using namespace onebit;

namespace {

constexpr int kThreads = 8;
constexpr uint32_t kSamples = 32;  // so much work that the sessions' own threads have a part in it

size_t volume(onebit_shape shape) { return size_t{shape.h} * shape.w * shape.c; }

std::vector<float> images(const onebit_model* model) {
  std::vector<float> pixels(kSamples * volume(onebit_model_input(model)));
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(i * 7919 % 4001) / 1000.0f - 2.0f;
  return pixels;
}

onebit_session* opened(onebit_model* model, const char* isa, uint32_t threads) {
  onebit_session_options options = ONEBIT_SESSION_DEFAULTS;
  options.batch = kSamples, options.threads = threads, options.isa = isa;
  onebit_session* session = nullptr;
  onebit_error error;
  CHECK(onebit_session_open(model, &options, &session, &error) == ONEBIT_OK, "%s", error.message);
  return session;
}

std::vector<std::vector<float>> buffers(const onebit_model* model) {
  std::vector<std::vector<float>> outputs;
  for (size_t i = 0; i < onebit_model_output_count(model); ++i)
    outputs.emplace_back(kSamples * volume(onebit_model_output_shape(model, i)));
  return outputs;
}

onebit_status run(onebit_session* session, const std::vector<float>& input, std::vector<std::vector<float>>& outputs,
                  onebit_error* error = nullptr) {
  std::vector<float*> pointers;
  for (std::vector<float>& output : outputs) pointers.push_back(output.data());
  return onebit_session_run(session, input.data(), kSamples, pointers.data(), error);
}

onebit_model* read(const test::Buffer& file) {
  onebit_model* model = nullptr;
  CHECK(onebit_model_open_memory(file.data(), file.size(), &model, nullptr) == ONEBIT_OK, "open");
  return model;
}

// Calls work(i) in a thread for each i below kThreads.
template <class Work>
void together(const Work& work) {
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
}

// Each thread opens sessions of its own, one after the other, on a model that all share.
void one_model(const test::FileWriter& writer) {
  const test::Buffer file = writer.bytes();
  onebit_model* model = read(file);
  const std::vector<float> input = images(model);
  auto expected = buffers(model);
  onebit_session* plain = opened(model, "reference", 1);
  CHECK(run(plain, input, expected) == ONEBIT_OK, "run");
  onebit_session_close(plain);
  size_t isas = 0;
  while (onebit_isa(isas) != nullptr) ++isas;
  together([&](int thread) {
    for (int round = 0; round < 4; ++round) {
      const auto index = static_cast<size_t>(thread + round);
      const auto threads = static_cast<uint32_t>(1 + thread % 3);
      onebit_session* session = opened(model, onebit_isa(index % isas), threads);
      for (int repeat = 0; repeat < 3; ++repeat) {
        auto outputs = buffers(model);
        CHECK(run(session, input, outputs) == ONEBIT_OK, "run");
        CHECK(outputs == expected, "%s with %u threads answers differently", onebit_session_isa(session), threads);
      }
      onebit_session_close(session);
    }
  });
  onebit_model_close(model);
}

// All threads call one session: each call answers right or is refused, and some are.
void one_session() {
  const test::Buffer file = test::example().bytes();
  onebit_model* model = read(file);
  const std::vector<float> input = images(model);
  auto expected = buffers(model);
  onebit_session* session = opened(model, "reference", 2);
  CHECK(run(session, input, expected) == ONEBIT_OK, "run");
  std::atomic<int> answered{0}, refused{0};
  together([&](int) {
    auto outputs = buffers(model);
    onebit_error error;
    for (int call = 0; call < 2000 && (call < 5 || refused == 0); ++call) {
      const onebit_status status = run(session, input, outputs, &error);
      CHECK(status == ONEBIT_OK || status == ONEBIT_BUSY, "%s", error.message);
      if (status == ONEBIT_OK) CHECK(outputs == expected, "a shared session answers differently");
      if (status == ONEBIT_BUSY) CHECK(std::strstr(error.hint, "session for each thread") != nullptr, "hint");
      ++(status == ONEBIT_OK ? answered : refused);
    }
  });
  std::printf("one session: %d calls answered, %d refused\n", answered.load(), refused.load());
  CHECK(answered > 0 && refused > 0, "of %d threads in one session none was refused", kThreads);
  onebit_session_close(session);
  onebit_model_close(model);
}

// Models come and go in all threads; a model is closed while its session runs on.
void many_models() {
  const test::Buffer file = test::strips().bytes();
  onebit_model* first = read(file);
  const std::vector<float> input = images(first);
  auto expected = buffers(first);
  onebit_session* plain = opened(first, nullptr, 1);
  CHECK(run(plain, input, expected) == ONEBIT_OK, "run");
  onebit_session_close(plain);
  onebit_model_close(first);
  together([&](int thread) {
    for (int round = 0; round < 10; ++round) {
      onebit_model* model = read(file);
      auto outputs = buffers(model);
      onebit_session* session = opened(model, nullptr, static_cast<uint32_t>(1 + (thread + round) % 2));
      onebit_model_close(model);
      CHECK(run(session, input, outputs) == ONEBIT_OK && outputs == expected, "a model of a thread's own");
      onebit_session_close(session);
    }
  });
}

}  // namespace

int main() {
  one_model(test::example());
  one_model(test::strips());
  one_session();
  many_models();
}
