#!/bin/sh
# package_files.sh PROGRAM CHANGELOG DIRECTORY: makes in the directory what the program says of itself, and the
# changelogs as Debian wants them.
set -eu
program=$1 changelog=$2 directory=$3
"$program" manual | gzip -9cn >"$directory/holdfast.1.gz"
"$program" completion bash >"$directory/holdfast.bash"
"$program" completion zsh >"$directory/_holdfast"
"$program" completion fish >"$directory/holdfast.fish"
gzip -9cn "$changelog" >"$directory/changelog.gz"
gzip -9cn "$directory/changelog.Debian" >"$directory/changelog.Debian.gz"
