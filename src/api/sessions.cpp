#include "api/sessions.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "http/sse.h"
#include "vectorize/vectorize.h"

namespace glia::api {
namespace {

constexpr std::chrono::seconds kCommentEvery{15};
constexpr std::size_t kMaxText = 256;

std::string text_of(const json::object& body, std::string_view field, std::string otherwise) {
  const auto* value = body.if_contains(field);
  if (value == nullptr) return otherwise;
  if (!value->is_string() || value->get_string().size() > kMaxText || value->get_string().empty()) {
    throw Error(ErrorCode::invalid_input, std::string(field) + ": a short text is expected");
  }
  return std::string(value->get_string());
}

tasks::Plan plan_of(const json::object& body) {
  const std::string plan = text_of(body, "plan", "");
  if (plan.empty()) return tasks::Plan::server;
  if (plan == "paid") return tasks::Plan::paid;
  if (plan == "free") return tasks::Plan::free;
  throw Error(ErrorCode::invalid_input, "plan: `paid` or `free` is expected");
}

/// Errors: glia::Error(invalid_input).
void add_bindings(json::object& bindings, const json::value& added) {
  if (!added.is_object()) throw Error(ErrorCode::invalid_input, "bindings: an object by name is expected");
  for (const auto& [name, binding] : added.get_object()) {
    if (!binding.is_object()) throw Error(ErrorCode::invalid_input, "bindings: each is an object");
    bindings.insert_or_assign(name, binding);
  }
  if (bindings.size() > Sessions::kMaxBindings) throw Error(ErrorCode::invalid_input, "bindings: too many");
}

/// "vectors": "own" for indexes that nobody else sees and that end with the session.
std::string vector_account_of(const json::object& body, const Session& session) {
  const std::string vectors = text_of(body, "vectors", "account");
  if (vectors == "account") return session.account;
  if (vectors == "own") return vectorize::kPassing + session.id;
  throw Error(ErrorCode::invalid_input, "vectors: `account` or `own` is expected");
}

}  // namespace

Sessions::Sessions(const Clock& clock, std::function<void(std::size_t)> leases_changed,
                   std::function<void(const Session&)> ended)
    : clock_(clock),
      leases_changed_(std::move(leases_changed)),
      ended_(std::move(ended)),
      keep_alive_([this] { keep_alive(); }) {}

Sessions::~Sessions() {
  close();
  keep_alive_.join();
}

std::shared_ptr<const Session> Sessions::create(std::string id, const json::object& body,
                                                std::shared_ptr<Rehearsal> rehearsal) {
  auto session = std::make_shared<Session>();
  session->id = std::move(id);
  session->rehearsal = std::move(rehearsal);
  session->account = text_of(body, "account", "local");
  session->project = text_of(body, "project", "worker");
  session->plan = plan_of(body);
  if (const auto* limits = body.if_contains("rate_limits")) {
    if (!limits->is_bool()) throw Error(ErrorCode::invalid_input, "rate_limits: true or false is expected");
    session->rate_limits = limits->get_bool();
  }
  if (const auto* bindings = body.if_contains("bindings")) add_bindings(session->bindings, *bindings);
  session->vector_account = vector_account_of(body, *session);
  std::shared_ptr<const Session> gone;
  {
    const std::lock_guard lock(mutex_);
    gone = make_room_locked();
    session->order = next_++;
    sessions_.emplace(session->id, session);
  }
  if (gone != nullptr && ended_) ended_(*gone);
  return session;
}

std::shared_ptr<const Session> Sessions::make_room_locked() {
  if (sessions_.size() < kMaxSessions) return nullptr;
  auto oldest = sessions_.end();
  for (auto it = sessions_.begin(); it != sessions_.end(); ++it) {
    const bool followed =
        std::any_of(followers_.begin(), followers_.end(), [&](const auto& f) { return f.second.session == it->first; });
    if (!followed && (oldest == sessions_.end() || it->second->order < oldest->second->order)) oldest = it;
  }
  if (oldest == sessions_.end()) throw Error(ErrorCode::out_of_capacity, "too many sessions");
  auto gone = oldest->second;
  sessions_.erase(oldest);
  return gone;
}

std::shared_ptr<const Session> Sessions::find(std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const auto it = sessions_.find(id);
  return it == sessions_.end() ? nullptr : it->second;
}

bool Sessions::bind(std::string_view id, const json::value& bindings) {
  const std::lock_guard lock(mutex_);
  const auto it = sessions_.find(id);
  if (it == sessions_.end()) return false;
  const auto changed = std::make_shared<Session>(*it->second);
  add_bindings(changed->bindings, bindings);
  it->second = changed;
  return true;
}

bool Sessions::remove(std::string_view id) {
  std::vector<std::shared_ptr<EventStream>> ended;
  std::shared_ptr<const Session> gone;
  {
    const std::lock_guard lock(mutex_);
    const auto it = sessions_.find(id);
    if (it == sessions_.end()) return false;
    gone = it->second;
    sessions_.erase(it);
    for (auto f = followers_.begin(); f != followers_.end();) {
      if (f->second.session != id) {
        ++f;
        continue;
      }
      ended.push_back(std::move(f->second.stream));
      f = followers_.erase(f);
    }
    if (!ended.empty()) changed_locked();
  }
  for (const auto& stream : ended) stream->end();
  if (ended_) ended_(*gone);
  return true;
}

void Sessions::close() {
  std::map<std::uint64_t, Follower> ended;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    ended.swap(followers_);
    if (!ended.empty()) changed_locked();
    wake_.notify_all();
  }
  for (const auto& [token, follower] : ended) follower.stream->end();
}

std::uint64_t Sessions::follow(std::string_view id, std::shared_ptr<EventStream> stream) {
  stream->write(std::string(http::kSseComment));  // headers and a first byte at once
  {
    const std::lock_guard lock(mutex_);
    if (!closed_ && sessions_.contains(id)) {
      const std::uint64_t token = next_++;
      followers_.emplace(token, Follower{std::string(id), std::move(stream)});
      changed_locked();
      return token;
    }
  }
  stream->end();
  return 0;
}

void Sessions::unfollow(std::uint64_t token) {
  std::shared_ptr<EventStream> stream;
  const std::lock_guard lock(mutex_);
  const auto it = followers_.find(token);
  if (it == followers_.end()) return;
  stream = std::move(it->second.stream);
  followers_.erase(it);
  changed_locked();
}

void Sessions::tell(std::string_view id, const json::object& event) {
  std::vector<std::shared_ptr<EventStream>> streams;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [token, follower] : followers_) {
      if (follower.session == id) streams.push_back(follower.stream);
    }
  }
  const std::string text = http::sse_data(json::serialize(event));
  for (const auto& stream : streams) stream->write(text);
}

Leases Sessions::leases() const {
  const std::lock_guard lock(mutex_);
  return leases_;
}

void Sessions::changed_locked() {
  leases_.open = followers_.size();
  if (leases_.open > 0) leases_.ever = true;
  if (leases_.open == 0) leases_.none_since_ns = clock_.steady_ns();
  leases_changed_(leases_.open);
}

void Sessions::keep_alive() {
  std::unique_lock lock(mutex_);
  while (!closed_) {
    if (wake_.wait_for(lock, kCommentEvery, [this] { return closed_; })) return;
    for (const auto& [token, follower] : followers_) follower.stream->write(std::string(http::kSseComment));
  }
}

}  // namespace glia::api
