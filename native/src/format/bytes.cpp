#include "format/bytes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "error.h"

namespace onebit {

void FreeDeleter::operator()(void* memory) const noexcept { std::free(memory); }

AlignedMemory allocate_aligned(size_t size) {
  void* memory = nullptr;
  if (::posix_memalign(&memory, kAlignment, size == 0 ? 1 : size) != 0) throw std::bad_alloc();
  return AlignedMemory(static_cast<uint8_t*>(memory));
}

Bytes Bytes::map(const std::string& path) {
  const auto refuse = [](int code) -> Error {
    return {ONEBIT_IO, std::strerror(code), code == ENOENT ? "check the path" : ""};
  };
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe must not block
  if (file < 0) throw refuse(errno);
  struct stat status{};
  const int code = ::fstat(file, &status) == 0 ? 0 : errno;
  Bytes result;
  Error error(ONEBIT_OK, "");
  if (code != 0) {
    error = refuse(code);
  } else if (!S_ISREG(status.st_mode)) {
    error = Error(ONEBIT_IO, "not a regular file", "name an .obn file");
  } else if (status.st_size > 0) {  // the reader refuses an empty one with the other truncated ones
    void* memory = ::mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ, MAP_PRIVATE, file, 0);
    if (memory == MAP_FAILED) {
      error = refuse(errno);
    } else {
      result.data_ = static_cast<const uint8_t*>(memory);
      result.size_ = static_cast<size_t>(status.st_size);
      result.mapped_ = true;
    }
  }
  ::close(file);
  if (error.status != ONEBIT_OK) throw error;
  return result;
}

Bytes Bytes::from_memory(const void* bytes, size_t size) {
  Bytes result;
  result.size_ = size;
  if (reinterpret_cast<uintptr_t>(bytes) % kAlignment == 0) {
    result.data_ = static_cast<const uint8_t*>(bytes);
  } else {
    result.copy_ = allocate_aligned(size);
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
  if (mapped_) ::munmap(const_cast<uint8_t*>(data_), size_);
}

}  // namespace onebit
