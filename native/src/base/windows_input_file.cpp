#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/input_file.h"
#include "base/windows_system.h"

namespace onebit {
namespace {

[[noreturn]] void fail(DWORD code = ::GetLastError()) {
  throw Error(ONEBIT_IO, system_message(code), is_missing(code) ? "check the path" : "");
}

HANDLE handle_of(intptr_t value) { return reinterpret_cast<HANDLE>(value); }

size_t checked_size(HANDLE file) {
  LARGE_INTEGER size;
  if (::GetFileType(file) != FILE_TYPE_DISK) throw Error(ONEBIT_IO, "not a regular file", "name an .obn file");
  if (!::GetFileSizeEx(file, &size)) fail();
  if (static_cast<uint64_t>(size.QuadPart) > std::numeric_limits<size_t>::max() / 2) fail(ERROR_FILE_TOO_LARGE);
  return static_cast<size_t>(size.QuadPart);
}

}  // namespace

// Others may not write to the file while it is open here. Windows lets none shorten it while it is mapped.
InputFile::InputFile(const std::string& path)
    : handle_(reinterpret_cast<intptr_t>(::CreateFileW(wide(path).c_str(), GENERIC_READ,
                                                       FILE_SHARE_READ | FILE_SHARE_DELETE, nullptr, OPEN_EXISTING,
                                                       FILE_ATTRIBUTE_NORMAL, nullptr))) {
  if (handle_of(handle_) == INVALID_HANDLE_VALUE) fail();
  try {
    size_ = checked_size(handle_of(handle_));
  } catch (...) {
    ::CloseHandle(handle_of(handle_));
    throw;
  }
}

InputFile::~InputFile() { ::CloseHandle(handle_of(handle_)); }

void InputFile::read(uint8_t* bytes) const {
  for (size_t done = 0; done < size_;) {
    constexpr size_t kMax = size_t{1} << 30;  // a call counts in 32 bits
    DWORD count = 0;
    if (!::ReadFile(handle_of(handle_), bytes + done, static_cast<DWORD>(std::min(size_ - done, kMax)), &count,
                    nullptr))
      fail();
    if (count == 0) throw Error(ONEBIT_BAD_FILE, "became shorter while it was read", "open it again");
    done += count;
  }
}

const uint8_t* InputFile::map() const {
  const HANDLE mapping = ::CreateFileMappingW(handle_of(handle_), nullptr, PAGE_READONLY, 0, 0, nullptr);
  if (mapping == nullptr) fail();
  const void* memory = ::MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0);
  const DWORD code = ::GetLastError();
  ::CloseHandle(mapping);
  if (memory == nullptr) fail(code);
  return static_cast<const uint8_t*>(memory);
}

void InputFile::unmap(const uint8_t* bytes, size_t) noexcept { ::UnmapViewOfFile(bytes); }

}  // namespace onebit
