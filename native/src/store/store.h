// Durable commits of one fixed-size payload, in a file that never grows.
//
//   page (4096 bytes): magic, version, slot count, payload size, constant; CRC-32C        written once
//   slot 0 .. history + 1, each a multiple of 4096 bytes: header (64 bytes) | payload | zeros
//
// A commit overwrites a slot that neither the newest commit nor its `history` ancestors use, in three steps with a sync
// after each: clear the slot's header, write the payload, write the header. So at any cut the newest commit is
// untouched, a cleared header means "never finished", and a valid header over a bad payload can only be damage.
// docs/learner.md has the bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "store/slot.h"

namespace onebit::store {

struct Report {
  uint32_t slots = 0;
  uint32_t intact = 0;
  uint32_t unfinished = 0;  // commits that lost power; harmless
  uint32_t damaged = 0;     // commits whose bytes changed afterwards
};

class Store {
 public:
  static uint64_t file_size(uint64_t payload_size, uint32_t history);

  // Formats a file of file_size() bytes, with a first commit. `constant`, at most 2048 bytes, never changes.
  static void format(File& file, uint32_t history, const Bytes& constant, uint64_t payload_size, const Fill& payload);

  // Finds the newest intact commit, and finishes an erasure that lost power. Throws Error (ONEBIT_BAD_FILE) if the file
  // is no store, its first page is damaged, or no commit is intact. found() says what else there was.
  static Store open(std::unique_ptr<File> file);

  const Bytes& constant() const { return constant_; }
  // Reads the newest commit's payload from the medium. Throws Error if it does not match its checksum; then what `use`
  // read is not valid.
  void read(const Use& use) const;
  uint64_t sequence() const { return sequence_; }  // of the newest commit, from 1
  uint32_t ancestors() const;                      // how many commits rollback() can go back
  uint64_t size() const { return file_->size(); }
  const Report& found() const { return found_; }

  void commit(const Fill& payload);

  // Commits, and then overwrites every other slot with zeros: no older state can be read or rolled back to.
  void commit_and_erase(const Fill& payload);

  // Commits the payload of `steps` commits ago, which `use` reads first; the commits between are dropped. Throws Error
  // if there are fewer.
  void rollback(uint32_t steps, const Use& use);

  // Reads and checks every byte; changes nothing. Throws Error if the first page or the newest commit is damaged.
  Report check() const;

 private:
  Store() = default;
  std::vector<Slot> read_slots() const;
  void write_slot(const Fill& payload, uint64_t parent, bool erases);
  void erase_others();
  uint64_t slot_size() const;
  uint64_t offset(uint32_t index) const;
  int find(uint64_t sequence) const;
  uint32_t victim() const;

  std::unique_ptr<File> file_;
  Bytes constant_;
  Report found_;
  uint64_t payload_size_ = 0, sequence_ = 0;
  std::vector<Slot> slots_;
};

}  // namespace onebit::store
