// extensions: basicauth and bearertokenauth; `auth` of those that use them.
#include <fmt/format.h>

#include <algorithm>

#include "agent/config_parts.h"
#include "agent/config_values.h"

namespace holdfast {

using Kind = AuthenticatorConfig::Kind;

/// Files are read at the start: what is wrong with them is told then.
void read_basic_auth(const Value& value, DeclaredExtension& extension) {
  AuthenticatorConfig auth;
  auth.name = extension.id.id;
  const auto aws = refused("supported: username, username_file, password, password_file");
  read_section(value, {{"htpasswd", section({{"file", text(auth.htpasswd_file)},
                                             {"inline", text(auth.htpasswd_inline)}})},
                       {"client_auth", section({{"username", text(auth.username)},
                                                {"username_file", text(auth.username_file)},
                                                {"password", text(auth.password)},
                                                {"password_file", text(auth.password_file)},
                                                {"aws_secrets_manager", aws}})}});
  const Member* server = value.node.find("htpasswd");
  const Member* client = value.node.find("client_auth");
  const bool is_server = server != nullptr && server->value.kind != Node::Kind::null;
  const bool is_client = client != nullptr && client->value.kind != Node::Kind::null;
  if (is_server == is_client) {
    value.fail(is_server ? "has both htpasswd, for receivers, and client_auth, for exporters"
                         : "has no credentials",
               "one of htpasswd, client_auth");
  } else if (is_server && auth.htpasswd_file.empty() && auth.htpasswd_inline.empty()) {
    value.fail_at("htpasswd", "names nobody", "file or inline");
  }
  if (auth.username.find(':') != std::string::npos) {
    value.fail_at("client_auth", "a user name has no colon");
  }
  auth.kind = is_client ? Kind::basic_client : Kind::basic_server;
  extension.authenticator = std::move(auth);
}

void read_bearer_token_auth(const Value& value, DeclaredExtension& extension) {
  AuthenticatorConfig auth;
  auth.name = extension.id.id;
  auth.kind = Kind::bearer;
  std::string token;
  const auto late =
      "an exporter reads the file before each request, a receiver needs it at the start";
  read_section(
      value, {{"header", text(auth.header)},
              {"scheme", text(auth.scheme)},
              {"token", text(token)},
              {"tokens", strings(auth.tokens)},
              {"filename", text(auth.token_file)},
              {"retry_on_failure", no_effect_section(late, {"enabled", "max_retries", "interval"})},
              {"wait_for_token_file", no_effect(late)}});
  if (!token.empty() && !auth.tokens.empty()) {
    value.fail_at("token", "cannot stand beside tokens: one of the two");
  }
  if (!token.empty()) auth.tokens.push_back(token);
  if (auth.tokens.empty() && auth.token_file.empty()) {
    value.fail("has no token", "one of token, tokens, filename");
  }
  if (!auth.tokens.empty() && !auth.token_file.empty()) {
    value.warn("the tokens in the configuration have no effect: filename wins");
  }
  if (auth.header.empty()) auth.header = AuthenticatorConfig{}.header;
  extension.authenticator = std::move(auth);
}

Reader authenticator(AuthReference& out) {
  return [&out](const Value& value) {
    if (value.is_null()) return;
    const auto name = [&out](const Value& v) {
      text(out.id)(v);
      out.key = v.key;
      out.place = v.node.place;
    };
    read_section(value, {{"authenticator", name},
                         {"request_params", refused_unless_off("credentials come in a header")}});
    if (out.id.empty()) value.fail_at("authenticator", "is missing: the name of an extension");
  };
}

std::optional<AuthenticatorConfig> resolve_authenticator(
    const AuthReference& reference, AuthUse use,
    const std::vector<const DeclaredExtension*>& listed, const Declared& declared,
    Findings& findings) {
  if (reference.id.empty()) return std::nullopt;
  const auto fail = [&](std::string message, std::string hint = {}) {
    findings.error(reference.place, reference.key, std::move(message), std::move(hint));
    return std::nullopt;
  };
  const std::string name = quoted(reference.id);
  for (const DeclaredExtension* extension : listed) {
    if (extension->id.id != reference.id) continue;
    if (!extension->authenticator) return fail(name + " is no authenticator");
    const Kind kind = extension->authenticator->kind;
    if (use == AuthUse::receiver && kind == Kind::basic_client) {
      return fail(name + " has client_auth, which is for exporters", "htpasswd is for receivers");
    }
    if (use == AuthUse::exporter && kind == Kind::basic_server) {
      return fail(name + " has htpasswd, which is for receivers", "client_auth is for exporters");
    }
    return extension->authenticator;
  }
  const auto& ids = declared.extension_ids;
  if (std::find(ids.begin(), ids.end(), reference.id) != ids.end()) {
    return fail(name + " is not in service::extensions");
  }
  return fail("references authenticator " + name + " which is not configured",
              suggest(reference.id, ids));
}

}  // namespace holdfast
