#include "formats/gguf_parse.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "formats/byte_reader.h"
#include "formats/gguf_types.h"
#include "formats/quote_name.h"

namespace glia::formats {
namespace {

using tensor::DType;

// Far above any published model; they bound what a hostile file can make us hold.
constexpr std::uint64_t kMostKeys = 1U << 16;
constexpr std::uint64_t kMostTensors = 1U << 20;
constexpr std::uint64_t kMostArrayElements = 1U << 24;  // over the whole file
constexpr std::uint64_t kMostNameBytes = 1U << 16;      // the specification's limit for keys
constexpr std::uint32_t kMostDimensions = 4;
constexpr std::uint64_t kMostAlignment = 1U << 20;

/// A tensor as the header describes it, before its bytes are known to exist.
struct Described {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::uint64_t> shape;  // outermost first
  std::uint64_t bytes = 0;
  std::uint64_t offset = 0;  // from the start of the data section
};

class Parser {
 public:
  explicit Parser(std::span<const std::byte> bytes) : bytes_(bytes), in_(bytes) {}

  GgufContents run() {
    if (bytes_.size() < 4 || in_.read<std::uint32_t>("the magic") != kGgufMagic) in_.fail("not a GGUF file");
    read_version();
    const auto tensors = in_.read<std::uint64_t>("the tensor count");
    const auto keys = in_.read<std::uint64_t>("the metadata count");
    if (tensors > kMostTensors) in_.fail("the file claims " + std::to_string(tensors) + " tensors");
    if (keys > kMostKeys) in_.fail("the file claims " + std::to_string(keys) + " metadata keys");
    for (std::uint64_t i = 0; i < keys; i++) read_key();
    read_alignment();
    std::vector<Described> described;
    for (std::uint64_t i = 0; i < tensors; i++) described.push_back(read_tensor());
    place(std::move(described));
    return std::move(out_);
  }

 private:
  void read_version() {
    out_.version = in_.read<std::uint32_t>("the version");
    if (out_.version == 2 || out_.version == 3) return;
    if ((out_.version & 0xFFFFU) == 0) in_.fail("the file is big-endian");
    in_.fail("GGUF version " + std::to_string(out_.version) + " is not supported (2 and 3 are)");
  }

  std::string_view read_name(std::string_view what) {
    const auto name = in_.string(what);
    if (name.empty()) in_.fail(std::string(what) + " is empty");
    if (name.size() > kMostNameBytes) in_.fail(std::string(what) + " is too long");
    return name;
  }

  void read_key() {
    const auto key = read_name("a metadata key");
    const auto type = in_.read<std::uint32_t>("a metadata type");
    GgufValue value =
        type == static_cast<std::uint32_t>(GgufType::array) ? GgufValue(read_array(key)) : read_scalar(type, key);
    if (!out_.metadata.emplace(key, std::move(value)).second)
      in_.fail("metadata key " + quote_name(key) + " comes twice");
  }

  bool read_bool() {
    const auto byte = in_.read<std::uint8_t>("a boolean");
    if (byte > 1) in_.fail("a boolean is neither 0 nor 1");
    return byte == 1;
  }

  GgufValue read_scalar(std::uint32_t type, std::string_view key) {
    switch (static_cast<GgufType>(type)) {
      case GgufType::u8:
        return widened<std::uint64_t, std::uint8_t>();
      case GgufType::i8:
        return widened<std::int64_t, std::int8_t>();
      case GgufType::u16:
        return widened<std::uint64_t, std::uint16_t>();
      case GgufType::i16:
        return widened<std::int64_t, std::int16_t>();
      case GgufType::u32:
        return widened<std::uint64_t, std::uint32_t>();
      case GgufType::i32:
        return widened<std::int64_t, std::int32_t>();
      case GgufType::u64:
        return widened<std::uint64_t, std::uint64_t>();
      case GgufType::i64:
        return widened<std::int64_t, std::int64_t>();
      case GgufType::f32:
        return widened<double, float>();
      case GgufType::f64:
        return widened<double, double>();
      case GgufType::boolean:
        return read_bool();
      case GgufType::string:
        return in_.string("a metadata string");
      case GgufType::array:
        break;
    }
    in_.fail("metadata key " + quote_name(key) + " has the unknown type " + std::to_string(type));
  }

  template <typename Wide, typename Stored>
  GgufValue widened() {
    return static_cast<Wide>(in_.read<Stored>("a metadata value"));
  }

  template <typename Wide, typename Stored>
  GgufArray numbers(std::uint64_t count) {
    std::vector<Wide> out;
    check_count(count, sizeof(Stored));
    out.reserve(count);
    for (std::uint64_t i = 0; i < count; i++) out.push_back(static_cast<Wide>(in_.read<Stored>("an array element")));
    return out;
  }

  void check_count(std::uint64_t count, std::uint64_t least_bytes_each) {
    if (count > in_.remaining() / least_bytes_each) in_.fail("an array is longer than the file");
    if (count > kMostArrayElements - array_elements_) in_.fail("the metadata arrays are too long");
    array_elements_ += count;
  }

