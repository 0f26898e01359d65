// Vector search as bench/cases/vectors.py drives it: reads vectors, then one measured piece of work a line of standard
// input, one line of answer each.
// usage: vectors_bench BASE QUERIES TRUTH FILTERED_TRUTH DIMENSIONS K [METRIC]   (float32 and int32 files, row after
// row)
//   build THREADS      seconds of storing all vectors and building the graph with so many threads
//   walk WIDTH REPEAT  queries a second of one thread along the graph, and recall
//   scan REPEAT        the same by looking at every vector
//   filter REPEAT      the same of those whose property matches: 1 of 100
//   bytes              of memory
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>
#include <string>

#include "base/thread_pool.h"
#include "kernels/cpu_isa.h"
#include "vectorize/state.h"

namespace {

using namespace glia;
using namespace glia::vectorize;

template <class Number>
std::vector<Number> read_file(const char* path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  const auto bytes = static_cast<std::size_t>(in.tellg());
  std::vector<Number> out(bytes / sizeof(Number));
  in.seekg(0);
  in.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(bytes));
  return out;
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

class Bench {
 public:
  Bench(char** argv, Metric metric)
      : base_(read_file<float>(argv[1])),
        queries_(read_file<float>(argv[2])),
        truth_(read_file<std::int32_t>(argv[3])),
        filtered_truth_(read_file<std::int32_t>(argv[4])),
        dimensions_(std::stoul(argv[5])),
        k_(std::stoul(argv[6])),
        state_({static_cast<std::int32_t>(dimensions_), metric}, *kernels::choose_isa("").table->vectors) {}

  double build(int threads) {
    ThreadPool pool(threads);
    state_.add_property({"kind", PropertyType::number}, 0);
    const double start = now();
    std::vector<std::int64_t> dead;
    const std::size_t n = base_.size() / dimensions_;
    for (std::size_t i = 0; i < n; ++i) {
      const auto row = std::span(base_).subspan(i * dimensions_, dimensions_);
      const std::string kind = "{\"kind\":" + std::to_string(i % 100) + "}";
      state_.put(static_cast<std::int64_t>(i), {std::to_string(i), {}, {row.begin(), row.end()}, kind}, dead);
    }
    auto graph = std::make_unique<Graph>(state_.slots());
    const Slot size = state_.slots().size();
    graph->grow(size);
    constexpr Slot kPiece = 16;
    pool.for_each((size + kPiece - 1) / kPiece, [&](std::uint32_t piece, int) {
      for (Slot s = piece * kPiece; s < std::min(size, (piece + 1) * kPiece); ++s) graph->insert(s);
    });
    state_.adopt_graph(std::move(graph), size);
    return now() - start;
  }

  std::string search(std::size_t width, int repeat, const Filter* filter, bool scan) {
    const std::size_t n = queries_.size() / dimensions_;
    const auto& truth = filter != nullptr ? filtered_truth_ : truth_;
    std::size_t hits = 0;
    const double start = now();
    for (int r = 0; r < repeat; ++r) {
      hits = 0;
      for (std::size_t i = 0; i < n; ++i) {
        const auto q = std::span<const float>(queries_).subspan(i * dimensions_, dimensions_);
        const auto p = state_.slots().prepare(q);
        const auto found = state_.nearest(p, {k_, scan ? std::size_t{1} << 30 : width}, std::nullopt, filter);
        const std::int32_t* const want = truth.data() + i * k_;
        for (const Near& near : found) {
          hits += std::find(want, want + k_, static_cast<std::int32_t>(near.slot)) != want + k_ ? 1 : 0;
        }
      }
    }
    const double seconds = now() - start;
    std::ostringstream out;
    out << static_cast<double>(n) * repeat / seconds << " " << static_cast<double>(hits) / static_cast<double>(n * k_);
    return out.str();
  }

  std::string answer(const std::string& line) {
    std::istringstream in(line);
    std::string verb;
    std::size_t number = 0;
    int repeat = 1;
    in >> verb >> number >> repeat;
    if (verb == "build") return std::to_string(build(static_cast<int>(number)));
    if (verb == "walk") return search(number, repeat, nullptr, false);
    if (verb == "scan") return search(0, static_cast<int>(number), nullptr, true);
    if (verb == "bytes") return std::to_string(state_.bytes());
    if (verb == "filter") {
      const Filter filter = parse_filter(parse_json(R"({"kind":17})"), Limits());
      return search(0, static_cast<int>(number), &filter, false);
    }
    return "unknown";
  }

 private:
  std::vector<float> base_, queries_;
  std::vector<std::int32_t> truth_, filtered_truth_;
  std::size_t dimensions_, k_;
  State state_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7 && argc != 8) return 2;
  const auto metric = metric_of(argc == 8 ? argv[7] : "cosine");
  if (!metric) return 2;
  Bench bench(argv, *metric);
  std::cout << "ready " << kernels::choose_isa("").device_name << std::endl;
  for (std::string line; std::getline(std::cin, line);) std::cout << bench.answer(line) << std::endl;
  return 0;
}
