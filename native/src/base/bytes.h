// The bytes of a model: a file or memory, aligned to 64.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/pages.h"

namespace onebit {

constexpr size_t kAlignment = 64;

struct FreeDeleter {
  void operator()(void* memory) const noexcept;
};
using AlignedMemory = std::unique_ptr<uint8_t, FreeDeleter>;

// `size` bytes, not initialised, aligned to kAlignment; throws std::bad_alloc.
AlignedMemory allocate_aligned(size_t size);

class Bytes {
 public:
  // A regular file: copied if it is small, else mapped read-only. Throws Error.
  static Bytes open(const std::string& path);
  // Uses aligned memory in place and copies other memory.
  static Bytes from_memory(const void* bytes, size_t size);

  Bytes(Bytes&& other) noexcept;
  Bytes& operator=(Bytes&&) = delete;
  ~Bytes();

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  Bytes() = default;

  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
  bool mapped_ = false;
  Pages copy_;
};

}  // namespace onebit
