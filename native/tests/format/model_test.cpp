// The reader: checksums and hash against known answers, a valid file, and a message for each rule that a file can
// break.
#include "format/model.h"

#include <functional>
#include <string>

#include "base/cursor.h"
#include "base/error.h"
#include "support/check.h"
#include "support/obn_writer.h"

using namespace onebit;
using test::Buffer;
using test::FileWriter;

namespace {

void known_answers() {
  CHECK(crc32c("123456789", 9) == 0xE3069283u, "the check value of CRC-32C");
  CHECK(crc32c("56789", 5, crc32c("1234", 4)) == 0xE3069283u, "in two parts");
  const auto hash = [](const std::string& text) {
    Sha256 sha;
    for (const char c : text) sha.add(reinterpret_cast<const uint8_t*>(&c), 1);
    const std::string bytewise = sha.hex();
    Sha256 whole;
    whole.add(reinterpret_cast<const uint8_t*>(text.data()), text.size());
    CHECK(whole.hex() == bytewise, "SHA-256 of %zu bytes depends on how they are added", text.size());
    return bytewise;
  };
  CHECK(hash("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "SHA-256 of nothing");
  CHECK(hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "SHA-256 of abc");
  CHECK(hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        "SHA-256 of 56 bytes");
  for (const char* text : {"", "a", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"}) CHECK(is_utf8(text), "%s", text);
  for (const char* text : {"\x80", "\xC3", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xFF"})
    CHECK(!is_utf8(text), "%s is no UTF-8", text);
}

std::shared_ptr<const Model> read(const Buffer& file) {
  return read_model(Bytes::from_memory(file.data(), file.size()));
}

void valid_file() {
  const auto model = read(test::example().bytes());
  CHECK(model->nodes.size() == 10 && model->values.size() == 11 && model->outputs.size() == 2, "counts");
  CHECK(model->input_value().h == 6 && model->input_value().w == 5 && model->input_value().c == 3, "input");
  const Node& stem = model->nodes[0];
  CHECK(stem.kernel_h == 3 && stem.pad_top == 1 && stem.activation == Activation::prelu && stem.bias == nullptr,
        "stem");
  CHECK(model->nodes[3].pad_value == -1 && model->nodes[3].residual == model->nodes[0].output, "residual");
  CHECK((*model->entry<std::vector<std::string>>("classes"))[2] == "cat", "classes");
  CHECK(model->entry<std::string>("classes") == nullptr, "of another type");
}

void refused(const std::string& message, const Buffer& file) {
  try {
    read(file);
  } catch (const Error& error) {
    CHECK(error.message.find(message) != std::string::npos, "'%s' does not say '%s'", error.message.c_str(),
          message.c_str());
    CHECK(error.message.find('\n') == std::string::npos && !error.hint.empty(), "'%s' is no one line with a hint",
          error.what());
    return;
  }
  CHECK(false, "a file was not refused: %s", message.c_str());
}

// A file after `change` of the bytes, with or without its checksums made right again.
void refused_bytes(const std::string& message, const std::function<void(Buffer&)>& change, bool repair) {
  Buffer file = test::example().bytes();
  change(file);
  if (repair) fuzz::repair(file);
  refused(message, file);
}

void refused_file(const std::string& message, const std::function<void(FileWriter&)>& change) {
  FileWriter writer = test::example();
  change(writer);
  refused(message, writer.bytes());
}

void broken_containers() {
  refused("empty", {});
  refused("not an .obn file", Buffer(100, 'x'));
  refused_bytes("less than a header", [](Buffer& f) { f.resize(40); }, false);
  refused_bytes("truncated", [](Buffer& f) { f.resize(f.size() - 1); }, false);
  refused_bytes("oversized", [](Buffer& f) { f.push_back(0); }, false);
  refused_bytes("header is damaged", [](Buffer& f) { f[9] ^= 1; }, false);
  refused_bytes("damaged: the checksum", [](Buffer& f) { f.back() ^= 1; }, false);
  refused_bytes("version 2", [](Buffer& f) { f[8] = 2; }, true);
  refused_bytes("5 sections", [](Buffer& f) { f[12] = 5; }, true);
  refused_bytes("from 32 to 63", [](Buffer& f) { f[50] = 1; }, true);
  refused_bytes("is not META", [](Buffer& f) { f[64] = 'X'; }, true);
  refused_bytes("not zero", [](Buffer& f) { f[68] = 1; }, true);
  refused_bytes("multiple of 64", [](Buffer& f) { f[72] += 1; }, true);
  refused_bytes("overlaps", [](Buffer& f) { f[72] = 0, f[73] = 0; }, true);
  refused_bytes("after the end of the file", [](Buffer& f) { f[64 + 72 + 22] = 1; }, true);
  refused_bytes("gap before META", [](Buffer& f) { f[64 + 4 * 24] = 1; }, true);
  refused_bytes("after DATA", [](Buffer& f) { f.resize(f.size() + 64, 1); }, true);
  FileWriter writer = test::example();
  Buffer file = writer.bytes();
  file.back() ^= 1;  // a weight of the dense layer; the checksum is right, the hash is not
  const uint32_t body = crc32c(file.data() + 64, file.size() - 64);
  std::memcpy(&file[24], &body, 4);
  const uint32_t header = crc32c(file.data(), 28);
  std::memcpy(&file[28], &header, 4);
  refused("is not the hash", file);
}

void broken_meta() {
  refused_file("unique and ascending", [](FileWriter& w) { std::swap(w.meta[0], w.meta[1]); });
  refused_file("unique and ascending", [](FileWriter& w) { w.meta.insert(w.meta.begin(), w.meta[0]); });
  refused_file("no type 9", [](FileWriter& w) { w.meta[0].type = 9; });
  refused_file("another type", [](FileWriter& w) { w.meta[2].type = 4; });
  refused_file("4-byte numbers", [](FileWriter& w) { w.meta[2].value.push_back(0); });
  refused_file("UTF-8", [](FileWriter& w) { w.meta[4].value = {0xFF}; });
  refused_file("NUL", [](FileWriter& w) { w.meta[4].value = {'a', 0}; });
  refused_file("ends too early", [](FileWriter& w) { w.meta[0].value.resize(30, 1); });
  refused_file("3 classes for 4 logits", [](FileWriter& w) { w.meta[0].value.resize(21); });
  refused_file("one number for each", [](FileWriter& w) { w.meta[2].value.resize(8); });
  refused_file("positive", [](FileWriter& w) { w.meta[3].value[3] = 0x80; });
  refused_file("only one of", [](FileWriter& w) { w.meta.erase(w.meta.begin() + 2); });
  for (const Buffer& resize :
       {Buffer{5, 0, 0, 0}, Buffer{}, Buffer{9, 0, 0, 0, 9, 0, 0, 0}})  // the input is 6 x 5 pixels
    refused_file("input.resize",
                 [&](FileWriter& w) { w.meta.insert(w.meta.begin() + 3, {"input.resize", 4, resize}); });
  refused_file("minimum", [](FileWriter& w) { w.meta[1].value.resize(4); });
  refused_file("weights.sha256 is absent", [](FileWriter& w) { w.meta.pop_back(); });
}

void broken_tensors() {
  const auto put = [](size_t index, size_t field, uint32_t word) {
    return [=](FileWriter& w) { std::memcpy(&w.tensors[40 * index + 4 * field], &word, 4); };
  };
  refused_file("no dtype 7", put(0, 0, 7));
  refused_file("rank 0", put(0, 1, 0));
  refused_file("rank 5", put(0, 1, 5));
  refused_file("dimension 0 is 0", put(0, 2, 0));
  refused_file("dimension 1 is 2", put(0, 3, 2));
  refused_file("outside 1 to 16777216", put(0, 2, 1u << 25));
  refused_file("too large", [&](FileWriter& w) {
    for (size_t i = 2; i < 6; ++i) put(2, i, 1u << 24)(w);
  });
  refused_file("its shape takes", put(0, 8, 44));
  refused_file("multiple of 64", put(0, 6, 4));
  refused_file("after the end of DATA", put(0, 6, 1u << 30));
  refused_file("after the end of DATA", put(0, 7, 1u << 30));
  refused_file("bytes too many", [](FileWriter& w) { w.tensors.push_back(0); });
  refused_file("ends too early", [](FileWriter& w) { w.tensor_count += 1; });
  refused_file("spare bits", [](FileWriter& w) { std::fill(w.data.begin(), w.data.end(), uint8_t{0x3F}); });
  refused_file("-128", [](FileWriter& w) { w.tensor<int8_t>(DType::i8, {2}, {127, -128}); });
  refused_file("5 bytes, and its shape takes 4",
               [](FileWriter& w) { w.tensor<int8_t>(DType::i8, {4}, {1, 2, 3, 4, 5}); });
  refused_file("NaN", [](FileWriter& w) { std::fill(w.data.begin(), w.data.begin() + 4, uint8_t{0xFF}); });
}

void broken_graphs() {
  refused_file("no node makes value", [](FileWriter& w) { w.value(ValueType::f32, 1, 1, 1); });
  refused_file("no earlier node makes", [](FileWriter& w) { std::swap(w.nodes[0], w.nodes[1]); });
  refused_file("no earlier node makes", [](FileWriter& w) { w.nodes[1].inputs[0] = 99; });
  refused_file("made twice", [](FileWriter& w) { w.nodes[1].output = 0; });
  refused_file("no value 77", [](FileWriter& w) { w.nodes[1].output = 77; });
  refused_file("no operator 9", [](FileWriter& w) { w.nodes[1].op = static_cast<Op>(9); });
  refused_file("2 inputs", [](FileWriter& w) { w.nodes[1].inputs.push_back(0); });
  refused_file("0 inputs", [](FileWriter& w) { w.nodes[1].inputs.clear(); });
  refused_file("tensors instead of", [](FileWriter& w) { w.nodes[1].tensors.push_back(0); });
  refused_file("attributes instead of", [](FileWriter& w) { w.nodes[1].attributes.push_back(0); });
  refused_file("no tensor 50", [](FileWriter& w) { w.nodes[0].tensors[0] = 50; });
  refused_file("the type or the rank", [](FileWriter& w) { w.nodes[0].tensors[0] = w.nodes[2].tensors[0]; });
  refused_file("weight is absent", [](FileWriter& w) { w.nodes[0].tensors[0] = test::absent; });
  refused_file("slope and activation", [](FileWriter& w) { w.nodes[0].tensors[3] = test::absent; });
  refused_file("35 elements for 38", [](FileWriter& w) { w.nodes[5].tensors[0] = 0; });
  refused_file("stride_h 0", [](FileWriter& w) { w.nodes[0].attributes[0] = 0; });
  refused_file("stride_w 1025", [](FileWriter& w) { w.nodes[0].attributes[1] = 1025; });
  refused_file("pad_top 3", [](FileWriter& w) { w.nodes[0].attributes[2] = 3; });
  refused_file("pad_right -1", [](FileWriter& w) { w.nodes[0].attributes[5] = -1; });
  refused_file("the output is", [](FileWriter& w) { w.nodes[0].attributes[0] = 2; });
  refused_file("larger than the padded input", [](FileWriter& w) { w.nodes[0].attributes[6] = 1000; });
  refused_file("groups do not divide", [](FileWriter& w) { w.nodes[0].attributes[8] = 2; });
  refused_file("channels do not fit",
               [](FileWriter& w) { w.nodes[0].attributes[8] = 1, w.nodes[0].tensors[0] = w.nodes[9].tensors[0]; });
  refused_file("activation 4", [](FileWriter& w) { w.nodes[0].attributes[9] = 4; });
  refused_file("padding value 1 ", [](FileWriter& w) { w.nodes[0].attributes[10] = 1; });
  refused_file("padding value 2 ", [](FileWriter& w) { w.nodes[3].attributes[10] = 2; });
  refused_file("needs an interval", [](FileWriter& w) { w.nodes[2].tensors[5] = test::absent; });
  refused_file("an interval needs", [](FileWriter& w) { w.nodes[3].tensors[5] = w.nodes[2].tensors[5]; });
  refused_file("no epilogue", [](FileWriter& w) { w.nodes[2].tensors[1] = 0; });
  refused_file("residual", [](FileWriter& w) { w.nodes[5].inputs[1] = 1; });
  refused_file("pad_channels", [](FileWriter& w) { w.nodes[4].attributes[0] = 2; });
  refused_file("zero point 256", [](FileWriter& w) { w.nodes[6].attributes[10] = 256; });
  refused_file("zero point -1", [](FileWriter& w) { w.nodes[6].attributes[10] = -1; });
  refused_file("the type or the rank", [](FileWriter& w) { w.nodes[6].tensors[0] = w.nodes[0].tensors[0]; });
  refused_file("the type or the rank", [](FileWriter& w) { w.nodes[0].tensors[0] = w.nodes[6].tensors[0]; });
  refused_file("multiplier is absent", [](FileWriter& w) { w.nodes[6].tensors[5] = test::absent; });
  refused_file("multiplier has 35 elements", [](FileWriter& w) { w.nodes[6].tensors[5] = w.nodes[0].tensors[1]; });
  for (const float multiplier : {0.0f, -1.0f, __builtin_inff()})
    refused_file("multiplier is not finite",
                 [=](FileWriter& w) { w.nodes[6].tensors[5] = w.tensor<float>(DType::f32, {1}, {multiplier}); });
  refused_file("is not bits", [](FileWriter& w) { w.nodes[2].inputs[0] = w.nodes[0].output; });
  refused_file("kernel_h 0", [](FileWriter& w) { w.nodes[7].attributes[0] = 0; });
  refused_file("counting of the padding", [](FileWriter& w) { w.nodes[8].attributes[8] = 2; });
  refused_file("no type 3", [](FileWriter& w) { w.values[1].type = static_cast<ValueType>(3); });
  refused_file("side of 0", [](FileWriter& w) { w.values[0].h = 0; });
  refused_file("elements", [](FileWriter& w) { w.values[0] = {ValueType::f32, 1u << 24, 1u << 24, 1u << 24}; });
  refused_file("output 1 has no name", [](FileWriter& w) { w.outputs[1].name = "logits"; });
  refused_file("does not exist", [](FileWriter& w) { w.outputs[1].value = 100; });
  refused_file("is not f32", [](FileWriter& w) { w.outputs[1].value = w.nodes[1].output; });
  refused_file("0 outputs", [](FileWriter& w) { w.outputs.clear(); });
  refused_file("padded with zeros", [](FileWriter& w) { w.nodes[0].name = std::string(60, 'x'); });
  refused_file("UTF-8", [](FileWriter& w) { w.nodes[0].name = "\xFF"; });
}

// One conv_int8 from one side x side x channels to another, with padding on all sides.
Buffer int8_file(uint32_t side, uint32_t out, uint32_t channels, uint32_t kernel, int32_t stride, int32_t pad,
                 int32_t dilation) {
  FileWriter w;
  w.text("weights.sha256", std::string(64, '0'));
  const uint32_t input = w.value(ValueType::f32, side, side, channels);
  const std::vector<int8_t> weight(size_t{kernel} * kernel * channels, -127);
  const uint32_t tensor = w.tensor(DType::i8, {1, kernel, kernel, channels}, weight);
  const uint32_t multiplier = w.tensor<float>(DType::f32, {1}, {1.0f});
  const uint32_t output = w.node(Op::conv_int8, {input}, w.value(ValueType::f32, out, out, 1),
                                 {tensor, test::absent, test::absent, test::absent, test::absent, multiplier},
                                 {stride, stride, pad, pad, pad, pad, dilation, dilation, 1, 0, 255});
  w.outputs = {{output, "logits"}};
  return w.bytes();
}

void limits_of_int8() {
  CHECK(read(int8_file(1, 1, 65536, 1, 1, 0, 1))->nodes[0].zero_point == 255, "the most terms");
  refused("more than 65536 terms", int8_file(1, 1, 65537, 1, 1, 0, 1));
  CHECK(read(int8_file(1, 63, 1, 63, 130, 8060, 130)) != nullptr, "16121 x 16121 with its padding");
  refused("the padded input", int8_file(1, 64, 1, 64, 131, 8253, 131));
}

}  // namespace

int main() {
  known_answers();
  valid_file();
  broken_containers();
  broken_meta();
  broken_tensors();
  broken_graphs();
  limits_of_int8();
}
