// What binding and REST share: the model named by the client, `options` beside the inputs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/context.h"
#include "api/text_call.h"

namespace glia::api {

/// Refuses every other method with 405 and Allow; HEAD stands for GET. Errors: glia::Error(method_not_allowed).
void need_method(const http::Request& request, const std::shared_ptr<Reply>& reply, std::string_view method);

/// A message's content that is one part alone, without a list around it, is taken as a list of one.
void accept_content_forms(json::object& inputs);

/// Reads `options` of a run into the request; what is not served is refused, what is unknown is noted by name.
/// Errors: glia::Error(invalid_input, not_served).
void read_options(const json::value& options, tasks::RunRequest& request, std::vector<std::string>& notes);

/// Parses a body that must be a JSON object. Errors: glia::Error(incomplete_request) when empty, (invalid_input).
json::object parse_object(std::string_view body);

/// A body that is no JSON: audio, pictures, multipart. Clients that name no type or a form's (curl's default) send
/// JSON.
bool is_binary(std::string_view content_type);

/// Refuses a body that no served model takes; an unknown model comes first.
[[noreturn]] void refuse_binary(const Context& context, std::string_view model, std::string_view content_type);

/// Runs `job` now when `body_bytes` is small, else on a worker thread, so that parsing never holds up other clients'
/// streams. What the job throws becomes the reply's error.
void run_job(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply, std::size_t body_bytes,
             std::function<void()> job);

/// Runs `job` on one of the queue's threads. What the job throws becomes the reply's error.
void run_on(tasks::WorkQueue& queue, const std::shared_ptr<Reply>& reply, std::function<void()> job);

/// The same always on a worker thread: for what waits for the disk.
void run_on_worker(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply,
                   std::function<void()> job);

}  // namespace glia::api
