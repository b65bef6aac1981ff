// Configurations as text in tests: load them, and look at what comes out or what is wrong.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "agent/config.h"

namespace holdfast {

inline ConfigSources sources_of(const std::string& text) {
  ConfigSources sources;
  sources.files.push_back("yaml:" + text);
  return sources;
}

/// The configuration; a test failure with all errors if there is none.
inline Config load_good(const ConfigSources& sources) {
  auto result = load_config(sources);
  if (auto* config = std::get_if<Config>(&result)) return std::move(*config);
  for (const Diagnostic& diagnostic : std::get<1>(result)) ADD_FAILURE() << diagnostic.text();
  return {};
}

inline Config load_good(const std::string& text) { return load_good(sources_of(text)); }

/// What is wrong, a line each; empty if nothing is.
inline std::vector<std::string> errors_of(const ConfigSources& sources) {
  std::vector<std::string> out;
  auto result = load_config(sources);
  if (auto* errors = std::get_if<1>(&result)) {
    for (const Diagnostic& diagnostic : *errors) out.push_back(diagnostic.text());
  }
  return out;
}

inline std::vector<std::string> errors_of(const std::string& text) {
  return errors_of(sources_of(text));
}

/// The smallest configuration that starts, in flow style on its first three lines, so that block
/// sections can be put behind it.
inline std::string minimal_config() {
  return "receivers: {otlp: {protocols: {http: }}}\n"
         "exporters: {nop: }\n"
         "service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}\n";
}

/// One otlp_http exporter in a traces pipeline. `exporter` is its block, indented by four; it
/// starts in line 5.
inline std::string exporter_config(const std::string& exporter) {
  return "receivers: {otlp: {protocols: {http: }}}\n"
         "service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp_http]}}}\n"
         "exporters:\n"
         "  otlp_http:\n" +
         exporter;
}

/// One otlp receiver. `protocols` is the block below `protocols:`, indented by six; it starts in
/// line 6.
inline std::string receiver_config(const std::string& protocols) {
  return "exporters: {nop: }\n"
         "service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}\n"
         "receivers:\n"
         "  otlp:\n"
         "    protocols:\n" +
         protocols;
}

/// A listed disk_buffer. `buffer` is its block, indented by four; it starts in line 6.
inline std::string buffer_config(const std::string& buffer) {
  return "receivers: {otlp: {protocols: {http: }}}\n"
         "exporters: {nop: }\n"
         "service: {extensions: [disk_buffer], pipelines: {traces: {receivers: [otlp], exporters: "
         "[nop]}}}\n"
         "extensions:\n"
         "  disk_buffer:\n" +
         buffer;
}

/// A processor in the pipeline. `processor` is the block below `processors:`, indented by two; it
/// starts in line 5.
inline std::string processor_config(const std::string& name, const std::string& processor) {
  return "receivers: {otlp: {protocols: {http: }}}\n"
         "exporters: {nop: }\n"
         "service: {pipelines: {traces: {receivers: [otlp], processors: [" +
         name + "], exporters: [nop]}}}\nprocessors:\n" + processor;
}

using Lines = std::vector<std::string>;

}  // namespace holdfast
