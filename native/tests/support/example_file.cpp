// The example file, for a test in C.
#include <cstdlib>

#include "obn_writer.h"

extern "C" size_t example_file(unsigned char** bytes) {
  const onebit::test::Buffer file = onebit::test::example().bytes();
  *bytes = static_cast<unsigned char*>(std::malloc(file.size()));
  std::memcpy(*bytes, file.data(), file.size());
  return file.size();
}
