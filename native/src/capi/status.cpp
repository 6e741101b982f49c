#include "capi/status.h"

#include <cstring>

#include "base/crc32c.h"

namespace onebit {
namespace {

// Copies what fits and cuts before a character that does not fit whole.
void copy_text(std::string_view text, char* buffer, size_t size) noexcept {
  size_t length = text.size() < size ? text.size() : size - 1;
  if (length < text.size())
    while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80) --length;
  if (length > 0) std::memcpy(buffer, text.data(), length);
  buffer[length] = '\0';
}

}  // namespace

onebit_status report(onebit_status status, std::string_view message, std::string_view hint,
                     onebit_error* error) noexcept {
  if (error != nullptr) {
    copy_text(message, error->message, sizeof error->message);
    copy_text(hint, error->hint, sizeof error->hint);
  }
  return status;
}

}  // namespace onebit

uint32_t onebit_crc32c(const void* bytes, size_t size, uint32_t initial) noexcept {
  return onebit::crc32c(bytes, size, initial);
}
