#include "api/envelope.h"

namespace glia::api {
namespace {

constexpr int kNoteCode = 1000;  ///< the lowest that Cloudflare's schema of "messages" allows

}  // namespace

json::object envelope(json::value result, const std::vector<std::string>& notes) {
  json::array messages;
  for (const auto& note : notes) messages.push_back(json::object{{"code", kNoteCode}, {"message", note}});
  return {
      {"result", std::move(result)}, {"success", true}, {"errors", json::array{}}, {"messages", std::move(messages)}};
}

}  // namespace glia::api
