#include "agent/http_receiver_forward.h"

#include <mutex>
#include <utility>
#include <vector>

namespace holdfast {

struct HttpForwarding::Mailbox {
  struct Letter {
    std::uint64_t number;
    ForwardAnswer answer;
  };

  /// Any thread.
  void put(std::uint64_t number, ForwardAnswer answer) {
    std::lock_guard lock(mutex);
    letters.push_back({number, std::move(answer)});
    if (letters.size() == 1) ring();
  }
  void ring() const {
    if (server != nullptr) server->post([owner = owner] { owner->deliver(); });
  }

  std::mutex mutex;
  std::vector<Letter> letters;
  HttpServer* server = nullptr;
  HttpForwarding* owner = nullptr;
};

HttpForwarding::HttpForwarding(SignalForwarders forwarders)
    : forwarders_(std::move(forwarders)), mailbox_(std::make_shared<Mailbox>()) {
  mailbox_->owner = this;
}

HttpForwarding::~HttpForwarding() { detach(); }

void HttpForwarding::attach(HttpServer& server) {
  std::lock_guard lock(mailbox_->mutex);
  mailbox_->server = &server;
  if (!mailbox_->letters.empty()) mailbox_->ring();  // a client was quicker
}

void HttpForwarding::detach() {
  std::lock_guard lock(mailbox_->mutex);
  mailbox_->server = nullptr;
}

void HttpForwarding::forward(ForwardRequest request, const HttpReply& reply, Answer answer) {
  const std::uint64_t number = ++last_;
  Waiting& waiting = waiting_[number];
  waiting.answer = std::move(answer);
  request.gone = waiting.gone.get_token();
  reply.watch([gone = waiting.gone]() mutable { gone.request_stop(); });
  forward_to_all(
      forwarders_[index_of(request.signal)], request,
      [mailbox = mailbox_, number](ForwardAnswer told) { mailbox->put(number, std::move(told)); });
}

void HttpForwarding::deliver() {
  std::vector<Mailbox::Letter> letters;
  {
    std::lock_guard lock(mailbox_->mutex);
    letters.swap(mailbox_->letters);
  }
  for (const Mailbox::Letter& letter : letters) {
    const auto found = waiting_.find(letter.number);
    if (found == waiting_.end()) continue;
    const Answer answer = std::move(found->second.answer);
    waiting_.erase(found);
    answer(letter.answer);
  }
}

}  // namespace holdfast
