#include "graph/program.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>

#include "base/error.h"
#include "kernels/portable/tables.h"

namespace onebit {
namespace {

constexpr uint64_t kMaxBytes = std::numeric_limits<int32_t>::max();  // for a program, and for an arena

uint64_t packed_bytes(const Step& step, const Kernels& kernels) {
  switch (step.kind) {
    case StepKind::float_conv: return kernels.float_conv[step.kernel].pack_bytes(step.shape);
    case StepKind::binary_conv: return kernels.binary_conv[step.kernel].pack_bytes(step.shape);
    case StepKind::int8_conv: return kernels.int8_conv[step.kernel].pack_bytes(step.shape);
    default: return 0;
  }
}

// Blocks of one row take the least memory, of which such a device has little. Returns the bytes of scratch needed.
uint64_t shrink_row_blocks(std::vector<Step>& steps) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].block_rows == 0) continue;
    steps[i].block_rows = 1;
    const ConvShape& s = steps[i].shape;
    const int64_t floats = block_conv_rows(steps[i + 1], 1) * s.out_w * s.out_c;
    bytes = std::max(bytes, static_cast<uint64_t>(floats) * sizeof(float));
  }
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

class Compiler {
 public:
  Compiler(std::shared_ptr<const Model> model, const std::vector<std::string>& outputs)
      : model_(*model),
        plan_(model, portable::kernels(), std::make_shared<const PackedWeights>(*model, portable::kernels()), 1, 1,
              outputs),
        steps_(plan_.steps),
        scratch_bytes_(shrink_row_blocks(steps_)),
        bytes_(sizeof(ProgramHeader) + steps_.size() * sizeof(Step) + plan_.outputs.size() * sizeof(ProgramOutput)) {}

  AlignedMemory run() {
    for (Step& step : steps_) move_constants(step);
    if (bytes_.size() > kMaxBytes || plan_.arena_bytes + scratch_bytes_ > kMaxBytes)
      throw Error(ONEBIT_UNSUPPORTED, text("the program needs ", bytes_.size(), " bytes and an arena of ",
                                           plan_.arena_bytes + scratch_bytes_, ", and 2 GiB is the limit of each"));
    AlignedMemory program = allocate_aligned(bytes_.size());
    write_tables();
    std::memcpy(program.get(), bytes_.data(), bytes_.size());
    auto& header = *reinterpret_cast<ProgramHeader*>(program.get());
    header.checksum = program_checksum(header);
    return program;
  }

 private:
  void write_tables() {
    const Value& input = model_.input_value();
    ProgramHeader header = {};
    std::copy(std::begin(kProgramMagic), std::end(kProgramMagic), header.magic);
    header.version = kProgramVersion;
    header.bytes = static_cast<uint32_t>(bytes_.size());
    header.step_count = static_cast<uint32_t>(steps_.size());
    header.output_count = static_cast<uint32_t>(plan_.outputs.size());
    header.arena_bytes = static_cast<uint32_t>(plan_.arena_bytes);
    header.scratch_bytes = static_cast<uint32_t>(scratch_bytes_);
    header.input_h = input.h, header.input_w = input.w, header.input_c = input.c;
    uint8_t* to = bytes_.data();
    const auto put = [&](const void* from, size_t size) {
      to = std::copy_n(static_cast<const uint8_t*>(from), size, to);
    };
    put(&header, sizeof header);
    for (const Step& step : steps_) put(&step, sizeof step);
    for (size_t i = 0; i < plan_.outputs.size(); ++i) {
      const ProgramOutput output = describe(model_.outputs[plan_.outputs[i]], plan_.output_values[i]);
      put(&output, sizeof output);
    }
  }

  ProgramOutput describe(const Output& output, const Address& address) const {
    if (address.base != Base::arena)
      throw Error(ONEBIT_UNSUPPORTED, text("the output ", quoted(output.name), " is the model's input"),
                  "name the other outputs only");
    const Value& value = model_.values[output.value];
    return {address, value.h, value.w, value.c, 0};
  }

  void move_constants(Step& step) {
    if (step.weight.base == Base::weights)
      append(step.weight, plan_.weights->memory.get(), packed_bytes(step, plan_.kernels), kAlignment);
    for (Address* address : {&step.scale, &step.bias, &step.slope, &step.post, &step.interval, &step.bits_interval}) {
      if (address->base != Base::file) continue;
      const auto known = moved_.find(address->offset);
      if (known != moved_.end()) {
        address->offset = known->second;
        continue;
      }
      const uint64_t old = address->offset;
      append(*address, model_.bytes.data(), tensor_bytes(old), sizeof(float));
      moved_[old] = address->offset;
    }
  }

  // Copies `size` bytes from the address, which is relative to `base`, and points the address to the copy.
  void append(Address& address, const uint8_t* base, uint64_t size, uint64_t alignment) {
    const uint8_t* from = base + address.offset;
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment, 0);
    address.offset = bytes_.size();
    bytes_.insert(bytes_.end(), from, from + size);
  }

  // The largest tensor that begins there, since tensors may share bytes.
  uint64_t tensor_bytes(uint64_t offset) const {
    uint64_t bytes = 0;
    for (const Tensor& tensor : model_.tensors)
      if (tensor.data == model_.bytes.data() + offset) bytes = std::max(bytes, tensor.bytes);
    return bytes;
  }

  const Model& model_;
  const Plan plan_;
  std::vector<Step> steps_;
  const uint64_t scratch_bytes_;
  std::vector<uint8_t> bytes_;
  std::map<uint64_t, uint64_t> moved_;  // from a constant's place in the file to its place in the program
};

}  // namespace

AlignedMemory compile(std::shared_ptr<const Model> model, const std::vector<std::string>& outputs) {
  return Compiler(std::move(model), outputs).run();
}

}  // namespace onebit
