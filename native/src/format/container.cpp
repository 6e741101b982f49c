#include "base/crc32c.h"
#include "format/sections.h"

namespace onebit {
namespace {

constexpr uint8_t kMagic[8] = {0x89, 'O', 'B', 'N', '\r', '\n', 0x1A, '\n'};
constexpr uint32_t kVersion = 1;
constexpr uint64_t kHeaderSize = 64;
constexpr uint64_t kEntrySize = 24;
constexpr const char* kKinds[] = {"META", "GRPH", "TNSR", "DATA"};
constexpr uint32_t kSectionCount = 4;

void check_header(const Bytes& bytes) {
  const uint8_t* data = bytes.data();
  if (bytes.size() == 0) bad_file("the file is empty");
  if (bytes.size() < sizeof kMagic || std::memcmp(data, kMagic, sizeof kMagic) != 0)
    throw Error(ONEBIT_BAD_FILE, "not an .obn file: it does not begin with the format's magic number",
                "make one with: onebit export CHECKPOINT -o M.obn");
  if (bytes.size() < kHeaderSize) bad_file("truncated: ", bytes.size(), " bytes, less than a header");
  Cursor header("header", data + sizeof kMagic, kHeaderSize - sizeof kMagic);
  const uint32_t version = header.u32();
  const uint32_t sections = header.u32();
  const uint64_t length = header.u64();
  const uint32_t body_crc = header.u32();
  const uint32_t header_crc = header.u32();
  if (header_crc != crc32c(data, 28)) bad_file("the header is damaged: its checksum does not match");
  if (version != kVersion)
    throw Error(ONEBIT_UNSUPPORTED, text("format version ", version, ", and this reader knows version ", kVersion),
                "update onebit, or export the model with this version");
  if (sections != kSectionCount) bad_file("header: ", sections, " sections instead of ", kSectionCount);
  if (length != bytes.size())
    bad_file(length > bytes.size() ? "truncated" : "oversized", ": ", bytes.size(), " bytes, and its header says ",
             length);
  if (!is_zero(data + 32, 32)) bad_file("header: the bytes from 32 to 63 are not zero");
  if (body_crc != crc32c(data + kHeaderSize, bytes.size() - kHeaderSize))
    bad_file("damaged: the checksum does not match");
}

}  // namespace

Sections read_sections(const Bytes& bytes) {
  check_header(bytes);
  const uint64_t size = bytes.size();
  Cursor table("section table", bytes.data() + kHeaderSize, size - kHeaderSize);
  Section sections[kSectionCount];
  uint64_t end = kHeaderSize + kSectionCount * kEntrySize;
  for (uint32_t i = 0; i < kSectionCount; ++i) {
    const uint8_t* kind = table.take(4);
    const uint32_t zero = table.u32();
    const uint64_t offset = table.u64();
    const uint64_t length = table.u64();
    const std::string place = text("section table: entry ", i);
    if (std::memcmp(kind, kKinds[i], 4) != 0) bad_file(place, " is not ", kKinds[i]);
    if (zero != 0) bad_file(place, ": the bytes after the kind are not zero");
    if (offset % kAlignment != 0) bad_file(place, ": offset ", offset, " is not a multiple of ", kAlignment);
    if (offset < end) bad_file(place, ": ", kKinds[i], " overlaps what stands before it");
    if (offset > size || length > size - offset) bad_file(place, ": ", kKinds[i], " ends after the end of the file");
    if (!is_zero(bytes.data() + end, offset - end)) bad_file("the gap before ", kKinds[i], " is not zero");
    sections[i] = {kKinds[i], bytes.data() + offset, length};
    end = offset + length;
  }
  if (!is_zero(bytes.data() + end, size - end)) bad_file("the bytes after DATA are not zero");
  return {sections[0], sections[1], sections[2], sections[3]};
}

}  // namespace onebit
