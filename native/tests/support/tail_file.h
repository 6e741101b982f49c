// Random networks with a teachable tail, as files.
#pragma once

#include <cmath>
#include <functional>

#include "obn_writer.h"
#include "random_cases.h"

namespace onebit::test {

// Read in place where it is aligned, so that it must stay.
inline onebit::Bytes bytes_of(const Buffer& file) { return onebit::Bytes::from_memory(file.data(), file.size()); }

// The builder of one file: input -> binarize -> latents -> tail -> features -> logits of `classes`.
class TailFile {
 public:
  TailFile(Random& random, uint32_t h, uint32_t w, uint32_t c, uint32_t classes) : random_(random), classes_(classes) {
    const uint32_t input = writer_.value(ValueType::f32, h, w, c);
    std::vector<float> size(c);
    for (float& s : size) s = random.chance(10) ? 0.0f : real(0.5f, 1.5f);
    const uint32_t bits = binarize(input, std::vector<float>(c, 0.0f));
    const auto words = std::vector<uint32_t>(c, 0u);
    latents_ = writer_.node(Op::conv_binary, {bits}, writer_.value(ValueType::f32, h, w, c),
                            {writer_.tensor(DType::bits, {c, 1, 1, 1}, words), writer_.tensor(DType::f32, {c}, size),
                             absent, absent, absent, absent},
                            {1, 1, 0, 0, 0, 0, 1, 1, static_cast<int32_t>(c), 0, 0});
    ranges_ = {-1.5f, 1.5f};
    values_.push_back(latents_);
  }

  struct Epilogue {
    bool scale = true, bias = false, post = false;
    Activation activation = Activation::none;
    uint32_t residual = absent;
  };

  struct Window {
    std::vector<uint32_t> kernel;
    std::vector<int32_t> pads;
    std::vector<int32_t> stride = {1, 1};

    // The sides and channels of what it makes.
    Value over(const Value& in, uint32_t out_c) const {
      const auto side = [&](size_t axis, uint32_t length) {
        const uint32_t last = length + static_cast<uint32_t>(pads[axis] + pads[axis + 2]) - kernel[axis];
        return last / static_cast<uint32_t>(stride[axis]) + 1;
      };
      return {ValueType::f32, side(0, in.h), side(1, in.w), out_c};
    }
  };

  // A real-valued convolution.
  uint32_t real_conv(uint32_t from, uint32_t out_c, std::vector<uint32_t> kernel, std::vector<int32_t> pads,
                     const Epilogue& epilogue, std::vector<int32_t> stride = {1, 1}) {
    const Window window = {kernel, pads, stride};
    const Value in = writer_.values[from], out = window.over(in, out_c);
    std::vector<float> weights(size_t{out_c} * kernel[0] * kernel[1] * in.c);
    for (float& w : weights) w = real(-0.5f, 0.5f);
    const float terms = static_cast<float>(kernel[0] * kernel[1] * in.c);
    const auto tensors = epilogue_tensors(out_c, epilogue, 1.0f / std::sqrt(terms));
    return add(writer_.node(Op::conv_float, inputs(from, epilogue), writer_.value(out.type, out.h, out.w, out.c),
                            {writer_.tensor(DType::f32, {out_c, kernel[0], kernel[1], in.c}, weights), tensors[0],
                             tensors[1], tensors[2], tensors[3], absent},
                            conv_attributes(window, epilogue)),
               epilogue.scale ? 0.3f : 0.3f * std::sqrt(terms));
  }

  uint32_t pool(uint32_t from, Op op, const Window& window, float size = 0.8f) {
    const Value in = writer_.values[from], out = window.over(in, in.c);
    std::vector<int32_t> attributes = {static_cast<int32_t>(window.kernel[0]), static_cast<int32_t>(window.kernel[1]),
                                       window.stride[0], window.stride[1]};
    attributes.insert(attributes.end(), window.pads.begin(), window.pads.end());
    if (op == Op::average_pool) attributes.push_back(0);
    return add(writer_.node(op, {from}, writer_.value(out.type, out.h, out.w, out.c), {}, attributes), size);
  }

  uint32_t pad_channels(uint32_t from, uint32_t before, uint32_t after) {
    const Value in = writer_.values[from];
    return add(writer_.node(Op::pad_channels, {from}, writer_.value(in.type, in.h, in.w, in.c + before + after), {},
                            {static_cast<int32_t>(before), static_cast<int32_t>(after)}),
               0.9f);
  }

