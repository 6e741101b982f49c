// On the host: cases FOLDER writes, for each of some models, NAME.obp, the program; NAME.damaged, with one bit of its
// weights changed; NAME.samples, as answers.c reads them; NAME.expected, what it must print: the bits of a session
// here.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>

#include "../../tests/support/obn_writer.h"
#include "../../tests/support/strips.h"
#include "onebit/compile.h"
#include "onebit/embedded.h"

namespace {

using onebit::test::Buffer;

void expect(onebit_status status, const onebit_error& error) {
  if (status == ONEBIT_OK) return;
  std::fprintf(stderr, "%s\n", error.message);
  std::exit(1);
}

size_t elements(const onebit_shape& shape) { return size_t{shape.h} * shape.w * shape.c; }

void write(const std::string& path, const void* bytes, size_t size) {
  std::ofstream file(path, std::ios::binary);
  file.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(size));
  if (!file.flush()) {
    std::fprintf(stderr, "%s could not be written\n", path.c_str());
    std::exit(1);
  }
}

// Ordinary ones; zeros of both signs; and some whose products are too small for a normal binary32.
std::vector<std::vector<float>> make_samples(size_t size) {
  std::mt19937 random(5);
  std::vector<std::vector<float>> samples;
  for (const float scale : {1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 0.0f, 1e-36f, 1e-38f, 1e-40f, 1e-44f}) {
    samples.emplace_back();
    for (size_t i = 0; i < size; ++i)
      samples.back().push_back(scale * (static_cast<float>(random() % 2001) / 1000.0f - 1.0f));
  }
  return samples;
}

std::string answer(onebit_model* model, onebit_session* session, const std::vector<float>& sample) {
  std::vector<std::vector<float>> outputs;
  for (size_t i = 0; i < onebit_model_output_count(model); ++i)
    outputs.emplace_back(elements(onebit_model_output_shape(model, i)));
  std::vector<float*> pointers;
  for (auto& output : outputs) pointers.push_back(output.data());
  onebit_error error;
  expect(onebit_session_run(session, sample.data(), 1, pointers.data(), &error), error);
  std::string line;
  for (const auto& output : outputs)
    for (const float value : output) {
      uint32_t bits;
      std::memcpy(&bits, &value, 4);
      char text[10];
      std::snprintf(text, sizeof text, "%08x ", bits);
      line += text;
    }
  return line + "\n";
}

void write_case(const onebit::test::FileWriter& writer, const std::string& name) {
  const Buffer file = writer.bytes();
  onebit_error error;
  onebit_model* model;
  onebit_session* session;
  void* program;
  size_t size;
  const onebit_session_options options = ONEBIT_SESSION_DEFAULTS;
  expect(onebit_model_open_memory(file.data(), file.size(), &model, &error), error);
  expect(onebit_session_open(model, &options, &session, &error), error);
  expect(onebit_model_compile(model, nullptr, 0, &program, &size, &error), error);
  write(name + ".obp", program, size);
  Buffer damaged(static_cast<uint8_t*>(program), static_cast<uint8_t*>(program) + size);
  damaged[size - 100] ^= 1u;
  write(name + ".damaged", damaged.data(), size);

  const auto samples = make_samples(elements(onebit_model_input(model)));
  Buffer bytes;
  std::string expected;
  onebit::test::put(bytes, static_cast<uint32_t>(samples.size()));
  onebit::test::put(bytes, static_cast<uint32_t>(samples[0].size()));
  for (const auto& sample : samples) {
    for (const float value : sample) onebit::test::put(bytes, value);
    expected += answer(model, session, sample);
  }
  write(name + ".samples", bytes.data(), bytes.size());
  write(name + ".expected", expected.data(), expected.size());
  onebit_program_free(program);
  onebit_session_close(session);
  onebit_model_close(model);
}

}  // namespace

int main(int count, char** words) {
  if (count != 2) {
    std::fprintf(stderr, "usage: cases FOLDER\n");
    return 2;
  }
  const std::string folder = words[1];
  write_case(onebit::test::example(), folder + "/example");
  write_case(onebit::test::strips(), folder + "/strips");
}
