#include "store/slot.h"

#include <algorithm>
#include <cstring>

#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/error.h"

namespace onebit::store {
namespace {

constexpr size_t kPart = 65536;                       // in memory at a time
constexpr uint64_t kMaxSequence = uint64_t{1} << 62;  // so that later commits have one too
constexpr char kPlace[] = "the learner's state";
constexpr char kSlotMagic[4] = {'S', 'L', 'O', 'T'};

// Whether a sector of flash was erased and not written again.
bool is_erased_flash(const uint8_t* bytes, size_t count) {
  return std::all_of(bytes, bytes + count, [](uint8_t byte) { return byte == 0xFF; });
}

}  // namespace

void damaged_state(const char* what) {
  throw Error(ONEBIT_BAD_FILE, text("the learner's state is damaged: ", what),
              "restore the file from a copy, or make a new learner");
}

uint64_t slot_bytes(uint64_t payload_size) { return (kHeader + payload_size + kPage - 1) / kPage * kPage; }

Slot read_slot(File& file, uint64_t offset, uint64_t payload_size) {
  uint8_t header[kHeader];
  file.read(offset, header, kHeader);
  Bytes part(kPart);
  uint32_t crc = 0;
  bool zeros = true;
  for (uint64_t at = kHeader; at < slot_bytes(payload_size);) {
    const auto count = static_cast<size_t>(std::min<uint64_t>(kPart, slot_bytes(payload_size) - at));
    file.read(offset + at, part.data(), count);
    crc = crc32c(part.data(), count, crc);
    zeros = zeros && is_zero(part.data(), count);
    at += count;
  }
  Slot slot;
  if (is_zero(header, kHeader) || is_erased_flash(header, kHeader)) {
    slot.state = zeros && is_zero(header, kHeader) ? Slot::blank : Slot::unfinished;
    return slot;
  }
  slot.state = Slot::damaged;
  Cursor cursor(kPlace, header, kHeader);
  const uint8_t* magic = cursor.take(sizeof kSlotMagic);
  const auto erases = cursor.u32();
  const auto sequence = cursor.u64();
  const auto parent = cursor.u64();
  const auto payload_crc = cursor.u32();
  const uint32_t header_crc = Cursor(kPlace, header + kHeader - 4, 4).u32();
  if (header_crc == crc32c(header, kHeader - 4) && std::memcmp(magic, kSlotMagic, sizeof kSlotMagic) == 0 &&
      sequence != 0 && sequence <= kMaxSequence && parent < sequence && erases <= 1 && payload_crc == crc)
    slot = {Slot::intact, sequence, parent, erases == 1, crc};
  return slot;
}

void read_payload(File& file, uint64_t offset, uint64_t payload_size, const Slot& slot, const Use& use) {
  uint64_t at = offset + kHeader;
  uint32_t crc = 0;
  const auto next = [&](uint8_t* bytes, size_t count) {
    file.read(at, bytes, count);
    crc = crc32c(bytes, count, crc);
    at += count;
  };
  Reader in(payload_size, kPart, next);
  use(in);
  Bytes rest(static_cast<size_t>(in.left()));
  in.raw(rest.data(), rest.size());
  rest.resize(static_cast<size_t>(slot_bytes(payload_size) - kHeader - payload_size));
  next(rest.data(), rest.size());
  if (crc != slot.crc) damaged_state("a commit does not match its checksum any more");
}

uint32_t write_body(File& file, uint64_t offset, uint64_t payload_size, const Fill& payload) {
  const uint64_t end = offset + slot_bytes(payload_size);
  uint64_t at = offset + kHeader;
  uint32_t crc = 0;
  Writer out(kPart - kHeader, kPart, [&](const uint8_t* bytes, size_t count) {
    if (at + count > end) throw Error(ONEBIT_INTERNAL, "a payload is too long");
    file.write(at, bytes, count);
    crc = crc32c(bytes, count, crc);
    at += count;
  });
  payload(out);
  if (at + out.bytes.size() != offset + kHeader + payload_size)
    throw Error(ONEBIT_INTERNAL, "a payload has another size");
  out.zeros(static_cast<size_t>(end - at - out.bytes.size()));
  out.flush();
  return crc;
}

void write_header(File& file, uint64_t offset, const Slot& slot) {
  Writer header(kHeader);
  header.raw(kSlotMagic, sizeof kSlotMagic);
  header.integer(static_cast<uint32_t>(slot.erases));
  header.integer(slot.sequence);
  header.integer(slot.parent);
  header.integer(slot.crc);
  header.zeros(kHeader - 4 - header.bytes.size());
  header.integer(crc32c(header.bytes.data(), header.bytes.size()));
  file.write(offset, header.bytes.data(), kHeader);
}

void write_zeros(File& file, uint64_t offset, uint64_t count) {
  Writer out(kPart, kPart, [&](const uint8_t* bytes, size_t part) {
    file.write(offset, bytes, part);
    offset += part;
  });
  out.zeros(static_cast<size_t>(count));
  out.flush();
}

}  // namespace onebit::store
