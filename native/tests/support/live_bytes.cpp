// The bytes that a test holds on the heap: each block begins with its size. In a file of its own, as allocations.cpp
// is.
#include "live_bytes.h"

#include <cstdlib>
#include <new>

std::atomic<uint64_t> live_bytes{0};

namespace {
constexpr std::size_t kBefore = alignof(std::max_align_t);
}

void* operator new(std::size_t size) {
  auto* block = static_cast<unsigned char*>(std::malloc(size + kBefore));
  if (block == nullptr) throw std::bad_alloc();
  *reinterpret_cast<std::size_t*>(block) = size;
  live_bytes += size;
  return block + kBefore;
}
void operator delete(void* memory) noexcept {
  if (memory == nullptr) return;
  auto* block = static_cast<unsigned char*>(memory) - kBefore;
  live_bytes -= *reinterpret_cast<std::size_t*>(block);
  std::free(block);
}
void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }
