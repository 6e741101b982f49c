// File over POSIX calls: pread, pwrite, fsync, flock, rename.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/error.h"
#include "store/file.h"

namespace onebit::store {
namespace {

[[noreturn]] void fail(const std::string& what, int code = errno) {
  throw Error(ONEBIT_IO, text(what, ": ", std::strerror(code)),
              code == ENOSPC   ? "free some space and try again"
              : code == ENOENT ? "name a folder that exists"
                               : "");
}

// fsync; on macOS, whose fsync leaves data in the disk's own cache, F_FULLFSYNC.
int flush(int handle) {
#ifdef F_FULLFSYNC
  if (::fcntl(handle, F_FULLFSYNC) == 0) return 0;  // not every file system has it
#endif
  return ::fsync(handle);
}

class PosixFile : public File {
 public:
  PosixFile(const std::string& path, int flags)
      : path_(path), handle_(::open(path.c_str(), flags | O_RDWR | O_CLOEXEC, 0666)) {
    if (handle_ < 0) fail(path_);
    struct stat status {};
    if (::flock(handle_, LOCK_EX | LOCK_NB) != 0) {
      const int code = errno;
      ::close(handle_);
      if (code != EWOULDBLOCK) fail(path_, code);
      throw Error(ONEBIT_BUSY, text(path, " is in use by another learner"),
                  "close the other one, or wait until it is done");
    }
    if (::fstat(handle_, &status) != 0) {
      const int code = errno;
      ::close(handle_);
      fail(path_, code);
    }
    size_ = static_cast<uint64_t>(status.st_size);
  }
  ~PosixFile() override { ::close(handle_); }
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  uint64_t size() const override { return size_; }

  void read(uint64_t offset, void* bytes, size_t count) override {
    for (auto* to = static_cast<char*>(bytes); count;) {
      const ssize_t done = ::pread(handle_, to, count, static_cast<off_t>(offset));
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) fail(path_);
      if (done == 0) throw Error(ONEBIT_BAD_FILE, text(path_, " became shorter while it was read"));
      to += done, offset += static_cast<uint64_t>(done), count -= static_cast<size_t>(done);
    }
  }

  void write(uint64_t offset, const void* bytes, size_t count) override {
    for (auto* from = static_cast<const char*>(bytes); count;) {
      const ssize_t done = ::pwrite(handle_, from, count, static_cast<off_t>(offset));
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) fail(path_);
      from += done, offset += static_cast<uint64_t>(done), count -= static_cast<size_t>(done);
    }
  }

  void sync() override {
    if (flush(handle_) != 0) fail(path_);
  }

  void resize(uint64_t size) {
    if (::ftruncate(handle_, 0) != 0 || ::ftruncate(handle_, static_cast<off_t>(size)) != 0) fail(path_);
    size_ = size;
  }

 private:
  std::string path_;
  int handle_;
  uint64_t size_ = 0;
};

void sync_folder(const std::string& path) {
  const auto slash = path.find_last_of('/');
  const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  const int handle = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (handle < 0) fail(folder);
  const int result = flush(handle);
  const int code = errno;
  ::close(handle);
  if (result != 0) fail(folder, code);
}

}  // namespace

std::unique_ptr<File> open_file(const std::string& path) { return std::make_unique<PosixFile>(path, 0); }

std::unique_ptr<File> create_file(const std::string& path, uint64_t size, const std::function<void(File&)>& format) {
  const auto refuse_existing = [&path] {
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0) {
      throw Error(ONEBIT_INVALID_ARGUMENT, text(path, " exists already"), "open it, or name another place");
    }
  };
  refuse_existing();
  const std::string part = path + ".part";
  auto file = std::make_unique<PosixFile>(part, O_CREAT);
  try {
    file->resize(size);
    format(*file);
    file->sync();
    refuse_existing();
    if (::rename(part.c_str(), path.c_str()) != 0) fail(path);
  } catch (...) {
    ::unlink(part.c_str());
    throw;
  }
  sync_folder(path);
  return file;
}

}  // namespace onebit::store
