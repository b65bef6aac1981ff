// The merged configuration for people to look at, without its secrets.
#include <yaml-cpp/emitter.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "agent/config.h"
#include "agent/config_tree.h"
#include "agent/config_values.h"

namespace holdfast {

namespace {

constexpr std::string_view kRedacted = "[REDACTED]";

bool is_secret_key(std::string_view key) {
  std::string lower(key);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::array kWords{"password", "passwd",  "token",  "secret",       "credential",
                              "api_key",  "apikey",  "_pem",   "htpasswd",     "private_key",
                              "bearer",   "api-key", "cookie", "authorization"};
  return lower == "headers" || lower == "headers_list" || lower == "response_headers" ||
         std::any_of(kWords.begin(), kWords.end(),
                     [&](const char* word) { return lower.find(word) != std::string::npos; });
}

/// "http://user:[REDACTED]@host".
std::string without_password(const std::string& text) {
  const std::size_t scheme = text.find("://");
  if (scheme == std::string::npos) return text;
  const std::size_t start = scheme + 3;
  const std::size_t at = text.substr(0, text.find_first_of("/?#", start)).rfind('@');
  if (at == std::string::npos || at < start) return text;
  const std::size_t colon = text.find(':', start);
  if (colon == std::string::npos || colon > at) return text;
  return text.substr(0, colon + 1) + std::string(kRedacted) + text.substr(at);
}

/// A dollar sign as it must be written to be read back.
std::string with_dollars_escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    out += c;
    if (c == '$') out += '$';
  }
  return out;
}

void emit_scalar(YAML::Emitter& out, const Node& node) {
  const std::string text = with_dollars_escaped(without_password(node.text));
  if (node.quoted || (node.whole && !is_typed_scalar(node.text))) {
    out << YAML::DoubleQuoted << text;
  } else {
    out << text;
  }
}

void emit(YAML::Emitter& out, const Node& node, bool secret) {
  switch (node.kind) {
    case Node::Kind::null:
      out << YAML::Null;
      return;
    case Node::Kind::scalar:
      if (secret) {
        out << YAML::DoubleQuoted << std::string(kRedacted);
      } else {
        emit_scalar(out, node);
      }
      return;
    case Node::Kind::sequence:
      if (node.items.empty()) out << YAML::Flow;
      out << YAML::BeginSeq;
      for (const Node& item : node.items) emit(out, item, secret);
      out << YAML::EndSeq;
      return;
    case Node::Kind::map:
      if (node.members.empty()) out << YAML::Flow;
      out << YAML::BeginMap;
      for (const Member& member : node.members) {
        // Headers as a list: the names are no secret.
        const bool name = secret && member.key == "name";
        out << YAML::Key << member.key << YAML::Value;
        emit(out, member.value, !name && (secret || is_secret_key(member.key)));
      }
      out << YAML::EndMap;
      return;
  }
}

}  // namespace

std::variant<std::string, std::vector<Diagnostic>> print_config(const ConfigSources& sources) {
  Findings findings;
  std::optional<Node> root = read_sources(sources, findings);
  if (!root || !expand_tree(*root, findings) || !findings.ok()) return findings.errors();
  YAML::Emitter out;
  out.SetIndent(2);
  emit(out, *root, false);
  return std::string(out.c_str()) + "\n";
}

}  // namespace holdfast