  // A binarize and a convolution.
  uint32_t conv(uint32_t from, uint32_t out_c, std::vector<uint32_t> kernel, std::vector<int32_t> pads,
                const Epilogue& epilogue, std::vector<int32_t> stride = {1, 1}) {
    const Window window = {kernel, pads, stride};
    const Value in = writer_.values[from], out = window.over(in, out_c);
    std::vector<float> lower(in.c);
    for (float& t : lower) t = random_.chance(5) ? (random_.chance(50) ? INFINITY : -INFINITY) : real(-0.3f, 0.3f);
    const uint32_t bits = binarize(from, lower);
    const int64_t rows = int64_t{out_c} * kernel[0] * kernel[1], words = words_for(in.c);
    std::vector<int8_t> latent(static_cast<size_t>(rows * in.c));
    std::vector<uint32_t> signs(static_cast<size_t>(rows * words));
    for (int64_t i = 0; i < rows * in.c; ++i) {
      const int level = random_.chance(50) ? random_.between(-4, 4) : random_.between(-127, 127);
      latent[static_cast<size_t>(i)] = static_cast<int8_t>(level);
      if (level < 0) signs[static_cast<size_t>(i / in.c * words + i % in.c / 32)] |= 1u << (i % in.c % 32);
    }
    latent_.push_back(writer_.tensor(DType::i8, {out_c, kernel[0], kernel[1], in.c}, latent));
    latent_max_.push_back(real(0.01f, 2.0f));
    estimators_.push_back(static_cast<uint32_t>(random_.between(1, 2)));
    const float terms = static_cast<float>(kernel[0] * kernel[1] * in.c);
    const auto tensors = epilogue_tensors(out_c, epilogue, 1.0f / std::sqrt(terms));
    return add(writer_.node(Op::conv_binary, inputs(bits, epilogue), writer_.value(out.type, out.h, out.w, out.c),
                            {writer_.tensor(DType::bits, {out_c, kernel[0], kernel[1], in.c}, signs), tensors[0],
                             tensors[1], tensors[2], tensors[3], absent},
                            conv_attributes(window, epilogue)),
               epilogue.scale ? 1.0f : std::sqrt(terms));
  }

  uint32_t pointwise(uint32_t from, const Epilogue& epilogue) {
    const Value in = writer_.values[from];
    const auto tensors = epilogue_tensors(in.c, epilogue, 1.0f);
    return add(
        writer_.node(Op::pointwise, inputs(from, epilogue), writer_.value(ValueType::f32, in.h, in.w, in.c),
                     {tensors[0], tensors[1], tensors[2], tensors[3]}, {static_cast<int32_t>(epilogue.activation)}),
        1.0f);
  }

  // The mean of the whole image.
  uint32_t pool(uint32_t from) {
    const Value in = writer_.values[from];
    return pool(from, Op::average_pool, {{in.h, in.w}, {0, 0, 0, 0}}, 0.7f);
  }

  // With `items` to replay. `change` may spoil the file.
  Buffer finish(uint32_t items, const std::function<void(FileWriter&)>& change = nullptr) {
    const uint32_t features = values_.back(), d = writer_.values[features].c;
    const Value in = writer_.values[latents_];
    std::vector<float> weight(classes_ * d);
    for (float& w : weight) w = real(-0.3f, 0.3f);
    const uint32_t logits =
        writer_.node(Op::conv_float, {features}, writer_.value(ValueType::f32, 1, 1, classes_),
                     {writer_.tensor(DType::f32, {classes_, 1, 1, d}, weight), absent, absent, absent, absent, absent},
                     {1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0});
    writer_.outputs = {{logits, "logits"}, {features, "features"}, {latents_, "latents"}};
    writer_.floats("features.range", {ranges_[ranges_.size() - 2], ranges_.back()});
    writer_.integers("tail.estimators", estimators_);
    writer_.integers("tail.latent", latent_);
    writer_.floats("tail.latent_max", latent_max_);
    writer_.floats("tail.ranges", ranges_);
    if (items > 0) {
      std::vector<uint32_t> replay = {writer_.tensor(DType::bits, {items, in.h, in.w, in.c}, packed(items))};
      for (uint32_t i = 0; i < items; ++i) replay.push_back(i % classes_);
      writer_.integers("tail.replay", replay);
    }
    writer_.text("weights.sha256", std::string(64, '0'));
    if (change) change(writer_);
    return writer_.bytes();
  }

  // Bits of `samples` random latents.
  std::vector<uint32_t> packed(uint32_t samples) {
    const Value in = writer_.values[latents_];
    Array<uint32_t> words = bits(random_, int64_t{samples} * in.h * in.w, in.c);
    return std::vector<uint32_t>(words.data(), words.data() + words.size());
  }

  const std::vector<uint32_t>& values() const { return values_; }
  const Value& shape(uint32_t value) const { return writer_.values[value]; }

 private:
  float real(float low, float high) {
    return low + (high - low) * static_cast<float>(random_.between(0, 65535)) / 65535.0f;
  }

  uint32_t binarize(uint32_t from, const std::vector<float>& lower) {
    const Value in = writer_.values[from];
    std::vector<float> interval;
    for (const float t : lower) interval.insert(interval.end(), {t, INFINITY});
    return writer_.node(Op::binarize, {from}, writer_.value(ValueType::bits, in.h, in.w, in.c),
                        {writer_.tensor(DType::f32, {in.c, 2}, interval)});
  }

