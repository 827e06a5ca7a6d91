#!/bin/sh
# Installs a build of Lichen and uses it from projects outside the tree: example/, and the program of
# README.md in the project that docs/tutorial.md describes.
#
#   install_test.sh BUILD_FOLDER CMAKE CXX_COMPILER
set -eu
build=$(cd "$1" && pwd)
cmake=$2
compiler=$3
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What `$@` prints must be $expected.
expect_output() {
  "$@" >"$work/output" 2>&1 || { echo "$*: exit status $?:"; cat "$work/output"; exit 1; }
  [ "$(cat "$work/output")" = "$expected" ] || { echo "$*: printed:"; cat "$work/output"; exit 1; }
}

build_project() {
  "$cmake" -S "$1" -B "$1/build" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" \
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$work/lichen"
  "$cmake" --build "$1/build" --parallel 2
}

"$cmake" --install "$build" --prefix "$work/lichen" >"$work/installed"
if grep -rnIF -e "$root" -e "$build" "$work/lichen" --include=*.cmake --include=*.hpp; then
  echo 'the package names folders of this machine'
  exit 1
fi
[ -z "$(find "$work/lichen" -name '*test*')" ] || { echo 'the package contains tests'; exit 1; }

cp -R "$root/tests/install/example" "$work/example"
build_project "$work/example"
expected='hello over TCP'
expect_output "$work/example/build/server"
expected=$(printf 'one\ntwo')
expect_output "$work/example/build/app" one --cores 1 two
expected='gave way'
expect_output timeout 60 "$work/example/build/hog"

# The first block of a language in a page.
block() { awk -v begin="\`\`\`$1" '$0 == begin { on = 1; next } /^```/ && on { exit } on' "$2"; }
mkdir "$work/readme"
block cpp "$root/README.md" >"$work/readme/hello.cpp"
block cmake "$root/docs/tutorial.md" >"$work/readme/CMakeLists.txt"
build_project "$work/readme"
expected=$(printf '1\n2\n3')
expect_output "$work/readme/build/hello"
