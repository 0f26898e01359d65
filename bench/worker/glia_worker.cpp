// Our side of a comparison: loads a model once, then does one measured piece of work per line of standard input and
// answers each with a line whose first word is its seconds:
//   prefill N          taking in N random tokens, up to the first sampled one
//   decode N S         N steps of S sequences
//   together S P A     S streams at once, prompts of P and answers of A tokens   (then: first token, between tokens)
//   prefix N           two prompts that share N tokens   (the first's and the second's time to its first token)
//   answer FILE N      the greedy answer to FILE, at most N tokens, after its first   (then: tokens, digest of its
//   text) crowd FILE S       each prompt of FILE, S at a time   (then: tokens)
// A peer's worker speaks the same lines; bench/cases/ interleaves the two.
// usage: glia_worker MODEL THREADS [prefix-cache] [speculation] [served-kv] [int8] [packed=FOLDER]
#include <algorithm>
#include <fstream>
#include <functional>
#include <iostream>
#include <sstream>

#include "speed.h"
#include "work.h"

namespace {

using namespace glia;

std::string text_of(const std::string& file) {
  std::ifstream in(file);
  if (!in) throw std::runtime_error("cannot read " + file);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string together(engine::ChatModel& model, std::mt19937& random, int streams, int prompt, int answer) {
  std::atomic<std::int64_t> done{0};
  const std::atomic<bool> stop{false};
  const auto speed = cli::measure_speed(
      model, {.concurrency = streams, .prompt = prompt, .answer = answer, .seed = static_cast<std::uint32_t>(random())},
      done, stop);
  std::ostringstream out;
  out << speed.seconds << " " << speed.first_token_p50_s << " " << speed.between_tokens_p50_s;
  return out.str();
}

std::string work(engine::ChatModel& model, std::mt19937& random, const std::string& line) {
  std::istringstream words(line);
  std::ostringstream out;
  std::string verb;
  words >> verb;
  if (verb == "answer" || verb == "crowd") {
    std::string file;
    int n = 0;
    words >> file >> n;
    if (verb == "crowd") {
      const auto crowd = bench::crowd(model, file, n);
      out << crowd.seconds << " " << crowd.tokens;
    } else {
      const auto answer = bench::answer(model, text_of(file), n);
      out << answer.seconds << " " << answer.tokens << " " << std::hash<std::string>{}(answer.text);
    }
    return out.str();
  }
  int a = 0;
  int b = 1;
  int c = 1;
  words >> a >> b >> c;
  if (verb == "prefill") {
    out << bench::prefill(model, random, a);
  } else if (verb == "decode") {
    out << bench::decode(model, random, a, b);
  } else if (verb == "together") {
    out << together(model, random, a, b, c);
  } else if (verb == "prefix") {
    const auto shared = bench::shared_prefix(model, random, a);
    out << shared.first_s << " " << shared.second_s;
  } else {
    throw std::runtime_error("no such work: " + line);
  }
  return out.str();
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3) {
    std::cerr << "usage: glia_worker MODEL THREADS [prefix-cache] [speculation] [served-kv] [int8] [packed=FOLDER]\n";
    return 2;
  }
  engine::EngineOptions options;
  options.threads = std::stoi(argv[2]);
  const std::vector<std::string_view> words(argv + 3, argv + argc);
  const auto with = [&](std::string_view word) { return std::find(words.begin(), words.end(), word) != words.end(); };
  if (!with("served-kv")) options.kv_bytes = std::size_t{2} << 30;  // else as much as glia serve has by itself
  options.prefix_cache = with("prefix-cache");                      // else every run computes its prompt
  options.speculation = with("speculation");
  for (const auto word : words) {  // else weights are packed at every start
    if (word.starts_with("packed=")) options.packed_cache = word.substr(7);
  }
  if (with("int8")) options.activations = kernels::Activations::int8;
  const SystemClock clock;
  const auto engine = engine::make_engine(options, clock);
  const auto model = engine->acquire(argv[1]);
  std::cout << "ready glia " << engine->device_name() << " threads=" << options.threads
            << (with("int8") ? " activations=int8" : "") << std::endl;
  std::mt19937 random(1);
  for (std::string line; std::getline(std::cin, line) && line != "quit";) {
    std::cout << work(*model, random, line) << std::endl;
  }
  return 0;
} catch (const std::exception& e) {
  std::cerr << "glia_worker: " << e.what() << "\n";
  return 1;
}
