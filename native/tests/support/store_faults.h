// A file in memory whose power can be cut at any byte, and what the medium may then hold.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "base/error.h"
#include "store/store.h"

namespace onebit::test {

using store::Bytes;

struct PowerCut {};

// The medium: what was synced is there; of what was written since, any 512-byte sector may be there or not.
struct Medium {
  struct Write {
    uint64_t offset;
    Bytes bytes;
  };

  Bytes durable;
  std::vector<Write> pending;

  void apply(const Write& write, size_t from, size_t count) {
    std::copy_n(write.bytes.begin() + static_cast<std::ptrdiff_t>(from), count,
                durable.begin() + static_cast<std::ptrdiff_t>(write.offset + from));
  }
  void settle_all() {
    for (const Write& write : pending) apply(write, 0, write.bytes.size());
    pending.clear();
  }
  // A cut: each sector of what was not synced is kept with the given chance, in any order.
  void settle_some(std::mt19937& random, unsigned percent) {
    for (const Write& write : pending) {
      for (size_t from = 0; from < write.bytes.size(); from += 512) {
        if (random() % 100 < percent) apply(write, from, std::min<size_t>(512, write.bytes.size() - from));
      }
    }
    pending.clear();
  }
};

class FaultyFile : public store::File {
 public:
  // The power goes after `budget` written bytes and syncs.
  explicit FaultyFile(Medium& medium, uint64_t budget = UINT64_MAX) : medium_(medium), budget_(budget) {}

  uint64_t size() const override { return medium_.durable.size(); }
  void read(uint64_t offset, void* bytes, size_t count) override {
    if (offset + count > size()) throw Error(ONEBIT_IO, "read past the end");
    for (const auto& write : medium_.pending) {
      if (offset < write.offset + write.bytes.size() && write.offset < offset + count)
        throw Error(ONEBIT_INTERNAL, "the store reads what it has not synced");
    }
    std::memcpy(bytes, medium_.durable.data() + offset, count);
  }
  void write(uint64_t offset, const void* bytes, size_t count) override {
    if (offset + count > size()) throw Error(ONEBIT_IO, "write past the end");
    const auto* from = static_cast<const uint8_t*>(bytes);
    const auto done = std::min<uint64_t>(count, budget_);
    medium_.pending.push_back({offset, Bytes(from, from + done)});
    budget_ -= done;
    written += done;
    if (done < count) throw PowerCut{};
  }
  void sync() override {
    if (budget_ == 0) throw PowerCut{};
    --budget_;
    medium_.settle_all();
    ++syncs;
  }

  uint64_t written = 0, syncs = 0;

 private:
  Medium& medium_;
  uint64_t budget_;
};

inline store::Store open_store(Medium& medium, uint64_t budget = UINT64_MAX) {
  return store::Store::open(std::make_unique<FaultyFile>(medium, budget));
}

inline Bytes payload_of(uint32_t seed, size_t size = 100) {
  std::mt19937 random(seed);
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

inline store::Fill writing(const Bytes& payload) {
  return [payload](store::Writer& out) { out.raw(payload.data(), payload.size()); };
}

inline Bytes payload_in(const store::Store& store) {
  Bytes bytes;
  store.read([&](store::Reader& in) {
    bytes.resize(static_cast<size_t>(in.left()));
    in.raw(bytes.data(), bytes.size());
  });
  return bytes;
}

inline Medium formatted(uint32_t history, const Bytes& payload) {
  Medium medium;
  medium.durable.resize(store::Store::file_size(payload.size(), history));
  FaultyFile file(medium);
  store::Store::format(file, history, {1, 2, 3}, payload.size(), writing(payload));
  return medium;
}

}  // namespace onebit::test
