// For tests: reads Prometheus' text format, version 0.0.4, and refuses what its rules forbid: a sample without its
// family, a family in pieces, a series twice, a histogram that does not add up, a counter that goes down or is not
// called _total.
// Source: the description of exposition formats in Prometheus' documentation. Errors: std::runtime_error.
#pragma once

#include <cmath>
#include <cstdlib>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace glia::api::prometheus_text {

using Labels = std::map<std::string, std::string>;

struct Sample {
  std::string name;
  Labels labels;
  double value = 0;
};

struct Family {
  std::string type;
  std::string help;
  std::vector<Sample> samples;
};
using Families = std::map<std::string, Family>;

[[noreturn]] inline void refuse(const std::string& why, std::string_view line) {
  throw std::runtime_error(why + ": " + std::string(line));
}

inline bool in_name(char c, bool first) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' || (!first && c >= '0' && c <= '9');
}

/// Takes a name off the front.
inline std::string take_name(std::string_view& rest, std::string_view line) {
  std::size_t n = 0;
  while (n < rest.size() && in_name(rest[n], n == 0)) ++n;
  if (n == 0) refuse("no name", line);
  std::string name(rest.substr(0, n));
  rest.remove_prefix(n);
  return name;
}

inline void take(std::string_view& rest, char c, std::string_view line) {
  if (rest.empty() || rest.front() != c) refuse(std::string("no ") + c, line);
  rest.remove_prefix(1);
}

inline std::string take_value(std::string_view& rest, std::string_view line) {
  take(rest, '"', line);
  std::string value;
  while (!rest.empty() && rest.front() != '"') {
    char c = rest.front();
    rest.remove_prefix(1);
    if (c == '\\') {
      if (rest.empty() || std::string_view("\\\"n").find(rest.front()) == std::string_view::npos) {
        refuse("a bad escape", line);
      }
      c = rest.front() == 'n' ? '\n' : rest.front();
      rest.remove_prefix(1);
    }
    value += c;
  }
  take(rest, '"', line);
  return value;
}

inline double number(std::string_view text, std::string_view line) {
  if (text == "+Inf") return INFINITY;
  if (text == "-Inf") return -INFINITY;
  if (text == "NaN") return NAN;
  const std::string copy(text);
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);
  if (copy.empty() || *end != '\0' || !std::isfinite(value)) refuse("not a number", line);
  return value;
}

inline Sample read_sample(std::string_view line) {
  std::string_view rest = line;
  Sample sample;
  sample.name = take_name(rest, line);
  if (!rest.empty() && rest.front() == '{') {
    rest.remove_prefix(1);
    while (!rest.empty() && rest.front() != '}') {
      const std::string name = take_name(rest, line);
      take(rest, '=', line);
      if (!sample.labels.emplace(name, take_value(rest, line)).second) refuse("a label twice", line);
      if (!rest.empty() && rest.front() == ',') rest.remove_prefix(1);
    }
    take(rest, '}', line);
  }
  take(rest, ' ', line);
  sample.value = number(rest, line);
  return sample;
}

/// What a sample may be called in a family of that type.
inline bool belongs(const Sample& sample, const std::string& family, const std::string& type) {
  if (type != "histogram") return sample.name == family;
  return sample.name == family + "_bucket" || sample.name == family + "_sum" || sample.name == family + "_count";
}

inline void check_histogram(const std::string& name, const Family& family) {
  struct Series {
    std::map<double, double> buckets;
    double count = -1;
    double sum = -1;
  };
  std::map<Labels, Series> all;
  for (const Sample& s : family.samples) {
    Labels labels = s.labels;
    if (s.name == name + "_bucket") {
      const auto le = labels.extract("le");
      if (le.empty()) refuse("a bucket without le", name);
      all[labels].buckets[number(le.mapped(), name)] = s.value;
    } else {
      (s.name == name + "_sum" ? all[labels].sum : all[labels].count) = s.value;
    }
  }
  for (const auto& [labels, series] : all) {
    double before = 0;
    for (const auto& [bound, value] : series.buckets) {
      if (value < before) refuse("buckets are not cumulative", name);
      before = value;
    }
    if (series.buckets.empty() || !std::isinf(series.buckets.rbegin()->first)) refuse("no bucket +Inf", name);
    if (series.count != before) refuse("the count is not the last bucket", name);
    if (series.sum < 0) refuse("no sum", name);
  }
}

inline void check(const std::string& name, const Family& family) {
  if (family.help.empty()) refuse("no HELP", name);
  std::set<std::pair<std::string, Labels>> series;
  for (const Sample& s : family.samples) {
    if (!series.emplace(s.name, s.labels).second) refuse("a series twice", name);
    if (family.type == "counter" && !(s.value >= 0)) refuse("a counter below 0", name);
  }
  const bool total = name.size() > 6 && name.compare(name.size() - 6, 6, "_total") == 0;
  if (total != (family.type == "counter")) refuse("_total is for counters, all of them", name);
  if (family.type == "histogram") check_histogram(name, family);
}

inline Families parse(const std::string& text) {
  if (text.empty() || text.back() != '\n') refuse("the last line has no end", "");
  Families families;
  std::string current;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP ") || line.starts_with("# TYPE ")) {
      std::string_view rest = std::string_view(line).substr(7);
      const std::string name = take_name(rest, line);
      if (name != current && families.contains(name)) refuse("a family in pieces", line);
      current = name;
      Family& family = families[name];
      if (!family.samples.empty()) refuse("a sample before its HELP and TYPE", line);
      take(rest, ' ', line);
      std::string& field = line[2] == 'H' ? family.help : family.type;
      if (!field.empty()) refuse("HELP or TYPE twice", line);
      field = rest;
    } else if (!line.empty() && line.front() != '#') {
      const Sample sample = read_sample(line);
      Family& family = families[current];
      if (family.type.empty() || !belongs(sample, current, family.type)) refuse("a sample outside its family", line);
      family.samples.push_back(sample);
    }
  }
  for (const auto& [name, family] : families) check(name, family);
  return families;
}

/// The value of one series. Errors: std::runtime_error when there is none.
inline double value(const Families& families, const std::string& family, const std::string& name,
                    const Labels& labels = {}) {
  for (const Sample& s : families.at(family).samples) {
    if (s.name == name && s.labels == labels) return s.value;
  }
  refuse("no such series", name);
}
inline double value(const Families& families, const std::string& name, const Labels& labels = {}) {
  return value(families, name, name, labels);
}

}  // namespace glia::api::prometheus_text
