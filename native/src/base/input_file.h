// A regular file of the operating system, open for reading. Its twins are posix_input_file.cpp and
// windows_input_file.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace onebit {

class InputFile {
 public:
  // `path` is UTF-8. Throws Error if it cannot be opened or is not a regular file.
  explicit InputFile(const std::string& path);
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  ~InputFile();

  size_t size() const { return size_; }

  // Copies all of it to `bytes`. Throws Error.
  void read(uint8_t* bytes) const;

  // The whole file, not empty, as read-only memory, which stays when the file is closed. Throws Error.
  const uint8_t* map() const;
  static void unmap(const uint8_t* bytes, size_t size) noexcept;

 private:
  intptr_t handle_;
  size_t size_ = 0;
};

}  // namespace onebit
