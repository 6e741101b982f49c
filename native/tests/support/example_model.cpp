// Writes the example file, for programs that read a model from a path.
#include <fstream>

#include "check.h"
#include "obn_writer.h"

int main(int count, char** words) {
  CHECK(count == 2, "usage: example_model FILE");
  const onebit::test::Buffer file = onebit::test::example().bytes();
  std::ofstream stream(words[1], std::ios::binary);
  stream.write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
  CHECK(stream.flush().good(), "%s", words[1]);
}
