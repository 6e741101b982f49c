#include "store/store.h"

#include <algorithm>
#include <cstring>

#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/error.h"

namespace onebit::store {
namespace {

constexpr size_t kMaxConstant = 2048;
constexpr uint64_t kMaxPayload = uint64_t{1} << 30;
constexpr uint32_t kMaxHistory = 1024;
constexpr uint32_t kVersion = 1;
constexpr char kPlace[] = "the learner's state";
constexpr char kMagic[8] = {'\x89', 'O', 'B', 'L', '\r', '\n', '\x1a', '\n'};

struct Page {
  uint32_t slots;
  uint64_t payload_size;
  Bytes constant;
};

Page read_page(File& file) {
  if (file.size() < kPage) throw Error(ONEBIT_BAD_FILE, "this is not a learner's state: it is too short");
  Bytes bytes(kPage);
  file.read(0, bytes.data(), kPage);
  Cursor cursor(kPlace, bytes.data(), kPage);
  const uint8_t* magic = cursor.take(sizeof kMagic);
  const uint32_t crc = Cursor(kPlace, bytes.data() + kPage - 4, 4).u32();
  const bool whole = crc == crc32c(bytes.data(), kPage - 4);
  if (std::memcmp(magic, kMagic, sizeof kMagic) != 0 && !whole)
    throw Error(ONEBIT_BAD_FILE, "this is not a learner's state");
  if (!whole) damaged_state("its first page does not match its checksum");
  const auto version = cursor.u32();
  if (version != kVersion) {
    throw Error(ONEBIT_UNSUPPORTED,
                text("the learner's state has version ", version, "; this onebit reads version ", kVersion),
                "update onebit");
  }
  Page page;
  page.slots = cursor.u32();
  page.payload_size = cursor.u64();
  const auto constant_size = cursor.u32();
  if (page.slots < 3 || page.slots > kMaxHistory + 2 || page.payload_size > kMaxPayload || constant_size > kMaxConstant)
    damaged_state("its sizes are impossible");
  if (file.size() != Store::file_size(page.payload_size, page.slots - 2)) damaged_state("its length is wrong");
  const uint8_t* constant = cursor.take(constant_size);
  page.constant.assign(constant, constant + constant_size);
  return page;
}

Report counted(const std::vector<Slot>& slots) {
  Report report;
  report.slots = static_cast<uint32_t>(slots.size());
  for (const Slot& slot : slots) {
    report.intact += slot.state == Slot::intact;
    report.unfinished += slot.state == Slot::unfinished;
    report.damaged += slot.state == Slot::damaged;
  }
  return report;
}

}  // namespace

uint64_t Store::file_size(uint64_t payload_size, uint32_t history) {
  return kPage + (uint64_t{history} + 2) * slot_bytes(payload_size);
}
uint64_t Store::slot_size() const { return slot_bytes(payload_size_); }
uint64_t Store::offset(uint32_t index) const { return kPage + index * slot_size(); }

void Store::format(File& file, uint32_t history, const Bytes& constant, uint64_t payload_size, const Fill& payload) {
  if (constant.size() > kMaxConstant || payload_size > kMaxPayload || history < 1 || history > kMaxHistory) {
    throw Error(ONEBIT_INVALID_ARGUMENT,
                text("a learner keeps 1 to ", kMaxHistory, " earlier commits and at most 1 GiB a commit"));
  }
  if (file.size() != file_size(payload_size, history)) {
    throw Error(ONEBIT_INVALID_ARGUMENT, "the region for the learner's state has the wrong size");
  }
  // A region may hold an older store: its first page is erased first, and the new one is written last.
  write_zeros(file, 0, kPage);
  file.sync();
  const uint64_t size = slot_bytes(payload_size);
  for (uint32_t i = 1; i < history + 2; ++i) write_zeros(file, kPage + i * size, size);
  const uint32_t crc = write_body(file, kPage, payload_size, payload);
  write_header(file, kPage, {Slot::intact, 1, 0, false, crc});
  file.sync();

  Writer page(kPage);
  page.raw(kMagic, sizeof kMagic);
  page.integer(kVersion);
  page.integer(history + 2);
  page.integer(payload_size);
  page.integer(static_cast<uint32_t>(constant.size()));
  page.raw(constant.data(), constant.size());
  page.bytes.resize(kPage - 4);
  page.integer(crc32c(page.bytes.data(), page.bytes.size()));
  file.write(0, page.bytes.data(), kPage);
  file.sync();
}

std::vector<Slot> Store::read_slots() const {
  std::vector<Slot> slots;
  for (uint32_t i = 0; i < slots_.size(); ++i) slots.push_back(read_slot(*file_, offset(i), payload_size_));
  return slots;
}

Store Store::open(std::unique_ptr<File> file) {
  Store store;
  store.file_ = std::move(file);
  const Page page = read_page(*store.file_);
  store.constant_ = page.constant;
  store.payload_size_ = page.payload_size;
  store.slots_.resize(page.slots);
  store.slots_ = store.read_slots();
  store.found_ = counted(store.slots_);
  for (const Slot& slot : store.slots_) store.sequence_ = std::max(store.sequence_, slot.sequence);
  const int newest = store.find(store.sequence_);
  if (newest < 0) damaged_state("it holds no intact commit");
  if (store.slots_[static_cast<size_t>(newest)].erases) store.erase_others();
  return store;
}

void Store::read(const Use& use) const {
  const auto newest = static_cast<size_t>(find(sequence_));
  read_payload(*file_, offset(static_cast<uint32_t>(newest)), payload_size_, slots_[newest], use);
}

int Store::find(uint64_t sequence) const {
  for (size_t i = 0; sequence && i < slots_.size(); ++i) {
    if (slots_[i].state == Slot::intact && slots_[i].sequence == sequence) return static_cast<int>(i);
  }
  return -1;
}

uint32_t Store::ancestors() const {
  const auto limit = static_cast<uint32_t>(slots_.size() - 2);
  uint32_t count = 0;
  int at = find(sequence_);
  while (at >= 0 && count < limit && (at = find(slots_[static_cast<size_t>(at)].parent)) >= 0) ++count;
  return count;
}

// The oldest slot that is neither the newest commit nor one of its ancestors, which are at most slots - 2.
uint32_t Store::victim() const {
  std::vector<bool> kept(slots_.size());
  const uint32_t depth = ancestors();
  int at = find(sequence_);
  for (uint32_t i = 0; at >= 0 && i <= depth; ++i) {
    kept[static_cast<size_t>(at)] = true;
    at = find(slots_[static_cast<size_t>(at)].parent);
  }
  uint32_t best = UINT32_MAX;
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    if (!kept[i] && (best == UINT32_MAX || slots_[i].sequence < slots_[best].sequence)) best = i;
  }
  return best;
}

