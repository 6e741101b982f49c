#include <cmath>
#include <cstring>

#include "format/sections.h"

namespace onebit {
namespace {

constexpr uint32_t kMaxTensors = 65536;
constexpr uint32_t kMaxDim = 1u << 24;
constexpr uint64_t kEntrySize = 40;

// Stops a file long before the product could overflow.
uint64_t length_of(const Tensor& tensor, const std::string& place) {
  uint64_t elements = 1;
  for (uint32_t i = 0; i < tensor.rank; ++i) {
    const bool packed = tensor.dtype == DType::bits && i + 1 == tensor.rank;
    elements *= packed ? (tensor.dims[i] + 31) / 32 : tensor.dims[i];
    if (elements > uint64_t{1} << 38) bad_file(place, " is too large");
  }
  return tensor.dtype == DType::i8 ? elements : 4 * elements;
}

void check_spare_bits(const Tensor& tensor, const std::string& place) {
  const uint32_t channels = tensor.dims[tensor.rank - 1];
  if (channels % 32 == 0) return;
  const uint32_t spare = ~uint32_t{0} << (channels % 32);
  const uint64_t stride = (channels + 31) / 32;
  for (uint64_t i = stride - 1; i < tensor.bytes / 4; i += stride)
    if (tensor.words()[i] & spare) bad_file(place, ": spare bits are not zero");
}

}  // namespace

std::vector<Tensor> read_tensors(const Section& section, const Section& data) {
  Cursor cursor = section.cursor();
  const uint32_t count = cursor.u32();
  if (cursor.u32() != 0) bad_file("TNSR: the bytes after the count are not zero");
  if (count > kMaxTensors) bad_file("TNSR: ", count, " tensors, more than ", kMaxTensors);
  cursor.expect_room(count, kEntrySize);
  std::vector<Tensor> tensors(count);
  for (uint32_t i = 0; i < count; ++i) {
    const std::string place = text("TNSR: tensor ", i);
    Tensor& tensor = tensors[i];
    const uint32_t dtype = cursor.u32();
    if (dtype < 1 || dtype > 4) bad_file(place, ": there is no dtype ", dtype);
    tensor.dtype = static_cast<DType>(dtype);
    tensor.rank = cursor.u32();
    const uint32_t least_rank = tensor.dtype == DType::bits ? 2 : 1;
    if (tensor.rank < least_rank || tensor.rank > 4)
      bad_file(place, ": rank ", tensor.rank, " is outside ", least_rank, " to 4");
    for (uint32_t axis = 0; axis < 4; ++axis) {
      const uint32_t dim = cursor.u32();
      const uint32_t maximum = axis < tensor.rank ? kMaxDim : 1;
      if (dim < 1 || dim > maximum) bad_file(place, ": dimension ", axis, " is ", dim, ", outside 1 to ", maximum);
      tensor.dims[axis] = dim;
    }
    const uint64_t offset = cursor.u64();
    tensor.bytes = cursor.u64();
    const uint64_t expected = length_of(tensor, place);
    if (tensor.bytes != expected) bad_file(place, ": ", tensor.bytes, " bytes, and its shape takes ", expected);
    if (offset % kAlignment != 0) bad_file(place, ": offset ", offset, " is not a multiple of ", kAlignment);
    if (offset > data.size || tensor.bytes > data.size - offset) bad_file(place, " ends after the end of DATA");
    tensor.data = data.data + offset;
    if (tensor.dtype == DType::bits) check_spare_bits(tensor, place);
    if (tensor.dtype == DType::f32)
      for (uint64_t k = 0; k < tensor.bytes / 4; ++k)
        if (std::isnan(tensor.floats()[k])) bad_file(place, " has a NaN");
    if (tensor.dtype == DType::i8 && std::memchr(tensor.data, 0x80, tensor.bytes) != nullptr)
      bad_file(place, " has an element of -128");
  }
  cursor.expect_end();
  return tensors;
}

}  // namespace onebit
