// Files as the reader opens them: small ones copied, large ones mapped, names in UTF-8, and what is refused.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "support/check.h"

using namespace onebit;
namespace fs = std::filesystem;

namespace {

constexpr size_t kLarge = (size_t{16} << 20) + 5;

struct Folder {
  Folder() : path(fs::u8path("input_file_täst_" + std::to_string(std::random_device{}()))) {
    fs::create_directory(path);
  }
  ~Folder() { fs::remove_all(path); }
  fs::path path;
};

// `size` bytes, of which the last is 7 and the others are 0; sparse where the file system can.
std::string file_of(const Folder& folder, size_t size) {
  const fs::path path = folder.path / "model.obn";
  std::ofstream stream(path, std::ios::binary);
  if (size > 0) stream.seekp(static_cast<std::streamoff>(size - 1)).put(7);
  stream.close();
  CHECK(fs::file_size(path) == size, "%zu bytes were not written", size);
  return path.u8string();
}

void check_opened(const Folder& folder, size_t size) {
  const std::string path = file_of(folder, size);
  const Bytes bytes = Bytes::open(path);
  CHECK(bytes.size() == size && reinterpret_cast<uintptr_t>(bytes.data()) % kAlignment == 0, "%zu", size);
  CHECK(size == 0 || bytes.data()[size - 1] == 7, "%zu", size);
  CHECK(size < 2 || (bytes.data()[0] == 0 && bytes.data()[size / 2] == 0), "%zu", size);
}

void a_small_file_may_change_while_it_is_open(const Folder& folder) {
  const std::string path = file_of(folder, 9000);
  const Bytes bytes = Bytes::open(path);
  fs::resize_file(fs::u8path(path), 0);
  CHECK(bytes.size() == 9000 && bytes.data()[8999] == 7 && bytes.data()[0] == 0, "the bytes went with the file");
}

void a_large_file_may_be_replaced_while_it_is_open(const Folder& folder) {
  const std::string path = file_of(folder, kLarge);
  const Bytes bytes = Bytes::open(path);
  const fs::path other = folder.path / "other.obn";
  std::ofstream(other).put(1);
  std::error_code code;
  fs::rename(other, fs::u8path(path), code);  // Windows may refuse it
  CHECK(bytes.data()[kLarge - 1] == 7, "the bytes went with the name");
}

void check_refused(const std::string& path, const char* hint) {
  try {
    Bytes::open(path);
  } catch (const Error& error) {
    CHECK(error.status == ONEBIT_IO && !error.message.empty(), "%s: %s", path.c_str(), error.what());
    CHECK(error.hint == hint, "%s: %s", path.c_str(), error.hint.c_str());
    return;
  }
  CHECK(false, "%s was opened", path.c_str());
}

}  // namespace

int main() {
  const Folder folder;
  for (const size_t size : {size_t{0}, size_t{1}, size_t{4097}, kLarge - 6, kLarge}) check_opened(folder, size);
  a_small_file_may_change_while_it_is_open(folder);
  a_large_file_may_be_replaced_while_it_is_open(folder);
  check_refused((folder.path / "none.obn").u8string(), "check the path");
#ifdef _WIN32
  check_refused("NUL", "name an .obn file");
  check_refused(folder.path.u8string(), "");
#else
  check_refused("/dev/null", "name an .obn file");
  check_refused(folder.path.u8string(), "name an .obn file");
#endif
}
