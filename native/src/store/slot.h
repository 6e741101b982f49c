// A slot of the store, which holds one commit: header (64 bytes) | payload | zeros. docs/learner.md has the bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "store/file.h"
#include "store/reader.h"
#include "store/writer.h"

namespace onebit::store {

using Bytes = std::vector<uint8_t>;
// Write and read a whole payload, which is never in memory at once.
using Fill = std::function<void(Writer&)>;
using Use = std::function<void(Reader&)>;

constexpr uint64_t kPage = 4096;
constexpr size_t kHeader = 64;

struct Slot {
  enum { blank, unfinished, damaged, intact } state = blank;
  uint64_t sequence = 0;
  uint64_t parent = 0;
  bool erases = false;
  uint32_t crc = 0;  // checksum of all bytes after the header
};

uint64_t slot_bytes(uint64_t payload_size);

// Reads and checks the whole slot at `offset` of the file.
Slot read_slot(File& file, uint64_t offset, uint64_t payload_size);

// Throws Error if the slot is not what read_slot() found; then what `use` read is not valid.
void read_payload(File& file, uint64_t offset, uint64_t payload_size, const Slot& slot, const Use& use);

// Writes all bytes after the header, in parts that end with a sector, and returns their checksum.
uint32_t write_body(File& file, uint64_t offset, uint64_t payload_size, const Fill& payload);
void write_header(File& file, uint64_t offset, const Slot& slot);
void write_zeros(File& file, uint64_t offset, uint64_t count);

// Throws the Error for bytes that changed on the medium.
[[noreturn]] void damaged_state(const char* what);

}  // namespace onebit::store
