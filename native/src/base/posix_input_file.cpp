#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/input_file.h"

namespace onebit {
namespace {

[[noreturn]] void fail(int code = errno) {
  throw Error(ONEBIT_IO, std::strerror(code), code == ENOENT ? "check the path" : "");
}

size_t checked_size(int file) {
  struct stat status {};
  if (::fstat(file, &status) != 0) fail();
  if (!S_ISREG(status.st_mode)) throw Error(ONEBIT_IO, "not a regular file", "name an .obn file");
  const auto size = static_cast<uint64_t>(status.st_size);
  if (size > std::numeric_limits<size_t>::max() / 2) fail(EFBIG);
  return static_cast<size_t>(size);
}

}  // namespace

InputFile::InputFile(const std::string& path)
    : handle_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {  // opening a pipe must not block
  if (handle_ < 0) fail();
  try {
    size_ = checked_size(static_cast<int>(handle_));
  } catch (...) {
    ::close(static_cast<int>(handle_));
    throw;
  }
}

InputFile::~InputFile() { ::close(static_cast<int>(handle_)); }

void InputFile::read(uint8_t* bytes) const {
  for (size_t done = 0; done < size_;) {
    constexpr size_t kMax = size_t{1} << 30;  // some systems refuse more at once
    const ssize_t count =
        ::pread(static_cast<int>(handle_), bytes + done, std::min(size_ - done, kMax), static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail();
    if (count == 0) throw Error(ONEBIT_BAD_FILE, "became shorter while it was read", "open it again");
    done += static_cast<size_t>(count);
  }
}

const uint8_t* InputFile::map() const {
  void* memory = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, static_cast<int>(handle_), 0);
  if (memory == MAP_FAILED) fail();
  return static_cast<const uint8_t*>(memory);
}

void InputFile::unmap(const uint8_t* bytes, size_t size) noexcept { ::munmap(const_cast<uint8_t*>(bytes), size); }

}  // namespace onebit
