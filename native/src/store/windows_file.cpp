// File over Windows calls: overlapped offsets, FlushFileBuffers, LockFileEx, MoveFileExW.
#include <algorithm>
#include <string>

#include "base/error.h"
#include "base/windows_system.h"
#include "store/file.h"

namespace onebit::store {
namespace {

[[noreturn]] void fail(const std::string& what, DWORD code = ::GetLastError()) {
  const bool full = code == ERROR_DISK_FULL || code == ERROR_HANDLE_DISK_FULL;
  throw Error(ONEBIT_IO, text(what, ": ", system_message(code)),
              full               ? "free some space and try again"
              : is_missing(code) ? "name a folder that exists"
                                 : "");
}

[[noreturn]] void refuse_existing(const std::string& path) {
  throw Error(ONEBIT_INVALID_ARGUMENT, text(path, " exists already"), "open it, or name another place");
}

// The offset at which a call reads, writes or locks.
OVERLAPPED at(uint64_t offset) {
  OVERLAPPED place{};
  place.Offset = static_cast<DWORD>(offset);
  place.OffsetHigh = static_cast<DWORD>(offset >> 32);
  return place;
}

class WindowsFile : public File {
 public:
  WindowsFile(const std::string& path, DWORD disposition)
      : path_(path),
        handle_(::CreateFileW(wide(path).c_str(), GENERIC_READ | GENERIC_WRITE,
                              FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr, disposition,
                              FILE_ATTRIBUTE_NORMAL, nullptr)) {
    if (handle_ == INVALID_HANDLE_VALUE) fail(path_);
    try {
      lock();
      LARGE_INTEGER size;
      if (!::GetFileSizeEx(handle_, &size)) fail(path_);
      size_ = static_cast<uint64_t>(size.QuadPart);
    } catch (...) {
      ::CloseHandle(handle_);
      throw;
    }
  }
  ~WindowsFile() override { ::CloseHandle(handle_); }
  WindowsFile(const WindowsFile&) = delete;
  WindowsFile& operator=(const WindowsFile&) = delete;

  uint64_t size() const override { return size_; }

  void read(uint64_t offset, void* bytes, size_t count) override {
    for (auto* to = static_cast<char*>(bytes); count;) {
      OVERLAPPED place = at(offset);
      DWORD done = 0;
      if (!::ReadFile(handle_, to, part(count), &done, &place) && ::GetLastError() != ERROR_HANDLE_EOF) fail(path_);
      if (done == 0) throw Error(ONEBIT_BAD_FILE, text(path_, " became shorter while it was read"));
      to += done, offset += done, count -= done;
    }
  }

  void write(uint64_t offset, const void* bytes, size_t count) override {
    for (auto* from = static_cast<const char*>(bytes); count;) {
      OVERLAPPED place = at(offset);
      DWORD done = 0;
      if (!::WriteFile(handle_, from, part(count), &done, &place)) fail(path_);
      from += done, offset += done, count -= done;
    }
  }

  void sync() override {
    if (!::FlushFileBuffers(handle_)) fail(path_);
  }

  void resize(uint64_t size) {
    for (const uint64_t end : {uint64_t{0}, size}) {
      LARGE_INTEGER place;
      place.QuadPart = static_cast<LONGLONG>(end);
      if (!::SetFilePointerEx(handle_, place, nullptr, FILE_BEGIN) || !::SetEndOfFile(handle_)) fail(path_);
    }
    size_ = size;
  }

 private:
  // The count of a call has 32 bits.
  static DWORD part(size_t count) { return static_cast<DWORD>(std::min(count, size_t{1} << 30)); }

  // One byte far beyond the end, because a locked byte cannot be read by a process that copies the file.
  void lock() {
    OVERLAPPED place = at(uint64_t{1} << 62);
    if (::LockFileEx(handle_, LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &place)) return;
    const DWORD code = ::GetLastError();
    if (code != ERROR_LOCK_VIOLATION && code != ERROR_IO_PENDING) fail(path_, code);
    throw Error(ONEBIT_BUSY, text(path_, " is in use by another learner"),
                "close the other one, or wait until it is done");
  }

  std::string path_;
  HANDLE handle_;
  uint64_t size_ = 0;
};

}  // namespace

std::unique_ptr<File> open_file(const std::string& path) { return std::make_unique<WindowsFile>(path, OPEN_EXISTING); }

std::unique_ptr<File> create_file(const std::string& path, uint64_t size, const std::function<void(File&)>& format) {
  if (::GetFileAttributesW(wide(path).c_str()) != INVALID_FILE_ATTRIBUTES) refuse_existing(path);
  const std::string part = path + ".part";
  auto file = std::make_unique<WindowsFile>(part, OPEN_ALWAYS);
  try {
    file->resize(size);
    format(*file);
    file->sync();
    if (!::MoveFileExW(wide(part).c_str(), wide(path).c_str(), MOVEFILE_WRITE_THROUGH)) {
      if (const DWORD code = ::GetLastError(); code != ERROR_ALREADY_EXISTS) fail(path, code);
      refuse_existing(path);
    }
  } catch (...) {
    ::DeleteFileW(wide(part).c_str());
    throw;
  }
  return file;
}

}  // namespace onebit::store
