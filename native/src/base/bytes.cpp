#include "base/bytes.h"

#include <cstring>
#include <new>
#include <utility>

#include "base/input_file.h"

namespace onebit {
namespace {

// A model up to this size is copied: so nothing that happens to its file later, not even on a medium that is pulled
// out, reaches a run. A larger one is mapped, and its pages are shared between processes.
constexpr size_t kMapFrom = size_t{16} << 20;

}  // namespace

void FreeDeleter::operator()(void* memory) const noexcept { ::operator delete (memory, std::align_val_t{kAlignment}); }

AlignedMemory allocate_aligned(size_t size) {
  return AlignedMemory(static_cast<uint8_t*>(::operator new (size, std::align_val_t{kAlignment})));
}

Bytes Bytes::open(const std::string& path) {
  const InputFile file(path);
  Bytes result;
  result.size_ = file.size();
  if (file.size() >= kMapFrom) {
    result.data_ = file.map();
    result.mapped_ = true;
  } else {
    result.copy_ = allocate_pages(file.size());
    file.read(result.copy_.get());
    result.data_ = result.copy_.get();
  }
  return result;
}

Bytes Bytes::from_memory(const void* bytes, size_t size) {
  Bytes result;
  result.size_ = size;
  if (reinterpret_cast<uintptr_t>(bytes) % kAlignment == 0) {
    result.data_ = static_cast<const uint8_t*>(bytes);
  } else {
    result.copy_ = allocate_pages(size);
    std::memcpy(result.copy_.get(), bytes, size);
    result.data_ = result.copy_.get();
  }
  return result;
}

Bytes::Bytes(Bytes&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapped_(std::exchange(other.mapped_, false)),
      copy_(std::move(other.copy_)) {}

Bytes::~Bytes() {
  if (mapped_) InputFile::unmap(data_, size_);
}

}  // namespace onebit
