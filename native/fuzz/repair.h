// Makes a mutant's length, checksums and hash right again, so that what is behind them is reached.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/crc32c.h"
#include "base/sha256.h"

namespace onebit::fuzz {

// The hash of the sections that the section table names, written over the value of weights.sha256.
inline void repair_hash(std::vector<uint8_t>& file) {
  Sha256 hash;
  for (size_t entry = 64 + 24; entry < 64 + 4 * 24; entry += 24) {
    uint64_t offset, length;
    std::memcpy(&offset, &file[entry + 8], 8);
    std::memcpy(&length, &file[entry + 16], 8);
    if (offset > file.size() || length > file.size() - offset) return;
    hash.add(file.data() + offset, length);
  }
  const std::string key = "weights.sha256";
  const auto found = std::search(file.begin(), file.end(), key.begin(), key.end());
  if (file.end() - found < static_cast<std::ptrdiff_t>(key.size()) + 64) return;
  const std::string hex = hash.hex();
  std::copy(hex.begin(), hex.end(), found + static_cast<std::ptrdiff_t>(key.size()));
}

inline void repair(std::vector<uint8_t>& file) {
  if (file.size() < 64) return;
  const uint64_t length = file.size();
  std::memcpy(&file[16], &length, 8);
  if (file.size() >= 64 + 4 * 24) repair_hash(file);
  const uint32_t body = crc32c(file.data() + 64, file.size() - 64);
  std::memcpy(&file[24], &body, 4);
  const uint32_t header = crc32c(file.data(), 28);
  std::memcpy(&file[28], &header, 4);
}

}  // namespace onebit::fuzz
