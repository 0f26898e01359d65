#include "api/vectorize/answers.h"

#include <cstdio>
#include <ctime>

#include "api/envelope.h"
#include "vectorize/compact_json.h"

namespace glia::api {
namespace {

using vectorize::write_number;
using vectorize::write_short_number;
using vectorize::write_text;

void write_values(std::string& out, const std::vector<float>& values) {
  out += '[';
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ',';
    write_number(out, values[i]);
  }
  out += ']';
}

/// Calls item(i) for each, with commas between.
template <class Item>
void write_list(std::string& out, std::size_t n, Item&& item) {
  out += '[';
  for (std::size_t i = 0; i < n; ++i) {
    if (i > 0) out += ',';
    item(i);
  }
  out += ']';
}

void write_namespace(std::string& out, const std::optional<std::string>& ns) {
  if (!ns) return;
  out += ",\"namespace\":";
  write_text(out, *ns);
}

void write_metadata(std::string& out, const std::string& metadata) {
  if (!metadata.empty()) out += ",\"metadata\":" + metadata;
}

}  // namespace

std::string iso_time(std::int64_t unix_ms) {
  const std::time_t seconds = static_cast<std::time_t>(unix_ms / 1000);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03d000Z", utc.tm_year + 1900, utc.tm_mon + 1,
                utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, static_cast<int>(unix_ms % 1000));
  return text;
}

std::string index_json(const vectorize::IndexEntry& entry) {
  std::string out = "{\"created_on\":\"" + iso_time(entry.created_ms) + "\",\"modified_on\":\"" +
                    iso_time(entry.modified_ms) + "\",\"name\":";
  write_text(out, entry.name);
  out += ",\"description\":";
  write_text(out, entry.description.value_or(""));
  out += ",\"config\":{\"dimensions\":" + std::to_string(entry.config.dimensions) + ",\"metric\":\"" +
         std::string(vectorize::metric_name(entry.config.metric)) + "\"}}";
  return out;
}

std::string info_json(const vectorize::IndexInfo& info) {
  const bool any = !info.processed_mutation.empty();
  return "{\"dimensions\":" + std::to_string(info.dimensions) + ",\"vectorCount\":" + std::to_string(info.vectors) +
         ",\"processedUpToDatetime\":" + (any ? "\"" + iso_time(info.processed_ms) + "\"" : "null") +
         ",\"processedUpToMutation\":" + (any ? "\"" + info.processed_mutation + "\"" : "null") + "}";
}

std::string matches_json(const std::vector<vectorize::Match>& matches) {
  std::string out = "{\"count\":" + std::to_string(matches.size()) + ",\"matches\":";
  write_list(out, matches.size(), [&](std::size_t i) {
    const auto& m = matches[i];
    out += "{\"id\":";
    write_text(out, m.id);
    out += ",\"score\":";
    write_short_number(out, static_cast<float>(m.score));
    write_namespace(out, m.ns);
    if (!m.values.empty()) {
      out += ",\"values\":";
      write_values(out, m.values);
    }
    write_metadata(out, m.metadata);
    out += '}';
  });
  return out + "}";
}

std::string vectors_json(const std::vector<vectorize::Vector>& vectors) {
  std::string out;
  write_list(out, vectors.size(), [&](std::size_t i) {
    const auto& v = vectors[i];
    out += "{\"id\":";
    write_text(out, v.id);
    write_namespace(out, v.ns);
    out += ",\"values\":";
    write_values(out, v.values);
    write_metadata(out, v.metadata);
    out += '}';
  });
  return out;
}

std::string mutation_json(const std::string& mutation) { return "{\"mutationId\":\"" + mutation + "\"}"; }

std::string page_json(const vectorize::VectorPage& page) {
  const bool more = !page.next_cursor.empty();
  std::string out = "{\"count\":" + std::to_string(page.ids.size()) + ",\"totalCount\":" + std::to_string(page.total) +
                    ",\"isTruncated\":" + (more ? "true" : "false") +
                    ",\"nextCursor\":" + (more ? "\"" + page.next_cursor + "\"" : "null") +
                    ",\"cursorExpirationTimestamp\":" + (more ? "\"" + iso_time(page.expires_ms) + "\"" : "null") +
                    ",\"vectors\":";
  write_list(out, page.ids.size(), [&](std::size_t i) {
    out += "{\"id\":";
    write_text(out, page.ids[i]);
    out += '}';
  });
  return out + "}";
}

std::string metadata_indexes_json(const std::vector<vectorize::MetadataIndex>& indexes) {
  std::string out = "{\"metadataIndexes\":";
  write_list(out, indexes.size(), [&](std::size_t i) {
    out += "{\"propertyName\":";
    write_text(out, indexes[i].property);
    out += ",\"indexType\":\"" + std::string(vectorize::type_name(indexes[i].type)) + "\"}";
  });
  return out + "}";
}

std::string enveloped(const std::string& result, const std::vector<std::string>& notes) {
  const json::object rest = envelope(nullptr, notes);
  return "{\"result\":" + result +
         ",\"success\":true,\"errors\":[],\"messages\":" + json::serialize(rest.at("messages")) + "}";
}

}  // namespace glia::api
