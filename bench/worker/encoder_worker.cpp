// Our side of a comparison of encoders: loads a folder once, then does one piece of work per line of standard input and
// answers each with a line whose first word is its seconds:
//   encode FILE        the vectors of all texts of FILE in one batch; a line of FILE is a text's token ids
//   vectors FILE OUT   the same, and writes them to OUT, float32 [texts, width]
// bench/peers/onnx_worker.py speaks the same lines. usage: encoder_worker FOLDER THREADS [int8|exact]
#include <chrono>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "formats/safetensors.h"
#include "kernels/device.h"
#include "models/encoder_model.h"

namespace {

using namespace glia;

using Texts = std::vector<std::vector<std::int32_t>>;

Texts read_texts(const std::string& file) {
  std::ifstream in(file);
  if (!in) throw std::runtime_error("cannot read " + file);
  Texts texts;
  for (std::string line; std::getline(in, line);) {
    std::istringstream ids(line);
    auto& text = texts.emplace_back();
    for (std::int32_t id = 0; ids >> id;) text.push_back(id);
  }
  return texts;
}

class Worker {
 public:
  explicit Worker(models::EncoderModel& model) : model_(model) {}

  /// Seconds; the vectors are in values() afterwards.
  double encode(const std::string& file) {
    if (!texts_.contains(file)) texts_[file] = read_texts(file);
    const Texts& texts = texts_[file];
    const auto width = static_cast<std::size_t>(model_.info().width);
    values_.resize(texts.size() * width);
    std::vector<models::EncoderText> batch;
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < texts.size(); i++) {
      batch.push_back({.tokens = texts[i],
                       .types = {},
                       .pooling = model_.info().pooling,
                       .normalise = model_.info().normalises,
                       .out = std::span(values_).subspan(i * width, width)});
    }
    model_.forward(batch);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  const std::vector<float>& values() const { return values_; }

 private:
  models::EncoderModel& model_;
  std::map<std::string, Texts> texts_;
  std::vector<float> values_;
};

void answer(Worker& worker, const std::string& line) {
  std::istringstream words(line);
  std::string verb, file, out;
  words >> verb >> file >> out;
  if (verb != "encode" && verb != "vectors") throw std::runtime_error("no such work: " + line);
  const double seconds = worker.encode(file);
  if (verb == "vectors") {
    std::ofstream(out, std::ios::binary)
        .write(reinterpret_cast<const char*>(worker.values().data()),
               static_cast<std::streamsize>(worker.values().size() * sizeof(float)));
  }
  std::cout << seconds << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: encoder_worker FOLDER THREADS [int8|exact]\n";
    return 2;
  }
  try {
    const std::string_view mode = argc > 3 ? argv[3] : "";
    kernels::CpuOptions options;
    options.threads = std::stoi(argv[2]);
    if (mode == "int8") options.activations = kernels::Activations::int8;
    if (mode == "exact") options.math = kernels::MathMode::exact;
    const auto device = kernels::make_cpu_device(options);
    const auto model = models::load_encoder(formats::HfFolder::open(argv[1]), *device);
    std::cout << "ready " << device->name() << ", " << options.threads << " threads"
              << (mode.empty() ? "" : ", " + std::string(mode)) << std::endl;
    Worker worker(*model);
    for (std::string line; std::getline(std::cin, line);) answer(worker, line);
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