void Store::write_slot(const Fill& payload, uint64_t parent, bool erases) {
  const auto used = [](const Slot& slot) { return slot.state != Slot::blank; };
  if (slots_[static_cast<size_t>(find(sequence_))].erases && std::count_if(slots_.begin(), slots_.end(), used) > 1)
    erase_others();  // it failed when it was due
  const uint32_t index = victim();
  slots_[index] = {};
  slots_[index].state = Slot::unfinished;
  write_zeros(*file_, offset(index), kHeader);
  file_->sync();
  const uint32_t crc = write_body(*file_, offset(index), payload_size_, payload);
  file_->sync();
  const Slot written = {Slot::intact, sequence_ + 1, parent, erases, crc};
  write_header(*file_, offset(index), written);
  file_->sync();

  slots_[index] = written;
  ++sequence_;
}

void Store::erase_others() {
  const int kept = find(sequence_);
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    if (static_cast<int>(i) == kept || slots_[i].state == Slot::blank) continue;
    write_zeros(*file_, offset(i), slot_size());
  }
  file_->sync();
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (static_cast<int>(i) != kept) slots_[i] = {};
  }
}

void Store::commit(const Fill& payload) { write_slot(payload, sequence_, false); }

void Store::commit_and_erase(const Fill& payload) {
  write_slot(payload, 0, true);
  erase_others();
}

void Store::rollback(uint32_t steps, const Use& use) {
  if (steps < 1 || steps > ancestors()) {
    throw Error(ONEBIT_INVALID_ARGUMENT, text("cannot go back ", steps, " commits: ", ancestors(), " are kept"),
                "name a number from 1 to the number of commits kept");
  }
  int at = find(sequence_);
  for (uint32_t i = 0; i < steps; ++i) at = find(slots_[static_cast<size_t>(at)].parent);
  const uint64_t from = offset(static_cast<uint32_t>(at));
  const Slot target = read_slot(*file_, from, payload_size_);
  if (target.state != Slot::intact) damaged_state("the commit to return to does not match its checksum");
  read_payload(*file_, from, payload_size_, target, use);
  const auto copy = [&](Writer& out) {
    read_payload(*file_, from, payload_size_, target, [&](Reader& in) {
      Bytes part(kPage);
      while (in.left() > 0) {
        part.resize(static_cast<size_t>(std::min<uint64_t>(in.left(), part.size())));
        in.raw(part.data(), part.size());
        out.raw(part.data(), part.size());
      }
    });
  };
  write_slot(copy, target.parent, false);
}

Report Store::check() const {
  const Page page = read_page(*file_);
  if (page.constant != constant_ || page.payload_size != payload_size_ || page.slots != slots_.size())
    damaged_state("its first page is another");
  const auto slots = read_slots();
  const Slot& newest = slots[static_cast<size_t>(find(sequence_))];
  if (newest.state != Slot::intact || newest.sequence != sequence_)
    damaged_state("the newest commit does not match its checksum");
  return counted(slots);
}

}  // namespace onebit::store
