// CRC-32C as docs/file-format.md states it: Castagnoli, reflected, initial value and final xor 0xFFFFFFFF.
#pragma once

#include <cstddef>
#include <cstdint>

namespace onebit {

// The checksum of `size` bytes; `initial` is the checksum of what came before them (0 for nothing).
uint32_t crc32c(const void* bytes, size_t size, uint32_t initial = 0) noexcept;

}  // namespace onebit
