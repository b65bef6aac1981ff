#include "agent/forwarder.h"

#include <algorithm>
#include <array>
#include <random>
#include <system_error>
#include <utility>

#include "agent/logging.h"
#include "agent/request_body.h"
#include "agent/rpc_status.h"
#include "buffer/clock.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kFullRetryDelay{1};

void add_to(Counter& counter, std::uint64_t amount) {
  counter.fetch_add(amount, std::memory_order_relaxed);
}

UpstreamState state_after(const SendResult& result) {
  if (result.outcome == SendResult::Outcome::delivered) return UpstreamState::ok;
  return is_worth_repeating(result) ? UpstreamState::retrying : UpstreamState::holding;
}

}  // namespace

struct Forwarder::Job {
  Job(ForwardRequest asked, Done when_done, ByteBudget& budget)
      : request(std::move(asked)), done(std::move(when_done)), lease(&budget) {}

  ForwardRequest request;
  Done done;
  BudgetLease lease;
  std::string coded;  // the body in the upstream's form; empty: as it is
  bool is_coded = false;
  unsigned failures = 0;
  SendResult last;
  TimePoint begun = steady_clock::now();
  TimePoint due = begun;
  std::stop_source cancel;
  std::optional<std::stop_callback<std::function<void()>>> on_gone;  // last: it uses the rest
};

/// What one thread has.
struct Forwarder::Worker {
  std::array<std::unique_ptr<Exporter>, kSignalCount> exporters;
  Backoff backoff;
};

Forwarder::Forwarder(ForwarderOptions options, ByteBudget& budget, ExporterStats& stats)
    : options_(std::move(options)), budget_(budget), stats_(stats) {}

Forwarder::~Forwarder() {
  finish();
  std::vector<std::jthread> threads;
  {
    std::lock_guard lock(mutex_);
    for (const auto& job : waiting_) job->cancel.request_stop();
    for (Job* job : under_way_) job->cancel.request_stop();
    for (const auto& job : waiting_) job->due = {};
    threads.swap(threads_);
  }
  for (std::jthread& thread : threads) thread.request_stop();
}

void Forwarder::forward(ForwardRequest request, Done done) {
  auto job = std::make_unique<Job>(std::move(request), std::move(done), budget_);
  ForwardAnswer refusal{.code = kRpcUnavailable, .retry_after = kFullRetryDelay};
  if (!job->lease.grow_to(job->request.body->size())) {
    refusal.message = "too many bytes in flight, try again later";
  } else {
    std::lock_guard lock(mutex_);
    if (waiting_.size() + under_way_.size() >= kRequestsMax) {
      refusal.message = "too many requests wait for the upstream, try again later";
    } else if (idle_ <= waiting_.size() && threads_.size() < options_.consumers) {
      try {
        threads_.emplace_back([this](const std::stop_token& stop) noexcept { run(stop); });
      } catch (const std::system_error&) {  // the process may have no more of them
        if (threads_.empty()) refusal.message = "no thread can be started, try again later";
      }
    }
  }
  add_to(stats_.signals[index_of(job->request.signal)].in_flight, 1);
  if (!refusal.message.empty()) return answer(std::move(job), std::move(refusal));
  Job* const asked = job.get();
  asked->on_gone.emplace(asked->request.gone, [this, asked] {
    asked->cancel.request_stop();
    wake(asked);
  });
  add(std::move(job));
}

void Forwarder::finish() {
  {
    std::lock_guard lock(mutex_);
    finishing_ = true;
    for (const auto& job : waiting_) job->due = {};
    ++changes_;
  }
  changed_.notify_all();
}

void Forwarder::add(std::unique_ptr<Job> job) {
  {
    std::lock_guard lock(mutex_);
    std::erase(under_way_, job.get());
    if (finishing_ || job->cancel.stop_requested()) job->due = {};
    waiting_.push_back(std::move(job));
    ++changes_;
  }
  changed_.notify_one();
}

void Forwarder::wake(const Job* job) {
  {
    std::lock_guard lock(mutex_);
    const auto found = std::find_if(waiting_.begin(), waiting_.end(),
                                    [job](const auto& one) { return one.get() == job; });
    if (found == waiting_.end()) return;
    (*found)->due = {};
    ++changes_;
  }
  changed_.notify_one();
}

std::unique_ptr<Forwarder::Job> Forwarder::take(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  for (;;) {
    const auto next =
        std::min_element(waiting_.begin(), waiting_.end(),
                         [](const auto& a, const auto& b) { return a->due < b->due; });
    if (next == waiting_.end() && stop.stop_requested()) return nullptr;
    if (next != waiting_.end() && (*next)->due <= steady_clock::now()) {
      std::unique_ptr<Job> job = std::move(*next);
      waiting_.erase(next);
      under_way_.push_back(job.get());
      return job;
    }
    ++idle_;
    const auto changed = [this, seen = changes_] { return changes_ != seen; };
    if (next == waiting_.end()) {
      changed_.wait(lock, stop, changed);
    } else {
      const TimePoint due = (*next)->due;  // somebody else may take the job meanwhile
      changed_.wait_until(lock, stop, due, changed);
    }
    --idle_;
  }
}

