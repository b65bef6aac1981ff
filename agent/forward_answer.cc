// What an upstream's answer becomes for the client of a forwarded request.
#include <algorithm>

#include "agent/forwarder.h"
#include "agent/rpc_status.h"
#include "exporters/otlp_grpc_policy.h"

namespace holdfast {
namespace {

using Outcome = SendResult::Outcome;

/// As the Collector's otlp_http exporter translates them; its receiver translates back.
int code_of_http(int status) {
  switch (status) {
    case 400:
      return kRpcInvalidArgument;
    case 401:
      return kRpcUnauthenticated;
    case 403:
      return kRpcPermissionDenied;
    case 404:
      return kRpcUnimplemented;
    case 429:
      return kRpcResourceExhausted;
    case 502:
    case 503:
    case 504:
      return kRpcUnavailable;
    default:
      return kRpcUnknown;
  }
}

int code_of(const SendResult& result) {
  if (!result.rpc_code.empty()) {
    for (int code = kRpcOk; code <= kRpcUnauthenticated; ++code) {
      if (rpc_code_name(code) == result.rpc_code) return code;
    }
  }
  // No answer, or one that is none of OTLP's: the client keeps the data.
  const bool told = result.status >= 300;
  if (result.outcome == Outcome::rejected && result.status == 0) return kRpcInternal;
  return told ? code_of_http(result.status) : kRpcUnavailable;
}

}  // namespace

ForwardAnswer forward_answer(const SendResult& result) {
  ForwardAnswer answer;
  answer.message = result.message;
  if (result.outcome == Outcome::delivered) {
    answer.rejected_items = result.rejected_items;
    return answer;
  }
  answer.code = code_of(result);
  if (result.retry_after) {
    answer.retry_after = std::chrono::ceil<std::chrono::seconds>(*result.retry_after);
  }
  return answer;
}

bool is_worth_repeating(const SendResult& result) {
  if (result.outcome != Outcome::retry) return false;
  switch (code_of(result)) {
    case kRpcCancelled:
    case kRpcDeadlineExceeded:
    case kRpcResourceExhausted:
    case kRpcAborted:
    case kRpcOutOfRange:
    case kRpcUnavailable:
    case kRpcDataLoss:
      return true;
    default:
      return false;
  }
}

namespace {

/// The answers of several upstreams to one request.
struct Gathered {
  std::mutex mutex;
  std::size_t missing = 0;
  ForwardAnswer answer;
  Forwarder::Done done;
};

}  // namespace

std::array<bool, kSignalCount> forwarded_signals(const SignalForwarders& forwarders) {
  std::array<bool, kSignalCount> signals{};
  std::transform(forwarders.begin(), forwarders.end(), signals.begin(),
                 [](const auto& of_signal) { return !of_signal.empty(); });
  return signals;
}

void forward_to_all(const std::vector<Forwarder*>& forwarders, const ForwardRequest& request,
                    Forwarder::Done done) {
  if (forwarders.size() == 1) return forwarders.front()->forward(request, std::move(done));
  auto gathered = std::make_shared<Gathered>();
  gathered->missing = forwarders.size();
  gathered->done = std::move(done);
  for (Forwarder* forwarder : forwarders) {
    forwarder->forward(request, [gathered](ForwardAnswer answer) {
      {
        std::lock_guard lock(gathered->mutex);
        const bool worse = gathered->answer.code == kRpcOk &&
                           (answer.code != kRpcOk || gathered->answer.message.empty());
        if (worse) gathered->answer = std::move(answer);
        if (--gathered->missing != 0) return;
      }
      gathered->done(std::move(gathered->answer));
    });
  }
}

}  // namespace holdfast
