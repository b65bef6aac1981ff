// `holdfast quarantine replay`: the agent's own exporter sends what was refused before.
#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <memory>
#include <ostream>

#include "agent/auth.h"
#include "agent/buffer_tool_files.h"
#include "agent/grpc_library.h"
#include "agent/quarantine_tool.h"
#include "agent/quarantine_tool_select.h"
#include "agent/request_body.h"
#include "agent/wire_walker.h"
#include "exporters/otlp_grpc.h"
#include "exporters/otlp_http.h"

namespace holdfast {
namespace {

using Outcome = SendResult::Outcome;

/// Why an entry cannot be sent; "": it can.
std::string obstacle(const QuarantinedFile& entry) {
  if (!entry.is_request()) {
    return "it holds damaged bytes, no request (" + entry.reason +
           "): look at it with show, then discard it";
  }
  if (!entry.is_complete()) return "it is cut off: the quarantine had no room for all of it";
  return "";
}

class Replay {
 public:
  Replay(const ReplayOptions& options, ToolContext& context)
      : options_(options), context_(context) {}

  /// True: it is gone from quarantine.
  bool replay(const QuarantinedFile& entry);

 private:
  struct Upstream {
    std::unique_ptr<Exporter> exporter;
    std::string url;
    std::string down;  // why nothing more is sent to it
  };
  Result<Upstream*> upstream_of(const QuarantinedFile& entry);
  Result<Upstream> connect(const QuarantinedFile& entry) const;
  bool send(const QuarantinedFile& entry, Upstream& upstream, const std::string& request);
  bool left(const QuarantinedFile& entry, const std::string& why);

  const ReplayOptions& options_;
  ToolContext& context_;
  std::map<std::pair<std::string, Signal>, Upstream> upstreams_;
};

Result<Replay::Upstream> Replay::connect(const QuarantinedFile& entry) const {
  Upstream upstream;
  OtlpHttpOptions http;
  if (!options_.endpoint.empty()) {
    std::string base = options_.endpoint;
    while (base.ends_with('/')) base.pop_back();
    for (const Signal signal : kSignals) {
      http.urls[index_of(signal)] = base + std::string(traits(signal).http_path);
    }
  } else {
    const auto found = std::find_if(
        options_.exporters.begin(), options_.exporters.end(),
        [&](const ExporterConfig& exporter) { return exporter.name == entry.exporter; });
    if (found == options_.exporters.end()) {
      return Error{0,
                   "the configuration has no exporter " + entry.exporter + ": say --endpoint URL"};
    }
    if (found->kind == ExporterConfig::Kind::otlp_grpc) {
      prepare_grpc_library();
      OtlpGrpcOptions grpc = found->otlp_grpc;
      if (found->auth) grpc.credentials = credentials_of(*found->auth);
      upstream.exporter = make_otlp_grpc_exporter(grpc, entry.signal);
      upstream.url = found->otlp_grpc.target;
      return upstream;
    }
    if (found->kind == ExporterConfig::Kind::otlp_http) http = found->otlp_http;
    if (found->auth) http.credentials = credentials_of(*found->auth);
  }
  upstream.url = http.urls[index_of(entry.signal)];
  if (upstream.url.empty()) {
    return Error{0, "the exporter " + entry.exporter + " sends no " +
                        std::string(name_of(entry.signal)) + " to an upstream: say --endpoint URL"};
  }
  upstream.exporter = make_otlp_http_exporter(http, entry.signal);
  return upstream;
}

Result<Replay::Upstream*> Replay::upstream_of(const QuarantinedFile& entry) {
  const std::string name = options_.endpoint.empty() ? entry.exporter : "";
  const auto found = upstreams_.find({name, entry.signal});
  if (found != upstreams_.end()) return &found->second;
  auto made = connect(entry);
  if (!made) return made.error();
  return &upstreams_.emplace(std::pair(name, entry.signal), std::move(*made)).first->second;
}

bool Replay::replay(const QuarantinedFile& entry) {
  if (const std::string why = obstacle(entry); !why.empty()) return left(entry, why);
  const auto upstream = upstream_of(entry);
  if (!upstream) return left(entry, upstream.error().message);
  const auto request = read_content(entry);
  if (!request) {
    if (request.error().code != ENOENT) return left(entry, request.error().message);
    context_.err << entry.file << ": gone meanwhile\n";
    return true;
  }
  if (const WalkResult walked = walk_export_request(entry.signal, *request); !walked.ok()) {
    return left(entry, "it is no request: " + describe(walked));
  }
  if (options_.dry_run) {
    context_.out << "would send " << name_of(entry.signal) << " " << entry.file << " to "
                 << (*upstream)->url << "\n";
    return true;
  }
  if (!(*upstream)->down.empty()) return left(entry, "not tried: " + (*upstream)->down);
  return send(entry, **upstream, *request);
}

bool Replay::send(const QuarantinedFile& entry, Upstream& upstream, const std::string& request) {
  const BodyForm form = upstream.exporter->form();
  RequestBody maker(entry.signal, form);
  const auto body = maker.make(request);
  if (!body) return left(entry, body.error().message);
  const SendResult result = upstream.exporter->send({.signal = entry.signal,
                                                     .coding = form.coding,
                                                     .body = *body,
                                                     .items = entry.items,
                                                     .raw_bytes = request.size()},
                                                    context_.stop);
  if (result.outcome != Outcome::delivered) {
    if (result.upstream_down) upstream.down = describe(result);
    return left(entry, describe(result));
  }
  if (result.rejected_items > 0) {
    return left(entry, "the upstream took it in part, without " +
                           counted(result.rejected_items, "item") + ": " + result.message);
  }
  const Status gone = posix_filesystem().unlink(entry.path);
  if (!gone && gone.error().code != ENOENT) {
    return left(entry, "delivered, but it cannot be deleted: " + gone.error().message);
  }
  context_.out << "delivered " << name_of(entry.signal) << " " << entry.file << ", "
               << counted(entry.items, "item") << "\n";
  return true;
}

bool Replay::left(const QuarantinedFile& entry, const std::string& why) {
  context_.out << "left " << name_of(entry.signal) << " " << entry.file << ": " << why << "\n";
  return false;
}

}  // namespace

int replay_quarantine(const QuarantineSelection& selection, const ReplayOptions& options,
                      ToolContext& context) {
  const auto entries = select_quarantined(selection, context);
  if (!entries) return kToolDamage;
  Replay replay(options, context);
  std::size_t left = 0;
  for (const QuarantinedFile& entry : *entries) {
    if (context.stop.stop_requested()) break;
    if (!replay.replay(entry)) ++left;
  }
  if (context.stop.stop_requested()) {
    context.err << "interrupted: what was not delivered is still in quarantine\n";
    return kToolInterrupted;
  }
  context.err << counted(entries->size() - left, "entry")
              << (options.dry_run ? " to send, " : " delivered, ") << left << " left\n";
  return left == 0 ? kToolOk : kToolDamage;
}

}  // namespace holdfast