void Forwarder::run(const std::stop_token& stop) {
  Worker worker{{}, Backoff(options_.retry, std::random_device{}())};
  while (auto job = take(stop)) serve(std::move(job), worker);
}

void Forwarder::serve(std::unique_ptr<Job> job, Worker& worker) {
  bool last_try = false;
  {
    std::lock_guard lock(mutex_);
    last_try = finishing_;
  }
  const auto is_cut_off = [&job] { return job->cancel.stop_requested(); };
  if (!is_cut_off() && !(last_try && job->failures > 0)) {
    job->last = send(*job, worker);
    if (job->last.outcome == SendResult::Outcome::delivered || !is_cut_off()) note(*job, job->last);
  }
  if (is_cut_off() && job->last.outcome != SendResult::Outcome::delivered) {
    const bool gone = job->request.gone.stop_requested();
    return answer(std::move(job), gone ? ForwardAnswer{kRpcCancelled, "the client has gone"}
                                       : ForwardAnswer{kRpcUnavailable, "the agent is stopping"});
  }
  if (const auto due = next_try(*job, job->last, worker); due && !last_try) {
    ++job->failures;
    job->due = *due;
    return add(std::move(job));
  }
  ForwardAnswer told = forward_answer(job->last);
  answer(std::move(job), std::move(told));
}

SendResult Forwarder::send(Job& job, Worker& worker) {
  const std::size_t index = index_of(job.request.signal);
  auto& exporter = worker.exporters[index];
  if (exporter == nullptr) exporter = options_.make_exporter(job.request.signal);
  const BodyForm form = exporter->form();
  if (!job.is_coded) {
    RequestBody maker(job.request.signal, form);
    const auto made = maker.make(*job.request.body);
    if (!made) return {.outcome = SendResult::Outcome::rejected, .message = made.error().message};
    if (made->data() != job.request.body->data()) job.coded = *made;
    job.is_coded = true;
  }
  const std::string& body = job.coded.empty() ? *job.request.body : job.coded;
  ExporterSignalStats& stats = stats_.signals[index];
  add_to(stats.attempts, 1);
  if (job.failures > 0) add_to(stats.retries, 1);
  add_to(stats.body_bytes, body.size());
  return exporter->send({.signal = job.request.signal,
                         .coding = form.coding,
                         .body = body,
                         .items = job.request.items,
                         .raw_bytes = job.request.body->size()},
                        job.cancel.get_token());
}

std::optional<Forwarder::TimePoint> Forwarder::next_try(const Job& job, const SendResult& result,
                                                        Worker& worker) const {
  if (!options_.retry.enabled || !is_worth_repeating(result)) return std::nullopt;
  const milliseconds wait =
      std::max(worker.backoff.wait(job.failures + 1), result.retry_after.value_or(milliseconds(0)));
  const TimePoint due = steady_clock::now() + wait;
  const milliseconds limit = options_.retry.max_elapsed_time;
  if (limit.count() != 0 && due > job.begun + limit) return std::nullopt;
  // It would not live to see the answer: it had better hear this one.
  if (job.request.deadline && due > *job.request.deadline) return std::nullopt;
  return due;
}

void Forwarder::note(const Job& job, const SendResult& result) {
  const Signal signal = job.request.signal;
  ExporterSignalStats& stats = stats_.signals[index_of(signal)];
  const UpstreamState now = state_after(result);
  const auto before =
      static_cast<UpstreamState>(stats.state.exchange(static_cast<std::uint8_t>(now)));
  if (result.outcome != SendResult::Outcome::delivered) {
    add_to(stats.send_failed, job.request.items);
    stats.last_error.set(describe(result));
    if (now == before) return;
    log(LogLevel::warn, "the upstream does not take what is forwarded to it",
        {{"exporter", options_.exporter},
         {"signal", name_of(signal)},
         {"error", describe(result)}});
    return;
  }
  add_to(stats.sent, job.request.items);
  add_to(stats.partial_rejected, std::min(result.rejected_items, job.request.items));
  stats.last_success_unix_ns.store(system_clock().unix_ns(), std::memory_order_relaxed);
  if (before == UpstreamState::ok || before == UpstreamState::idle) return;
  stats.last_error.set("");
  log(LogLevel::info, "the upstream takes data again",
      {{"exporter", options_.exporter}, {"signal", name_of(signal)}});
}

void Forwarder::answer(std::unique_ptr<Job> job, ForwardAnswer answer) {
  {
    std::lock_guard lock(mutex_);
    std::erase(under_way_, job.get());
  }
  stats_.signals[index_of(job->request.signal)].in_flight.fetch_sub(1, std::memory_order_relaxed);
  const Done done = std::move(job->done);
  job.reset();  // gives its bytes back before the client can ask again
  done(std::move(answer));
}

}  // namespace holdfast
