#!/bin/sh
# One case of a misuse that must not compile. Every line `// expect: REGEX` of the case names something
# the compiler has to say (an extended regular expression) when LICHEN_MISUSE is defined. Without it the
# same file has to compile, so that it is the misuse that fails and nothing else.
#
#   compile_fail.sh CASE COMPILER FLAG...
set -u
case=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "$case: $1"
  sed 's/^/  /' "$work/output"
  exit 1
}

sed -n 's|^// expect: ||p' "$case" >"$work/expected"
[ -s "$work/expected" ] || { : >"$work/output"; fail 'has no line "// expect: ..."'; }

"$@" -fsyntax-only "$case" >"$work/output" 2>&1 || fail 'does not compile without LICHEN_MISUSE:'
"$@" -fsyntax-only -fno-color-diagnostics -DLICHEN_MISUSE "$case" >"$work/output" 2>&1 &&
  fail 'compiles, though it must not'
while read -r expected; do
  grep -qE -- "$expected" "$work/output" || fail "the compiler does not say \"$expected\":"
done <"$work/expected"
