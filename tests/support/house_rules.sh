#!/usr/bin/env bash
# Rules of the house that no compiler knows. Prints what breaks them; fails if anything does.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."

LINES_MAX=400
broken=0
complain() {
  printf '%s\n' "$*"
  broken=1
}

mapfile -t files < <(git ls-files --cached --others --exclude-standard |
  grep -E '\.(cc|h|py|proto|sh)$|^dev$' | while read -r file; do if [ -f "$file" ]; then echo "$file"; fi; done)

for file in "${files[@]}"; do
  lines=$(wc -l <"$file")
  [ "$lines" -le "$LINES_MAX" ] || complain "$file: $lines lines; up to $LINES_MAX, split it by noun"
done

# found PATTERN WHAT FILES...: every line that matches is broken.
found() {
  local pattern=$1 what=$2 line
  shift 2
  [ $# -gt 0 ] || return 0
  while IFS= read -r line; do complain "$line: $what"; done < <(grep -nE -- "$pattern" "$@" /dev/null | cut -c 1-140)
}

mapfile -t cpp < <(printf '%s\n' "${files[@]}" | grep -E '\.(cc|h)$')
mapfile -t tests < <(printf '%s\n' "${files[@]}" | grep -E '^tests/.*\.cc$')
mapfile -t ours < <(printf '%s\n' "${files[@]}" | grep -v '^tests/support/house_rules.sh$')
mapfile -t headers < <(printf '%s\n' "${files[@]}" | grep -E '\.h$')
mapfile -t buffer < <(printf '%s\n' "${files[@]}" | grep -E '^buffer/')
mapfile -t exporters < <(printf '%s\n' "${files[@]}" | grep -E '^exporters/')

found '\b(TODO|FIXME|XXX|HACK)\b' 'do it or drop it' "${ours[@]}"
found '(GTEST_SKIP|DISABLED_)' 'a disabled test is deleted or mended' "${tests[@]}"
found '\b(sleep_for|sleep_until|usleep|nanosleep)\b' 'tests wait on conditions' "${tests[@]}"
found '^ *(class|struct) [A-Za-z]*(Manager|Helper|Util|Utils)\b' 'name it after what it is' "${cpp[@]}"
found '^#include "(agent|exporters|proto)/' 'buffer includes nothing of ours' "${buffer[@]}"
found '^#include "(agent|buffer)/' 'exporters include proto only' "${exporters[@]}"
found '^ *(TEST|TEST_F|TEST_P)\([A-Za-z0-9]+, *(Test|Basic|Works|Simple)?[0-9]*\)' 'name a test by its scenario' "${tests[@]}"

for file in "${headers[@]}"; do
  grep -q '^#pragma once' "$file" || complain "$file: #pragma once is missing"
  head -n 1 "$file" | grep -q '^//' || complain "$file: a header begins with what it is for"
done

# docs/durability.md promises what tests show: each that it names has to be there.
while IFS= read -r name; do
  if [[ $name == test_* ]]; then
    grep -qE "^def $name\(" tests/integration/test_*.py || complain "docs/durability.md: there is no $name"
  else
    grep -qE "^TEST(_F|_P)?\(${name%.*}, ${name#*.}\)" tests/unit/*_test.cc ||
      complain "docs/durability.md: there is no $name"
  fi
done < <(grep -oE '`(test_[a-z0-9_]+|[A-Z][A-Za-z0-9]+\.[A-Z][A-Za-z0-9]+)`' docs/durability.md | tr -d '`')
exit "$broken"
