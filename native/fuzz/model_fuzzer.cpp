// Reads the input as an .obn file, as it is and with its checksums made right, and runs what loads. The first byte
// chooses how.
#include <cstdint>
#include <memory>
#include <vector>

#include "base/error.h"
#include "format/model.h"
#include "graph/operations.h"
#include "graph/session.h"
#include "kernels/registry.h"
#include "repair.h"

namespace {

constexpr uint64_t kMaxBytes = 16 << 20;
constexpr uint64_t kMaxOperations = 20 << 20;

// What a mutant asks for may be legal and huge; only small ones are run.
bool is_small(const onebit::Model& model) {
  uint64_t bytes = 0, operations = 0;
  for (const onebit::Value& value : model.values) bytes += value.bytes();
  for (const onebit::Node& node : model.nodes) {
    operations += onebit::operations(model, node);
    // Pooling and taps in the padding take time too.
    const uint64_t taps = static_cast<uint64_t>(node.kernel_h) * static_cast<uint64_t>(node.kernel_w);
    operations += taps * model.values[node.output].elements();
    if (node.op == onebit::Op::conv_int8) {
      const onebit::ConvShape s = onebit::padded_shape(model, node, 1);
      bytes += static_cast<uint64_t>(s.in_h) * static_cast<uint64_t>(s.in_w) * static_cast<uint64_t>(s.in_c);
    }
  }
  return bytes <= kMaxBytes && operations <= kMaxOperations;
}

void run(std::shared_ptr<const onebit::Model> model, const onebit::Kernels& kernels, int threads) {
  auto weights = std::make_shared<const onebit::PackedWeights>(*model, kernels);
  auto plan =
      std::make_shared<const onebit::Plan>(model, kernels, std::move(weights), 2, threads, std::vector<std::string>{});
  onebit::Session session(plan);
  const std::vector<float> input(2 * model->input_value().elements(), 0.75f);
  std::vector<std::vector<float>> outputs;
  std::vector<float*> pointers;
  for (const onebit::Output& output : model->outputs) outputs.emplace_back(2 * model->values[output.value].elements());
  for (std::vector<float>& output : outputs) pointers.push_back(output.data());
  session.run(input.data(), 2, pointers.data());
}

// Whether it loaded, and so ran.
bool load_and_run(const uint8_t* data, size_t size) {
  if (size == 0) return false;
  const uint8_t how = data[0];
  std::vector<uint8_t> file(data + 1, data + size);
  if (how & 1) onebit::fuzz::repair(file);
  try {
    // An exact copy, whose ends a sanitizer guards.
    const onebit::AlignedMemory memory = onebit::allocate_aligned(file.size());
    std::copy(file.begin(), file.end(), memory.get());
    const auto model = onebit::read_model(onebit::Bytes::from_memory(memory.get(), file.size()));
    const char* const* names = onebit::available_isas();
    int count = 0;
    while (names[count] != nullptr) ++count;
    if (is_small(*model)) run(model, onebit::select_isa(names[(how >> 2) % count])->kernels(), how & 2 ? 2 : 1);
    return true;
  } catch (const onebit::Error&) {  // what a reader should do with it
    return false;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  load_and_run(data, size);
  return 0;
}