  std::vector<uint32_t> epilogue_tensors(uint32_t channels, const Epilogue& epilogue, float size) {
    const auto tensor = [&](bool present, float low, float high) {
      std::vector<float> numbers(channels);
      for (float& number : numbers) number = real(low, high);
      return present ? writer_.tensor(DType::f32, {channels}, numbers) : absent;
    };
    const float sign = random_.chance(20) ? -1.0f : 1.0f;
    return {tensor(epilogue.scale, 0.5f * size * sign, 1.5f * size), tensor(epilogue.bias, -0.4f, 0.4f),
            tensor(epilogue.activation == Activation::prelu, -0.2f, 1.2f), tensor(epilogue.post, -0.3f, 0.3f)};
  }

  static std::vector<uint32_t> inputs(uint32_t from, const Epilogue& epilogue) {
    return epilogue.residual == absent ? std::vector<uint32_t>{from} : std::vector<uint32_t>{from, epilogue.residual};
  }

  static std::vector<int32_t> conv_attributes(const Window& window, const Epilogue& epilogue) {
    const auto& pads = window.pads;
    return {window.stride[0],
            window.stride[1],
            pads[0],
            pads[1],
            pads[2],
            pads[3],
            1,
            1,
            1,
            static_cast<int32_t>(epilogue.activation),
            0};
  }

  uint32_t add(uint32_t value, float size) {
    ranges_.insert(ranges_.end(), {-size * real(1.5f, 3.0f), size * real(1.5f, 3.0f)});
    values_.push_back(value);
    return value;
  }

  Random& random_;
  uint32_t classes_, latents_;
  FileWriter writer_;
  std::vector<uint32_t> values_;  // f32, of the tail
  std::vector<float> ranges_, latent_max_;
  std::vector<uint32_t> latent_, estimators_;
};

// Any tail that can be trained.
inline TailFile random_tail(Random& random, uint32_t classes) {
  using Epilogue = TailFile::Epilogue;
  const auto side = [&](int most) { return static_cast<uint32_t>(random.between(1, most)); };
  const uint32_t rows = side(5), columns = side(5), channels = side(70);  // in this order with every compiler
  TailFile file(random, rows, columns, channels, classes);
  const int layers = random.between(1, 5);
  for (int i = 0; i < layers; ++i) {
    const uint32_t from = file.values()[static_cast<size_t>(
        random.chance(80) ? static_cast<int>(file.values().size()) - 1
                          : random.between(0, static_cast<int>(file.values().size()) - 1))];
    // the last value of all must be reached
    const uint32_t last = file.values().back();
    const Value in = file.shape(from);
    Epilogue epilogue{random.chance(80), random.chance(60), random.chance(40),
                      static_cast<Activation>(random.between(0, 3)), absent};
    TailFile::Window window{{side(3), side(3)}, {0, 0, 0, 0}};
    const bool same = random.chance(50);
    for (size_t axis = 0; axis < 2; ++axis) {
      const uint32_t length = axis == 0 ? in.h : in.w;
      uint32_t& kernel = window.kernel[axis];
      if (same) {
        window.pads[axis] = static_cast<int32_t>(kernel - 1) / 2;
        window.pads[axis + 2] = static_cast<int32_t>(kernel - 1) - window.pads[axis];
      } else {
        kernel = std::min(kernel, length);
        window.pads[axis] = random.between(0, static_cast<int>(kernel) - 1);
        if (random.chance(50)) window.stride[axis] = random.between(1, 3);
      }
    }
    if (from == last && random.chance(25)) {  // what trains nothing takes no residual
      if (random.chance(30)) {
        const uint32_t after = side(5) - 1, before = side(5);  // in this order with every compiler
        file.pad_channels(from, before, after);
        continue;
      }
      const bool mean = random.chance(50);
      if (mean) {
        window.pads = {0, 0, 0, 0};
        window.kernel = {std::min(window.kernel[0], in.h), std::min(window.kernel[1], in.w)};
      }
      file.pool(from, mean ? Op::average_pool : Op::max_pool, window);
      continue;
    }
    const uint32_t out_c = same && random.chance(70) ? in.c : side(70);
    const bool pointwise = random.chance(25);
    const Value made = pointwise ? in : window.over(in, out_c);
    std::vector<uint32_t> fitting;
    for (const uint32_t value : file.values()) {
      const Value v = file.shape(value);
      if (v.c == made.c && v.h == made.h && v.w == made.w) fitting.push_back(value);
    }
    if (!fitting.empty() && random.chance(70))
      epilogue.residual = fitting[static_cast<size_t>(random.between(0, static_cast<int>(fitting.size()) - 1))];
    if (from != last && epilogue.residual != last) {  // nothing else may come of it
      if (std::find(fitting.begin(), fitting.end(), last) == fitting.end()) continue;
      epilogue.residual = last;
    }
    if (pointwise) {
      file.pointwise(from, epilogue);
    } else if (random.chance(40)) {
      file.real_conv(from, out_c, window.kernel, window.pads, epilogue, window.stride);
    } else {
      file.conv(from, out_c, window.kernel, window.pads, epilogue, window.stride);
    }
  }
  const uint32_t last = file.values().back();
  if (file.values().size() == 1 || file.shape(last).h * file.shape(last).w > 1) file.pool(last);
  return file;
}

}  // namespace onebit::test
