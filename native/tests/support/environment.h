// setenv, which Windows has under another name.
#pragma once

#include <cstdlib>

namespace onebit::test {

inline void set_environment(const char* name, const char* value) {
#ifdef _WIN32
  _putenv_s(name, value);
#else
  setenv(name, value, 1);
#endif
}

}  // namespace onebit::test
