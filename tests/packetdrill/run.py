#!/usr/bin/env python3
"""Runs packetdrill scripts against our TCP/IP.

  run.py [--packetdrill FILE] [--suite FOLDER] [--twice] [-v] LIBRARY SCRIPT...

LIBRARY      lichen_packetdrill.so
SCRIPT       files, or folders of them
--packetdrill  the program; else $LICHEN_PACKETDRILL, or build/packetdrill/packetdrill
--suite      a folder with "common/defaults.sh" (packetdrill's own gtests/net): works on a copy in which
             the commands that would change the host's settings change those of our stack
--twice      runs each two times and fails if what it prints differs
Exit status: 0 all passed; 1 some failed; 77 there is no packetdrill.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ADDRESSES = ["--ip_version=ipv4", "--local_ip=192.168.0.1", "--gateway_ip=192.168.0.1",
             "--netmask_ip=255.255.0.0", "--remote_ip=192.0.2.1"]
DEFINES = ["-D", "TFO_COOKIE=3021b9d889017eeb", "-D", "CODE=host_unreachable",
           "-D", "CMSG_LEVEL_IP=SOL_IP", "-D", "CMSG_TYPE_RECVERR=IP_RECVERR"]
SECONDS = 20  # of real time; scripts run in virtual time


def find_packetdrill(given):
    for path in (given, os.environ.get("LICHEN_PACKETDRILL"),
                 HERE.parent.parent / "build/packetdrill/packetdrill"):
        if path and os.access(path, os.X_OK):
            return str(path)
    return None


def make_tools(folder):
    """Programs that scripts call, as those of the world they run in."""
    shutil.copy(HERE / "bin/sysctl", folder / "sysctl")
    for name in ("tc", "ip", "ifconfig"):
        shutil.copy(HERE / "bin/ignore", folder / name)


def copy_suite(suite, folder):
    shutil.copytree(suite, folder, symlinks=False, ignore=shutil.ignore_patterns("*.o"))
    for path in folder.rglob("set_sysctls.py"):
        path.write_text('#!/bin/sh\nfor word in "$@"; do\n'
                        '  name=${word%%=*}; name=${name#/proc/sys/}\n'
                        '  sysctl "$(echo "$name" | tr / .)=${word#*=}"\ndone\n'
                        'printf "#!/bin/sh\\n" >/tmp/sysctl_restore_$PACKETDRILL_PID.sh\n'
                        'chmod u+x /tmp/sysctl_restore_$PACKETDRILL_PID.sh\n')


def run(program, library, script, tools):
    settings = tools / "settings"
    settings.unlink(missing_ok=True)
    env = dict(os.environ, LICHEN_PACKETDRILL_SYSCTLS=str(settings), LD_PRELOAD=str(library),
               PATH=f"{tools}:{os.environ['PATH']}")
    command = [program, *ADDRESSES, *DEFINES, "--send_omit_free", f"--so_filename={library}",
               script.name]
    try:
        done = subprocess.run(command, cwd=script.parent, env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=SECONDS)
    except subprocess.TimeoutExpired as late:
        return False, (late.stdout or b"").decode(errors="replace") + "it does not come to an end\n"
    return done.returncode == 0, done.stdout.decode(errors="replace")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--packetdrill")
    parser.add_argument("--suite", type=pathlib.Path)
    parser.add_argument("--twice", action="store_true")
    parser.add_argument("-v", action="store_true")
    parser.add_argument("library", type=pathlib.Path)
    parser.add_argument("scripts", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    program = find_packetdrill(options.packetdrill)
    if program is None:
        print("skipped: there is no packetdrill (LICHEN_PACKETDRILL, or build/packetdrill)")
        sys.exit(77)
    library = options.library.resolve()
    passed, failed = [], []
    with tempfile.TemporaryDirectory() as temporary:
        tools = pathlib.Path(temporary) / "bin"
        tools.mkdir()
        make_tools(tools)
        scripts = []
        for path in options.scripts:
            scripts += sorted(path.rglob("*.pkt")) if path.is_dir() else [path]
        if options.suite:
            copy = pathlib.Path(temporary) / "suite"
            copy_suite(options.suite, copy)
            suite = options.suite.resolve()
            scripts = [copy / script.resolve().relative_to(suite) for script in scripts]
        for script in scripts:
            name = script.relative_to(copy) if options.suite else script.name
            ok, output = run(program, library, script, tools)
            if options.twice and ok:
                again = run(program, library, script, tools)
                if (ok, output) != again:
                    ok, output = False, f"two runs differ:\n{output}\n{again[1]}"
            (passed if ok else failed).append(str(name))
            output = re.sub(r"^\s+$", "", output, flags=re.MULTILINE).strip()
            if not ok or options.v:
                print(f"{'passed' if ok else 'FAILED'} {name}\n{output}", flush=True)
    print(f"{len(passed)} passed, {len(failed)} failed")
    for name in failed:
        print(f"  {name}")
    sys.exit(1 if failed else 0)


main()
