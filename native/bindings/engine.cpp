// The engine's part of the extension.
#include <nanobind/nanobind.h>

#include "format/crc32c.h"

namespace nb = nanobind;

void bind_engine(nb::module_& m) {
  m.def(
      "crc32c",
      [](const nb::bytes& data, uint32_t init) { return onebit::crc32c(data.c_str(), data.size(), init); },
      nb::arg("data"), nb::arg("init") = 0, "CRC-32C of the bytes; init is the checksum of what came before them.");
}
