// What all files of onebit need from Windows: texts in its own encoding. Included by windows_*.cpp alone.
#pragma once

#ifndef NOMINMAX
#define NOMINMAX
#endif
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>

#include <string>

namespace onebit {

// UTF-8 to UTF-16. Throws Error (ONEBIT_INVALID_ARGUMENT) if it is not well-formed.
std::wstring wide(const std::string& text);

// The system's text for an error code, in UTF-8.
std::string system_message(DWORD code);

// No such file or folder.
inline bool is_missing(DWORD code) { return code == ERROR_FILE_NOT_FOUND || code == ERROR_PATH_NOT_FOUND; }

}  // namespace onebit
