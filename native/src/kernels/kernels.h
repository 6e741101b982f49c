// What every instruction set provides. One struct of arguments per operator and one table per instruction set: a
// list of convolution kernels, and a function for each other operator.
//
// Numeric rules (bit order, padding, float order, sign) are those of docs/file-format.md. Every table gives the same
// bits as `reference`. A kernel neither allocates nor throws; it works on the parts [begin, end) of its call, so that a
// pool may split it, and parts never share an output word. A part of a convolution is one of `units(shape)`; of the
// others, a row of the batch * out_h output rows.
#pragma once

#include <cstddef>
#include <cstdint>

namespace onebit {

enum class Activation : int32_t { none = 0, relu = 1, hardtanh = 2, prelu = 3 };

// Shape of a convolution (a dense layer is a convolution as large as its input). Padding at the bottom and right
// follows from the output size.
struct ConvShape {
  int32_t batch, in_h, in_w, in_c;
  int32_t out_h, out_w, out_c;
  int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups;
};

// Per output channel, each may be null; residual has the output's shape.
struct Epilogue {
  const float* scale;
  const float* bias;
  const float* residual;
  const float* slope;
  const float* post;
  Activation activation;
};

// The floats that a kernel writes, binarised as well for the next binary layer. Null where no layer reads them.
struct Bits {
  uint32_t* words = nullptr;        // [batch][out_h][out_w][ceil(channels / 32)]
  const float* interval = nullptr;  // [channels][2]
};

struct FloatConvArgs {
  ConvShape shape;
  const float* input;  // [batch][in_h][in_w][in_c]
  const void* weight;  // as the kernel packed it
  Epilogue epilogue;
  float* output;  // [batch][out_h][out_w][out_c]
};

struct BinaryConvArgs {
  ConvShape shape;
  int32_t pad_value;        // 0, +1 or -1
  const uint32_t* input;    // [batch][in_h][in_w][ceil(in_c / 32)]
  const void* weight;       // as the kernel packed it
  Epilogue epilogue;        // used when output is floats
  const int32_t* interval;  // [out_c][2], used when output is bits
  float* output;            // exactly one of output and output_bits is set
  uint32_t* output_bits;    // [batch][out_h][out_w][ceil(out_c / 32)]
  Bits bits = {};           // beside output
};

// An image in bytes with its padding around it: q = clamp(rint(x * multiplier) + zero_point, 0, 255), and zero_point in
// the padding. A part is a row of the padded image.
struct QuantizeArgs {
  int32_t batch, in_h, in_w, channels;
  int32_t pad_top, pad_left, pad_bottom, pad_right;
  float multiplier;
  int32_t zero_point;
  const float* input;  // [batch][in_h][in_w][channels]
  uint8_t* output;  // [batch][pad_top + in_h + pad_bottom][pad_left + in_w + pad_right][channels], and kInt8Slack bytes
                    // that the convolution may read, whatever they hold
};

constexpr int64_t kInt8Slack = 64;

// Bytes by bytes into 32-bit integers: the sum of (q - zero_point) * weight. The input is padded already, so the
// shape's in_h and in_w are those of the padded image and its pads are 0.
struct Int8ConvArgs {
  ConvShape shape;
  const uint8_t* input;  // [batch][in_h][in_w][in_c], and kInt8Slack bytes
  const void* weight;    // as the kernel packed it
  Epilogue epilogue;
  float* output;
};

struct BinarizeArgs {
  int64_t pixels_per_row;  // a "row" is in_w pixels
  int32_t channels;
  const float* input;
  const float* interval;  // [channels][2]
  uint32_t* output;
};

struct PointwiseArgs {
  int64_t pixels_per_row;
  int32_t channels;
  const float* input;
  Epilogue epilogue;
  float* output;
  Bits bits = {};
};

struct PoolArgs {
  int32_t batch, in_h, in_w, channels, out_h, out_w;
  int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
  int32_t pad_bottom, pad_right;  // decide, with count_padding, how many positions a window has
  bool count_padding;             // average only
  const float* input;
  float* output;
  Bits bits = {};
};

// One way to run a convolution; `Weight` are the arguments of `pack` in front of `packed`.
template <class Args, class... Weight>
struct ConvKernel {
  // The kernel of a class with these functions.
  template <class Conv>
  static constexpr ConvKernel of(const char* name, bool candidate) {
    return {name, candidate, Conv::fits, Conv::pack_bytes, Conv::pack, Conv::units, Conv::run};
  }

  const char* name;  // with its instruction set: "avx2 nibbles"
  // Candidates that fit a shape are compared by the clock; of the others the first in the list that fits is taken.
  bool candidate;
  bool (*fits)(const ConvShape&);  // whatever the batch, the rows and the padding above them

  // Weights are rearranged once, at plan time, from the file's layout ([O][kh][kw][C/groups]) into the layout that the
  // kernel reads. `pack` writes exactly `pack_bytes` bytes, 64-byte aligned; whatever they hold, `run` reads and writes
  // nothing but what its arguments name.
  size_t (*pack_bytes)(const ConvShape&);
  void (*pack)(const ConvShape&, Weight..., void* packed);
  int64_t (*units)(const ConvShape&);
  void (*run)(const Args&, int64_t begin, int64_t end);
};

using FloatConvKernel = ConvKernel<FloatConvArgs, const float*>;
using BinaryConvKernel = ConvKernel<BinaryConvArgs, const uint32_t*>;
using Int8ConvKernel = ConvKernel<Int8ConvArgs, int32_t, const int8_t*>;  // the zero point; weights from -127 to 127

// In order of preference; a null ends it. Every shape fits one of them.
template <class Kernel>
struct KernelList {
  static constexpr int32_t kMax = 8;

  constexpr const Kernel& operator[](int32_t index) const { return *kernels[index]; }

  constexpr int32_t count() const {
    int32_t index = 0;
    while (kernels[index]) ++index;
    return index;
  }

  // With `first` in front.
  constexpr KernelList after(const Kernel& first) const {
    KernelList list = {{&first}};
    for (int32_t i = 0; i < count(); ++i) list.kernels[i + 1] = kernels[i];
    return list;
  }

  const Kernel* kernels[kMax + 1];
};

struct Kernels {
  const char* name;  // "reference", "portable", "avx2", "avx512bw", "avx512", "amx", "neon", "neon_dotprod"

  KernelList<FloatConvKernel> float_conv;
  KernelList<BinaryConvKernel> binary_conv;
  KernelList<Int8ConvKernel> int8_conv;

  void (*quantize)(const QuantizeArgs&, int64_t begin, int64_t end);
  void (*binarize)(const BinarizeArgs&, int64_t begin, int64_t end);
  void (*pointwise)(const PointwiseArgs&, int64_t begin, int64_t end);
  void (*max_pool)(const PoolArgs&, int64_t begin, int64_t end);
  void (*average_pool)(const PoolArgs&, int64_t begin, int64_t end);
};

}  // namespace onebit
