// Programs, run on the host: the same bits as a session, whatever outputs are wanted; every changed bit is found, and
// what is cut off, misplaced or too small is refused.
#include "graph/program.h"

#include <cstring>
#include <random>

#include "base/crc32c.h"
#include "base/error.h"
#include "graph/session.h"
#include "kernels/autotune.h"
#include "kernels/portable/tables.h"
#include "kernels/registry.h"
#include "onebit/compile.h"
#include "onebit/embedded.h"
#include "support/check.h"
#include "support/obn_writer.h"
#include "support/strips.h"

using namespace onebit;

namespace {

// From bytes that are not aligned, and so copied.
std::shared_ptr<const Model> model_of(const test::FileWriter& writer) {
  test::Buffer file = writer.bytes();
  file.insert(file.begin(), 0);
  return read_model(Bytes::from_memory(file.data() + 1, file.size() - 1));
}

// In a place of its own, whose ends a sanitizer guards.
AlignedMemory copied(const AlignedMemory& program) {
  const size_t bytes = onebit_program_bytes(program.get());
  AlignedMemory copy = allocate_aligned(bytes);
  std::memcpy(copy.get(), program.get(), bytes);
  return copy;
}

// Of each output, by a session on the kernels called `isa`.
std::vector<std::vector<float>> expected(const std::shared_ptr<const Model>& model, const char* isa,
                                         const std::vector<std::string>& names, const std::vector<float>& input) {
  const Kernels& kernels = select_isa(isa)->kernels();
  const auto plan =
      std::make_shared<const Plan>(model, kernels, std::make_shared<const PackedWeights>(*model, kernels), 1, 1, names);
  std::vector<std::vector<float>> outputs;
  std::vector<float*> pointers;
  for (const uint32_t output : plan->outputs)
    outputs.emplace_back(model->values[model->outputs[output].value].elements());
  for (auto& output : outputs) pointers.push_back(output.data());
  Session(plan).run(input.data(), 1, pointers.data());
  return outputs;
}

void answers(const test::FileWriter& writer, const std::vector<std::string>& names) {
  const auto model = model_of(writer);
  const AlignedMemory original = compile(model, names), program = copied(original);
  const size_t bytes = onebit_program_bytes(program.get());
  CHECK(onebit_program_check(program.get(), bytes) == ONEBIT_OK, "a fresh program");
  CHECK(std::memcmp(compile(model, names).get(), original.get(), bytes) == 0, "two compilations differ");
  const onebit_shape shape = onebit_program_input(program.get());
  CHECK(size_t{shape.h} * shape.w * shape.c == model->input_value().elements(), "the input's shape");

  const size_t arena_bytes = onebit_program_arena_bytes(program.get());
  const AlignedMemory arena = allocate_aligned(arena_bytes);
  std::memset(arena.get(), 0xA5, arena_bytes);
  std::mt19937 random(4);
  for (int i = 0; i < 20; ++i) {
    std::vector<float> input(model->input_value().elements());
    for (float& x : input) x = static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
    CHECK(onebit_program_run(program.get(), arena.get(), arena_bytes, input.data()) == ONEBIT_OK, "run");
    for (const char* isa : {"", "reference"}) {
      const auto wanted = expected(model, isa, names, input);
      CHECK(onebit_program_output_count(program.get()) == wanted.size(), "outputs");
      for (size_t k = 0; k < wanted.size(); ++k) {
        const onebit_shape out = onebit_program_output_shape(program.get(), k);
        CHECK(size_t{out.h} * out.w * out.c == wanted[k].size(), "shape of output %zu", k);
        const float* got = onebit_program_output(program.get(), arena.get(), k);
        CHECK(std::memcmp(got, wanted[k].data(), 4 * wanted[k].size()) == 0, "output %zu of sample %d", k, i);
      }
    }
  }
  CHECK(std::memcmp(program.get(), original.get(), bytes) == 0, "a run wrote into the program");
}

void damage() {
  const AlignedMemory program = copied(compile(model_of(test::strips()), {"maps"}));
  const size_t bytes = onebit_program_bytes(program.get());
  CHECK(reinterpret_cast<ProgramHeader*>(program.get())->checksum ==
            crc32c(program.get() + 16, bytes - 16, crc32c(program.get(), 12)),
        "the checksum is not that of the file format");
  for (size_t i = 0; i < bytes; ++i)
    for (int bit = 0; bit < 8; ++bit) {
      program.get()[i] ^= static_cast<uint8_t>(1 << bit);
      CHECK(onebit_program_check(program.get(), bytes) != ONEBIT_OK, "bit %d of byte %zu changed", bit, i);
      program.get()[i] ^= static_cast<uint8_t>(1 << bit);
    }
  CHECK(onebit_program_check(program.get(), bytes) == ONEBIT_OK, "whole again");
  for (size_t size = 0; size < bytes; ++size) {
    const AlignedMemory cut = allocate_aligned(size);
    std::memcpy(cut.get(), program.get(), size);
    CHECK(onebit_program_check(cut.get(), size) == ONEBIT_BAD_FILE, "cut to %zu bytes", size);
  }
  // Checksums made right: counts that do not fit are found all the same.
  auto& header = *reinterpret_cast<ProgramHeader*>(program.get());
  for (uint32_t ProgramHeader::*count : {&ProgramHeader::step_count, &ProgramHeader::output_count}) {
    const ProgramHeader before = header;
    header.*count = 0xFFFFFFFFu;
    header.checksum = program_checksum(header);
    CHECK(onebit_program_check(program.get(), bytes) == ONEBIT_BAD_FILE, "a table that does not fit");
    header = before;
  }
  header.version = kProgramVersion + 1;
  header.checksum = program_checksum(header);
  CHECK(onebit_program_check(program.get(), bytes) == ONEBIT_UNSUPPORTED, "a newer version");
}

void refusals() {
  const auto model = model_of(test::example());
  const AlignedMemory program = compile(model, {});
  const size_t bytes = onebit_program_bytes(program.get()), arena_bytes = onebit_program_arena_bytes(program.get());
  const AlignedMemory arena = allocate_aligned(arena_bytes + 64), partition = allocate_aligned(bytes + 4096);
  const std::vector<float> input(model->input_value().elements() + 1);
  const auto run = [&](const void* p, uint8_t* a, size_t size, const float* x) {
    return onebit_program_run(p, a, size, x);
  };
  CHECK(run(program.get(), arena.get(), arena_bytes - 1, input.data()) == ONEBIT_NO_MEMORY, "a small arena");
  CHECK(run(program.get(), arena.get() + 4, arena_bytes, input.data()) == ONEBIT_INVALID_ARGUMENT, "arena + 4");
  CHECK(run(program.get(), nullptr, arena_bytes, input.data()) == ONEBIT_INVALID_ARGUMENT, "no arena");
  CHECK(run(nullptr, arena.get(), arena_bytes, input.data()) == ONEBIT_INVALID_ARGUMENT, "no program");
  CHECK(run(program.get(), arena.get(), arena_bytes, nullptr) == ONEBIT_INVALID_ARGUMENT, "no input");
  const auto* odd = reinterpret_cast<const float*>(reinterpret_cast<const char*>(input.data()) + 1);
  CHECK(run(program.get(), arena.get(), arena_bytes, odd) == ONEBIT_INVALID_ARGUMENT, "input + 1 byte");
  CHECK(onebit_program_check(program.get() + 16, bytes - 16) == ONEBIT_INVALID_ARGUMENT, "program + 16");
  CHECK(onebit_program_output(program.get(), arena.get(), 2) == nullptr, "output 2");
  CHECK(onebit_program_output_shape(program.get(), 2).c == 0, "shape of output 2");

  std::memset(partition.get(), 0xFF, bytes + 4096);
  CHECK(onebit_program_check(partition.get(), bytes + 4096) == ONEBIT_BAD_FILE, "erased flash");
  std::memcpy(partition.get(), program.get(), bytes);
  CHECK(onebit_program_check(partition.get(), bytes + 4096) == ONEBIT_OK, "a program in a larger partition");

  test::FileWriter echo = test::strips();
  echo.outputs.push_back({0, "echo"});
  try {
    compile(model_of(echo), {});
    CHECK(false, "an output that is the input was compiled");
  } catch (const Error& error) {
    CHECK(error.status == ONEBIT_UNSUPPORTED && error.message.find("'echo'") != std::string::npos, "echo");
  }
}

void c_api() {
  const test::Buffer file = test::example().bytes();
  onebit_model* model = nullptr;
  CHECK(onebit_model_open_memory(file.data(), file.size(), &model, nullptr) == ONEBIT_OK, "open");
  void* program = nullptr;
  size_t size = 0;
  const char* const names[] = {"logits"};
  CHECK(onebit_model_compile(model, names, 1, &program, &size, nullptr) == ONEBIT_OK, "compile");
  CHECK(onebit_program_check(program, size) == ONEBIT_OK && onebit_program_output_count(program) == 1, "check");
  onebit_program_free(program);
  const char* const wrong[] = {"boxes"};
  onebit_error error;
  CHECK(onebit_model_compile(model, wrong, 1, &program, &size, &error) == ONEBIT_INVALID_ARGUMENT, "no such output");
  CHECK(program == nullptr && std::strstr(error.hint, "logits") != nullptr, "%s", error.hint);
  CHECK(onebit_model_compile(model, nullptr, 0, nullptr, &size, &error) == ONEBIT_INVALID_ARGUMENT, "null");
  onebit_program_free(nullptr);
  onebit_model_close(model);
}

// Strips of one row of the pool: three rows of the convolution at most are there at once.
void strip_memory() {
  const AlignedMemory program = compile(model_of(test::strips()), {});
  const auto& header = *reinterpret_cast<const ProgramHeader*>(program.get());
  CHECK(header.scratch_bytes == (3 * 7 * 5 * 4 + 63) / 64 * 64, "%u bytes", header.scratch_bytes);
}

// Which kernel a shape takes, and the layout of the weights that it reads, are part of the format: a device that was
// built before a change of it must refuse what is compiled after.
void layout() {
  constexpr uint32_t of_version_2 = 0x93bcb922u;
  const Kernels& kernels = portable::kernels();
  uint32_t checksum = 0;
  const auto add = [&](const auto& list, const ConvShape& shape, auto... weight) {
    const int32_t place = choose_kernel(list, shape);
    const size_t bytes = list[place].pack_bytes(shape);
    const AlignedMemory packed = allocate_aligned(bytes);
    list[place].pack(shape, weight..., packed.get());
    checksum = crc32c(packed.get(), bytes, crc32c(&place, sizeof place, checksum));
  };
  const int32_t shapes[][3] = {{70, 45, 1}, {64, 96, 2}, {40, 40, 40}, {30, 20, 5}};  // in, out, groups
  for (const auto& [in, out, groups] : shapes) {
    const ConvShape s = {1, 6, 6, in, 4, 4, out, 3, 3, 1, 1, 0, 0, 1, 1, groups};
    const int32_t channels = in / groups, words = (channels + 31) / 32;
    std::vector<float> floats;
    std::vector<uint32_t> bits;
    std::vector<int8_t> bytes;
    for (int32_t i = 0; i < out * 9 * channels; ++i) floats.push_back(static_cast<float>(i));
    for (int32_t i = 0; i < out * 9 * channels; ++i) bytes.push_back(static_cast<int8_t>(i % 255 - 127));
    for (int32_t i = 0; i < out * 9 * words; ++i)
      bits.push_back(i % words == words - 1 && channels % 32 != 0 ? 1u : static_cast<uint32_t>(i) * 2654435761u);
    add(kernels.float_conv, s, floats.data());
    add(kernels.binary_conv, s, bits.data());
    add(kernels.int8_conv, s, 7, bytes.data());
  }
  CHECK(kProgramVersion == 2 && checksum == of_version_2,
        "the checksum of the kernels' places and packed weights is 0x%08x: if they changed, raise "
        "kProgramVersion, and state it here",
        checksum);
}

}  // namespace

int main() {
  layout();
  answers(test::example(), {});
  answers(test::example(), {"features"});
  answers(test::strips(), {});
  answers(test::strips(), {"maps"});
  damage();
  refusals();
  c_api();
  strip_memory();
}
