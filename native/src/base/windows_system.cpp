#include "base/windows_system.h"

#include "base/error.h"

namespace onebit {

std::wstring wide(const std::string& text) {
  if (text.empty()) return {};
  const int bytes = static_cast<int>(text.size());
  const int length = ::MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), bytes, nullptr, 0);
  if (length == 0) throw Error(ONEBIT_INVALID_ARGUMENT, "the path is not well-formed UTF-8");
  std::wstring result(static_cast<size_t>(length), L'\0');
  ::MultiByteToWideChar(CP_UTF8, 0, text.data(), bytes, result.data(), length);
  return result;
}

std::string system_message(DWORD code) {
  wchar_t buffer[256];
  const DWORD length = ::FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, nullptr, code, 0,
                                        buffer, sizeof buffer / sizeof *buffer, nullptr);
  if (length == 0) return text("Windows error ", code);
  char utf8[3 * sizeof buffer / sizeof *buffer];
  const int bytes =
      ::WideCharToMultiByte(CP_UTF8, 0, buffer, static_cast<int>(length), utf8, sizeof utf8, nullptr, nullptr);
  std::string result(utf8, static_cast<size_t>(bytes));
  result.erase(result.find_last_not_of(" .\r\n") + 1);
  return result;
}

}  // namespace onebit
