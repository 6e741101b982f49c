#include "run/program.h"

#include <cstddef>
#include <cstring>

#include "kernels/portable/tables.h"
#include "onebit/embedded.h"

namespace onebit {
namespace {

constexpr uint32_t kPolynomial = 0x82F63B78u;

// The effect of half a byte on the checksum.
struct HalfByteTable {
  constexpr HalfByteTable() : effect() {
    for (uint32_t half = 0; half < 16; ++half) {
      uint32_t value = half;
      for (int bit = 0; bit < 4; ++bit) value = (value >> 1) ^ ((value & 1u) ? kPolynomial : 0u);
      effect[half] = value;
    }
  }
  uint32_t effect[16];
};
constexpr HalfByteTable kTable;

uint32_t add_bytes(uint32_t crc, const uint8_t* bytes, size_t size) noexcept {
  for (const uint8_t* end = bytes + size; bytes < end; ++bytes) {
    crc ^= *bytes;
    crc = (crc >> 4) ^ kTable.effect[crc & 15u];
    crc = (crc >> 4) ^ kTable.effect[crc & 15u];
  }
  return crc;
}

const ProgramHeader& header_of(const void* program) noexcept { return *static_cast<const ProgramHeader*>(program); }

bool is_aligned(const void* address, size_t alignment) noexcept {
  return address != nullptr && reinterpret_cast<uintptr_t>(address) % alignment == 0;
}

bool tables_fit(const ProgramHeader& header) noexcept {
  const uint64_t steps = uint64_t{header.step_count} * sizeof(Step);
  const uint64_t outputs = uint64_t{header.output_count} * sizeof(ProgramOutput);
  return sizeof(ProgramHeader) + steps + outputs <= header.bytes;
}

}  // namespace

uint32_t program_checksum(const ProgramHeader& header) noexcept {
  constexpr size_t before = offsetof(ProgramHeader, checksum), after = before + sizeof header.checksum;
  const auto* bytes = reinterpret_cast<const uint8_t*>(&header);
  return ~add_bytes(add_bytes(~0u, bytes, before), bytes + after, header.bytes - after);
}

}  // namespace onebit

using onebit::header_of;
using onebit::ProgramHeader;
using onebit::Step;

onebit_status onebit_program_check(const void* program, size_t size) noexcept {
  if (!onebit::is_aligned(program, ONEBIT_PROGRAM_ALIGNMENT)) return ONEBIT_INVALID_ARGUMENT;
  if (size < sizeof(ProgramHeader)) return ONEBIT_BAD_FILE;
  const ProgramHeader& header = header_of(program);
  if (std::memcmp(header.magic, onebit::kProgramMagic, sizeof header.magic) != 0) return ONEBIT_BAD_FILE;
  if (header.version != onebit::kProgramVersion) return ONEBIT_UNSUPPORTED;
  if (header.bytes > size || !onebit::tables_fit(header)) return ONEBIT_BAD_FILE;
  return onebit::program_checksum(header) == header.checksum ? ONEBIT_OK : ONEBIT_BAD_FILE;
}

size_t onebit_program_bytes(const void* program) noexcept { return header_of(program).bytes; }

size_t onebit_program_arena_bytes(const void* program) noexcept {
  return size_t{header_of(program).arena_bytes} + header_of(program).scratch_bytes;
}

onebit_shape onebit_program_input(const void* program) noexcept {
  const ProgramHeader& header = header_of(program);
  return {header.input_h, header.input_w, header.input_c};
}

size_t onebit_program_output_count(const void* program) noexcept { return header_of(program).output_count; }

onebit_shape onebit_program_output_shape(const void* program, size_t index) noexcept {
  if (index >= header_of(program).output_count) return {0, 0, 0};
  const onebit::ProgramOutput& output = onebit::outputs_of(header_of(program))[index];
  return {output.h, output.w, output.c};
}

onebit_status onebit_program_run(const void* program, void* arena, size_t arena_bytes, const float* input) noexcept {
  if (!onebit::is_aligned(program, ONEBIT_PROGRAM_ALIGNMENT) || !onebit::is_aligned(arena, ONEBIT_PROGRAM_ALIGNMENT) ||
      !onebit::is_aligned(input, alignof(float)))
    return ONEBIT_INVALID_ARGUMENT;
  if (arena_bytes < onebit_program_arena_bytes(program)) return ONEBIT_NO_MEMORY;
  const ProgramHeader& header = header_of(program);
  auto* memory = static_cast<uint8_t*>(arena);
  const auto* constants = static_cast<const uint8_t*>(program);
  const onebit::Bases bases{memory, memory + header.arena_bytes, constants, constants,
                            reinterpret_cast<const uint8_t*>(input)};
  const onebit::Kernels& kernels = onebit::portable::kernels();
  const Step* end = onebit::steps_of(header) + header.step_count;
  for (const Step* step = onebit::steps_of(header); step < end; ++step) {
    onebit::run_step(step, kernels, bases, 1, 0, onebit::step_units(step, kernels, 1));
    if (step->block_rows > 0) ++step;  // the pool ran with it
  }
  return ONEBIT_OK;
}

const float* onebit_program_output(const void* program, const void* arena, size_t index) noexcept {
  if (index >= header_of(program).output_count) return nullptr;
  const onebit::Address& address = onebit::outputs_of(header_of(program))[index].address;
  return reinterpret_cast<const float*>(static_cast<const uint8_t*>(arena) + address.offset);
}
