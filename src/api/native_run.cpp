#include "api/native_run.h"

#include <iterator>

#include "api/native_format.h"
#include "api/openai/responses_format.h"
#include "api/openai/responses_request.h"
#include "api/run_request.h"

namespace glia::api {
namespace {

bool takes_responses_form(const catalog::Catalog& catalog, std::string_view model) {
  const auto* entry = catalog.find(model);
  return entry != nullptr && entry->served() && entry->task == "Text Generation" && catalog.knows(*entry, "input");
}

}  // namespace

void read_native_inputs(const Context& context, const Reply& reply, json::object inputs, bool envelope,
                        TextCall& call) {
  if (is_responses_form(inputs) && takes_responses_form(context.catalog(), call.request.model)) {
    ResponsesRequest body = read_responses_request(std::move(inputs));
    call.stream = body.stream;
    call.request.inputs = std::move(body.inputs);
    call.notes.insert(call.notes.end(), std::make_move_iterator(body.notes.begin()),
                      std::make_move_iterator(body.notes.end()));
    call.format = responses_format(reply.id(), context.clock().unix_ms() / 1000, std::move(body.settings), envelope);
    return;
  }
  accept_content_forms(inputs);
  call.stream = wants_stream(inputs);
  call.request.inputs = std::move(inputs);
  call.format = native_format(envelope);
}

}  // namespace glia::api
