#!/bin/sh
# Proves that tools/check_layers fails on trees that break a rule, names the place, and passes on good
# ones. Each case is a small tree beside the real lichen/layers.txt.
#
#   layers_test.sh ROOT     ROOT: the repository
set -u
root=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# file PATH: its content comes from standard input.
file() {
  mkdir -p "$work/tree/$(dirname "$1")"
  cat >"$work/tree/$1"
}

fresh() {
  rm -rf "$work/tree"
  mkdir -p "$work/tree/lichen"
  cp "$root/lichen/layers.txt" "$work/tree/lichen/"
  echo '#pragma once' | file lichen/base/a.hpp
}

# expect NAME STATUS [TEXT]: the checker's exit status on the tree, and what it must say.
expect() {
  "$root/tools/check_layers" "$work/tree" >"$work/output" 2>&1
  status=$?
  if [ $status -eq "$2" ] && { [ $# -lt 3 ] || grep -qF -- "$3" "$work/output"; }; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: $1: exit status $status, expected $2${3:+ and \"$3\"}; it said:"
    sed 's/^/  /' "$work/output"
  fi
}

fresh
printf '#include <vector>\n#include "lichen/base/a.hpp"\nint x = std::size_t{};\n' | file lichen/net/http/a.cpp
printf '#include <sys/mman.h>\n#include <thread>\n' | file lichen/hal/linux/a.cpp
printf '#include <thread>\n' | file lichen/sched/a_test.cpp
printf '#include "lichen/io/a.hpp"  // not "lichen/driver/a.hpp"\n' | file apps/x/x.cpp
echo '#pragma once' | file lichen/io/a.hpp
expect 'a good tree' 0

fresh
printf '\n#include "lichen/coro/a.hpp"\n' | file lichen/base/b.hpp
expect 'base includes coro' 1 'lichen/base/b.hpp:2: lichen/base may not include lichen/coro'

fresh
printf '#include "lichen/driver/linux/ring.hpp"\n' | file lichen/net/http/server.cpp
expect 'net includes a driver' 1 'lichen/net/http/server.cpp:1: lichen/net may not include lichen/driver'

fresh
printf '// thread_local\nstatic thread_local int x = 0;\n' | file lichen/net/http/a.cpp
expect 'a variable of threads' 1 'lichen/net/http/a.cpp:2: a task may be on another thread after a co_await'
fresh
printf 'static __thread int x;\n' | file apps/x/x.cpp
expect 'the same in an app' 1 'apps/x/x.cpp:1: a task may be on another thread'
fresh
printf 'thread_local int x; /* "thread_local" */\n' | file lichen/hal/linux/a.cpp
printf 'thread_local int x;\n' | file lichen/net/http/a_test.cpp
printf 'int a_thread_local = 0;  // thread_local\nconst char* y = "thread_local";\n' | file lichen/net/http/a.cpp
expect 'where they may be' 0

for folder in hal driver image; do
  fresh
  printf '#  include "lichen/%s/a.hpp"\n' $folder | file apps/site/site.cpp
  expect "an app includes $folder" 1 "apps/site/site.cpp:1: apps may not include lichen/$folder"
  fresh
  printf 'void f() { lichen::%s::g(); }\n' $folder | file apps/site/site.cpp
  expect "an app names $folder" 1 "apps/site/site.cpp:1: apps may not name $folder::"
done

fresh
printf '#include "apps/site/site.hpp"\n' | file lichen/net/a.cpp
expect 'a library includes an app' 1 'lichen/net may not include apps'

fresh
printf '#include "tests/support/clock.hpp"\n' | file lichen/net/a.cpp
expect 'a library includes a test' 1 'nothing includes tests/support/clock.hpp'

fresh
printf '#include "a.hpp"\n' | file lichen/base/b.cpp
expect 'a path relative to the file' 1 '"a.hpp" does not start at the root'

fresh
printf '#include "lichen/%s/a.hpp"\n' nowhere | file lichen/base/b.cpp
expect 'an unknown folder' 1 '"lichen/nowhere/a.hpp" does not start at the root'

fresh
echo '#pragma once' | file lichen/nowhere/a.hpp
expect 'a folder without a layer' 1 'lichen/nowhere/a.hpp:1: its folder is not in lichen/layers.txt'

fresh
printf '#define WORLD "lichen/driver/world.hpp"\n#include WORLD\n' | file lichen/hal/hal.hpp
expect 'an arrow hidden in a macro' 1 'lichen/hal/hal.hpp:1: lichen/hal may not include lichen/driver'

fresh
printf '#include WORLD\n' | file lichen/hal/hal.hpp
expect 'a macro from elsewhere' 1 'lichen/hal/hal.hpp:1: an #include that cannot be checked: WORLD'

for header in sys/socket.h linux/io_uring.h unistd.h fcntl.h pthread.h signal.h poll.h netinet/in.h \
  arpa/inet.h netdb.h dirent.h time.h thread mutex condition_variable filesystem; do
  fresh
  printf '#include <%s>\n' $header | file lichen/sched/a.cpp
  expect "<$header> in sched" 1 "lichen/sched/a.cpp:1: <$header> belongs to the host"
  fresh
  printf '#include <%s>\n' $header | file lichen/hal/a.hpp
  expect "<$header> in hal, outside linux" 1 "lichen/hal/a.hpp:1: <$header> belongs to the host"
done

fresh
printf '#include "lichen/base/c.hpp"\n' | file lichen/base/b.hpp
printf '\n#include "lichen/base/d.hpp"\n' | file lichen/base/c.hpp
printf '#include "lichen/base/b.hpp"\n' | file lichen/base/d.hpp
expect 'headers in a circle' 1 \
  'a cycle: lichen/base/b.hpp -> lichen/base/c.hpp -> lichen/base/d.hpp -> lichen/base/b.hpp'

fresh
echo 'layer lichen/mem: lichen/sched' >>"$work/tree/lichen/layers.txt"
expect 'arrows in a circle' 1 'a cycle: lichen/mem -> lichen/sched -> lichen/mem'

fresh
echo 'layer lichen/mem: lichen/hall' >>"$work/tree/lichen/layers.txt"
expect 'an arrow to nowhere' 1 'lichen/hall is not a layer'

fresh
echo 'lair lichen/mem:' >>"$work/tree/lichen/layers.txt"
expect 'a line that is not understood' 2 'not understood'

rm -rf "$work/tree" && mkdir "$work/tree"
expect 'a tree without rules' 2 'no lichen/layers.txt'

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
