// A compiled model: header | steps | outputs | constants and packed weights. It is used in place, so it holds no
// pointers: its steps' addresses of base `weights` and `file` are relative to its first byte. Little-endian.
#pragma once

#include "run/step.h"

namespace onebit {

constexpr uint8_t kProgramMagic[8] = {0x89, 'O', 'B', 'P', '\r', '\n', 0x1A, '\n'};

// Raised with every change of the structs here, of Step, of the weights that the portable kernels read, or of their
// places in their lists.
constexpr uint32_t kProgramVersion = 2;

struct ProgramHeader {
  uint8_t magic[8];
  uint32_t version;
  uint32_t checksum;  // CRC-32C of all other bytes of the program
  uint32_t bytes;     // the program's size
  uint32_t step_count, output_count;
  uint32_t arena_bytes, scratch_bytes;  // the caller's arena holds both, one after the other
  uint32_t input_h, input_w, input_c;
  uint32_t unused[4];
};

struct ProgramOutput {
  Address address;  // in the arena
  uint32_t h, w, c, unused;
};

static_assert(sizeof(ProgramHeader) == 64 && sizeof(Step) == 288 && sizeof(ProgramOutput) == 32,
              "one layout everywhere");

inline const Step* steps_of(const ProgramHeader& header) { return reinterpret_cast<const Step*>(&header + 1); }

inline const ProgramOutput* outputs_of(const ProgramHeader& header) {
  return reinterpret_cast<const ProgramOutput*>(steps_of(header) + header.step_count);
}

// CRC-32C of docs/file-format.md over all of the program but the checksum itself. Its table takes 64 bytes of flash,
// where that of the format's reader would take 8 KiB.
uint32_t program_checksum(const ProgramHeader& header) noexcept;

}  // namespace onebit