  GgufArray read_array(std::string_view key) {
    const auto type = in_.read<std::uint32_t>("an array type");
    const auto count = in_.read<std::uint64_t>("an array length");
    switch (static_cast<GgufType>(type)) {
      case GgufType::u8:
        return numbers<std::uint64_t, std::uint8_t>(count);
      case GgufType::i8:
        return numbers<std::int64_t, std::int8_t>(count);
      case GgufType::u16:
        return numbers<std::uint64_t, std::uint16_t>(count);
      case GgufType::i16:
        return numbers<std::int64_t, std::int16_t>(count);
      case GgufType::u32:
        return numbers<std::uint64_t, std::uint32_t>(count);
      case GgufType::i32:
        return numbers<std::int64_t, std::int32_t>(count);
      case GgufType::u64:
        return numbers<std::uint64_t, std::uint64_t>(count);
      case GgufType::i64:
        return numbers<std::int64_t, std::int64_t>(count);
      case GgufType::f32:
        return numbers<double, float>(count);
      case GgufType::f64:
        return numbers<double, double>(count);
      case GgufType::boolean: {
        std::vector<bool> out;
        check_count(count, 1);
        for (std::uint64_t i = 0; i < count; i++) out.push_back(read_bool());
        return out;
      }
      case GgufType::string: {
        std::vector<std::string_view> out;
        check_count(count, sizeof(std::uint64_t));
        out.reserve(count);
        for (std::uint64_t i = 0; i < count; i++) out.push_back(in_.string("an array string"));
        return out;
      }
      case GgufType::array:
        in_.fail("metadata key " + quote_name(key) + " is an array of arrays");
    }
    in_.fail("metadata key " + quote_name(key) + " is an array of the unknown type " + std::to_string(type));
  }

  void read_alignment() {
    const auto it = out_.metadata.find("general.alignment");
    if (it == out_.metadata.end()) return;
    const auto* value = std::get_if<std::uint64_t>(&it->second);
    // The specification asks for a multiple of 8; a power of two is what every writer and reader uses.
    if (value == nullptr || *value < 8 || *value > kMostAlignment || (*value & (*value - 1)) != 0) {
      in_.fail("general.alignment is not a power of two between 8 and " + std::to_string(kMostAlignment));
    }
    alignment_ = *value;
  }

  Described read_tensor() {
    Described t;
    t.name = read_name("a tensor name");
    const std::string who = "tensor " + quote_name(t.name);
    const auto dims = in_.read<std::uint32_t>("a tensor's dimension count");
    if (dims > kMostDimensions) in_.fail(who + " has " + std::to_string(dims) + " dimensions");
    std::uint64_t elements = 1;
    for (std::uint32_t i = 0; i < dims; i++) {
      const auto n = in_.read<std::uint64_t>("a tensor dimension");
      if (n == 0) in_.fail(who + " has a dimension of 0");
      if (!checked_mul(elements, n, elements)) in_.fail(who + " is impossibly large");
      t.shape.push_back(n);
    }
    std::reverse(t.shape.begin(), t.shape.end());
    const auto type = in_.read<std::uint32_t>("a tensor type");
    const auto dtype = dtype_of_ggml(type);
    if (!dtype) in_.fail(who + " has type " + ggml_type_name(type) + ", which is not supported");
    t.dtype = *dtype;
    const auto& info = tensor::info(t.dtype);
    const std::uint64_t cols = t.shape.empty() ? 1 : t.shape.back();
    if (cols % info.block != 0) {
      in_.fail(who + " has rows of " + std::to_string(cols) + " values, not a multiple of " +
               std::to_string(info.block) + " as " + std::string(info.name) + " needs");
    }
    if (!checked_mul(elements / info.block, info.bytes, t.bytes)) in_.fail(who + " is impossibly large");
    t.offset = in_.read<std::uint64_t>("a tensor offset");
    if (t.offset % alignment_ != 0) in_.fail(who + " is not aligned to " + std::to_string(alignment_));
    return t;
  }

  /// Checks every tensor against the data section, which starts after the header at the next multiple of the alignment,
  /// and against its neighbours; only then makes views.
  void place(std::vector<Described> described) {
    if (described.empty()) return;
    const std::uint64_t start = (in_.position() + alignment_ - 1) / alignment_ * alignment_;
    if (start > bytes_.size()) in_.fail("the tensor data is missing");
    const auto data = bytes_.subspan(start);
    std::sort(described.begin(), described.end(),
              [](const Described& a, const Described& b) { return a.offset < b.offset; });
    std::uint64_t end = 0;
    for (Described& t : described) {
      if (t.offset < end) in_.fail("tensor " + quote_name(t.name) + " overlaps another");
      if (!checked_add(t.offset, t.bytes, end) || end > data.size()) {
        in_.fail("tensor " + quote_name(t.name) + " reaches beyond the end of the file");
      }
      const auto view = data.subspan(t.offset, t.bytes);
      if (!out_.tensors.emplace(t.name, tensor::View{t.dtype, std::move(t.shape), view}).second) {
        in_.fail("tensor " + quote_name(t.name) + " comes twice");
      }
    }
  }

  std::span<const std::byte> bytes_;
  ByteReader in_;
  GgufContents out_;
  std::uint64_t alignment_ = kGgufDefaultAlignment;
  std::uint64_t array_elements_ = 0;
};

}  // namespace

GgufContents parse_gguf(std::span<const std::byte> bytes) { return Parser(bytes).run(); }

}  // namespace glia::formats
