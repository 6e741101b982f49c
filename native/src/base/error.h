// The one exception inside the native code; src/capi/status.cpp turns it into a status and an onebit_error.
#pragma once

#include <exception>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#include "onebit/onebit.h"

namespace onebit {

class Error : public std::exception {
 public:
  Error(onebit_status status, std::string message, std::string hint = "")
      : status(status), message(std::move(message)), hint(std::move(hint)) {}
  const char* what() const noexcept override { return message.c_str(); }

  onebit_status status;
  std::string message;
  std::string hint;
};

// The parts written one after another.
template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream stream;
  (stream << ... << parts);
  return stream.str();
}

// A name from a file in quotes; its control characters are not passed on to a terminal.
inline std::string quoted(std::string_view name) {
  std::string result = "'";
  for (const char c : name) result += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  return result + "'";
}

}  // namespace onebit
