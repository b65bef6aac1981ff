// What the OTLP/HTTP receiver answers, word for word as the Collector's does.
//
// Source: OTLP specification, "OTLP/HTTP Response". Pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/http_server.h"
#include "proto/signal.h"

namespace holdfast {

/// The encoding of a request and so of its answer. `other` is neither and gets 415; what goes
/// before that is said in JSON.
enum class OtlpEncoding : std::uint8_t { protobuf, json, other };

/// Of a Content-Type; its parameters are not looked at.
OtlpEncoding encoding_of(std::string_view content_type);

HttpResponse success_answer(OtlpEncoding encoding);

/// Taken, but for some: nothing is to be sent again.
HttpResponse partial_answer(OtlpEncoding encoding, Signal signal, std::uint64_t rejected_items,
                            std::string_view message);
HttpResponse not_found_answer();
/// 307: the client may send the same, body included, to `location`.
HttpResponse redirect_answer(std::string location);
HttpResponse method_answer();
HttpResponse media_type_answer();

/// A google.rpc.Status with the HTTP status that belongs to its code; `retry` goes into it, and
/// into Retry-After where HTTP has that.
HttpResponse status_answer(OtlpEncoding encoding, int rpc_code, std::string_view message,
                           std::optional<std::chrono::seconds> retry = std::nullopt);

/// 503 with Retry-After and the same in the Status: try again soon.
HttpResponse unavailable_answer(OtlpEncoding encoding, std::string_view message);

/// 401 with WWW-Authenticate.
HttpResponse unauthenticated_answer(OtlpEncoding encoding, std::string_view message,
                                    const std::string& challenge);

/// For a Content-Encoding that is not supported, before anything else of the request is judged.
HttpResponse coding_answer(OtlpEncoding encoding, std::string_view coding);

}  // namespace holdfast
