#include "http/exchange.h"

#include <utility>

namespace glia::http {
namespace {

class Handle final : public Responder {
 public:
  explicit Handle(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() override { exchange_->drop(); }

  void send(int status, Headers headers, std::string body) override {
    exchange_->send(status, std::move(headers), std::move(body));
  }
  void begin(int status, Headers headers) override { exchange_->begin(status, std::move(headers)); }
  void write(std::string data) override { exchange_->write(std::move(data)); }
  void end() override { exchange_->end(); }
  void switch_protocols(Headers headers, std::function<void(std::string_view)> received) override {
    exchange_->switch_protocols(std::move(headers), std::move(received));
  }
  void on_disconnect(std::function<void()> callback) override { exchange_->on_disconnect(std::move(callback)); }
  std::size_t pending_bytes() const override { return exchange_->pending_bytes(); }

 private:
  std::shared_ptr<Exchange> exchange_;
};

}  // namespace

Exchange::Exchange(const Limits& limits, std::shared_ptr<ByteCount> all_pending, std::function<void()> wake)
    : limits_(limits), wake_(std::move(wake)), all_pending_(std::move(all_pending)), share_(all_pending_) {}

void Exchange::set_pending_locked(std::size_t bytes) {
  pending_ = bytes;
  share_.set(bytes);
}

bool Exchange::too_much_locked(std::size_t more) const {
  if (pending_ + more > limits_.pending) return true;
  return pending_ > kFairPending && all_pending_->load() + more > limits_.all_pending;
}

std::shared_ptr<Responder> Exchange::responder(const std::shared_ptr<Exchange>& exchange) {
  return std::make_shared<Handle>(exchange);
}

Exchange::News Exchange::take() {
  const std::lock_guard lock(mutex_);
  woken_ = false;
  return std::exchange(news_, News{});
}

void Exchange::taken_by_client(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  set_pending_locked(pending_ - std::min(bytes, pending_));
}

void Exchange::finish(bool left) {
  std::function<void()> callback;
  std::function<void()> wake;
  {
    const std::lock_guard lock(mutex_);
    wake = std::exchange(wake_, nullptr);
    if (left && !ended_) {
      left_ = true;
      callback = std::exchange(disconnected_, nullptr);
    }
    news_ = {};
    set_pending_locked(0);
  }
  if (callback) callback();
}

void Exchange::send(int status, Headers headers, std::string body) {
  std::function<void()> forgotten;
  const std::lock_guard lock(mutex_);
  if (begun_ || ended_) return;
  begun_ = true;
  ended_ = true;
  forgotten = std::exchange(disconnected_, nullptr);
  if (!wake_) return;
  news_.head = true;
  news_.whole = true;
  news_.status = status;
  news_.headers = std::move(headers);
  set_pending_locked(pending_ + body.size());
  news_.pieces.push_back(std::move(body));
  news_.ended = true;
  wake_locked();
}

void Exchange::begin(int status, Headers headers) { begin_answer(status, std::move(headers), nullptr); }

void Exchange::switch_protocols(Headers headers, std::function<void(std::string_view)> received) {
  begin_answer(101, std::move(headers), std::move(received));
}

void Exchange::begin_answer(int status, Headers headers, std::function<void(std::string_view)> received) {
  const std::lock_guard lock(mutex_);
  if (begun_ || ended_) return;
  begun_ = true;
  if (!wake_) return;
  news_.head = true;
  news_.status = status;
  news_.headers = std::move(headers);
  news_.received = std::move(received);
  wake_locked();
}

void Exchange::write(std::string data) {
  const std::lock_guard lock(mutex_);
  if (!begun_ || ended_ || !wake_ || data.empty()) return;
  if (too_much_locked(data.size())) {
    news_.too_slow = true;
    news_.pieces.clear();
  } else {
    set_pending_locked(pending_ + data.size());
    news_.pieces.push_back(std::move(data));
  }
  wake_locked();
}

void Exchange::end() {
  std::function<void()> forgotten;
  const std::lock_guard lock(mutex_);
  if (!begun_ || ended_) return;
  ended_ = true;
  forgotten = std::exchange(disconnected_, nullptr);
  if (!wake_) return;
  news_.ended = true;
  wake_locked();
}

void Exchange::drop() {
  std::function<void()> forgotten;
  const std::lock_guard lock(mutex_);
  forgotten = std::exchange(disconnected_, nullptr);
  if (ended_) return;
  ended_ = true;
  if (!wake_) return;
  news_.dropped = true;
  wake_locked();
}

void Exchange::on_disconnect(std::function<void()> callback) {
  {
    const std::lock_guard lock(mutex_);
    if (!left_) {
      if (!ended_) disconnected_ = std::move(callback);
      return;
    }
  }
  callback();
}

std::size_t Exchange::pending_bytes() const {
  const std::lock_guard lock(mutex_);
  return pending_;
}

void Exchange::wake_locked() {
  if (std::exchange(woken_, true)) return;
  wake_();
}

}  // namespace glia::http
