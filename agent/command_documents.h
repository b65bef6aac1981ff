// Shell completion and the manual page, made from the description of the command line. Pure
// functions.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "agent/command_description.h"

namespace holdfast {

inline constexpr std::array<const char*, 3> kCompletionShells{"bash", "zsh", "fish"};

/// What the shell reads to complete the program's command lines; empty for a shell that is none of
/// kCompletionShells.
std::string completion_script(const CommandDescription& program, std::string_view shell);

/// holdfast(1) as roff with the macros of man(7).
std::string manual_page(const CommandDescription& program);

}  // namespace holdfast
