#include "agent/command_description.h"

#include <CLI/CLI.hpp>
#include <algorithm>

namespace holdfast {
namespace {

/// "NAME:{traces,logs}" is what CLI11 calls the type of a value that must be one of these.
void read_type(std::string_view type, OptionDescription& option) {
  const std::size_t colon = type.find(":{");
  option.value = type.substr(0, colon);
  if (colon == std::string_view::npos) return;
  std::string_view rest = type.substr(colon + 2);
  rest.remove_suffix(1);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(','), rest.size());
    option.choices.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

OptionDescription describe_option(const CLI::Option& from) {
  OptionDescription option;
  for (const std::string& name : from.get_snames()) option.names.push_back("-" + name);
  for (const std::string& name : from.get_lnames()) option.names.push_back("--" + name);
  if (from.get_positional()) option.names.push_back(from.get_name(true));
  if (from.get_items_expected_max() > 0) read_type(from.get_type_name(), option);
  option.default_value = from.get_default_str();
  option.help = from.get_description();
  option.required = from.get_required();
  option.repeatable = from.get_items_expected_max() > 1;
  return option;
}

CommandDescription describe_below(const CLI::App& app, const std::string& path) {
  CommandDescription command;
  command.name = app.get_name();
  command.path = path;
  command.help = app.get_description();
  for (const CLI::Option* const each : app.get_options()) {
    OptionDescription option = describe_option(*each);
    (each->get_positional() ? command.positionals : command.options).push_back(std::move(option));
  }
  for (const CLI::App* const each : app.get_subcommands({})) {
    command.commands.push_back(describe_below(*each, path + "/" + each->get_name()));
  }
  return command;
}

void add_all(const CommandDescription& command, std::vector<const CommandDescription*>& all) {
  all.push_back(&command);
  for (const CommandDescription& each : command.commands) add_all(each, all);
}

}  // namespace

CommandDescription describe_command(const CLI::App& app) { return describe_below(app, ""); }

std::vector<const CommandDescription*> all_commands(const CommandDescription& command) {
  std::vector<const CommandDescription*> all;
  add_all(command, all);
  return all;
}

}  // namespace holdfast
