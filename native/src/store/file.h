// All that the store needs of a device: a region of bytes of fixed size that can be read, written in place and synced.
// posix_file.cpp and windows_file.cpp are for computers; a device with bare flash supplies its own; that of the tests
// loses power at any byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace onebit::store {

// Every call succeeds or throws Error (ONEBIT_IO). Until sync() returns, a write may be on the medium in part, in whole
// or not at all, and writes may reach it in another order. The store does not read what it has not synced.
class File {
 public:
  virtual ~File() = default;
  virtual uint64_t size() const = 0;
  virtual void read(uint64_t offset, void* bytes, size_t count) = 0;
  virtual void write(uint64_t offset, const void* bytes, size_t count) = 0;
  virtual void sync() = 0;
};

// Opens a file that exists and locks it. Throws Error: ONEBIT_BUSY if a second process (or a second opening in this
// one) holds the lock, ONEBIT_IO with the system's reason otherwise. The lock goes with the process, whatever ends it.
std::unique_ptr<File> open_file(const std::string& path);

// Makes and locks a file of `size` bytes beside `path`, lets `format` fill it, and then gives it its name: until it is
// whole there is no file called `path`. `format` writes every byte, so that the space is taken for good and a full disk
// cannot stop a later commit half-way. Throws Error if `path` exists.
std::unique_ptr<File> create_file(const std::string& path, uint64_t size, const std::function<void(File&)>& format);

}  // namespace onebit::store
