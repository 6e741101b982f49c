// The parts of an .obn file, each checked by the function that decodes it. All throw Error.
#pragma once

#include <string>
#include <vector>

#include "base/cursor.h"
#include "format/model.h"

namespace onebit {

struct Section {
  const char* name;
  const uint8_t* data;
  uint64_t size;

  Cursor cursor() const { return Cursor(name, data, size); }
};

struct Sections {
  Section meta, graph, tensors, data;
};

// The header, its checksums and the section table.
Sections read_sections(const Bytes& bytes);

Meta read_meta(const Section& section);

// The entry, which must have this type if it is there.
template <class Type>
const Type* typed_entry(const Model& model, const char* key) {
  const Type* found = model.entry<Type>(key);
  if (found == nullptr && model.meta.count(key) != 0)
    bad_file("META: entry '", key, "' has another type than the format gives it");
  return found;
}

// Checks META's entries of a teachable tail.
void check_tail(const Model& model);

std::vector<Tensor> read_tensors(const Section& section, const Section& data);

// Fills values, nodes, outputs and input; the tensors are there already.
void read_graph(const Section& section, Model& model);

// Tensors and attributes of one node as the file lists them.
struct RawNode {
  std::vector<uint32_t> inputs, tensors;
  std::vector<int32_t> attributes;
};

// How many tensors and attributes an operator has, and whether it may have a residual.
struct Signature {
  const char* name;
  uint32_t tensors, attributes;
  bool residual;
};

// Null for an operator that the format does not have.
const Signature* signature(uint32_t op);

// Decodes the operator's tensors and attributes into `node`, whose values are set, and checks every shape.
void read_operator(const RawNode& raw, const Model& model, Node& node);

}  // namespace onebit
