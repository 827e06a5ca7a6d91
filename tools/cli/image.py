"""lichen image: one ELF file that boots, with an app and its files inside."""
import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import sys

from cli.common import ROOT, TARGETS, Failed, set_up, tool

DESCRIPTION = """Builds one ELF file that boots by itself: the kernel, the app, its files. The loader's
command line gives the app its words."""


def add_to(commands):
    parser = commands.add_parser("image", help="make an image that boots", description=DESCRIPTION)
    parser.add_argument("app", metavar="APP", help="the app's folder, such as apps/site")
    parser.add_argument("--target", choices=TARGETS, required=True)
    parser.add_argument("--files", metavar="DIR",
                        help="what the image has inside, instead of the app's own folder")
    parser.add_argument("--disks", action="store_true",
                        help="with a driver for disks, even if the app's build does not ask for one")
    parser.add_argument("--out", metavar="FILE", help="default: build/images/APP-TARGET; the symbols "
                        "go to FILE.debug")
    parser.set_defaults(run=run)


def run(words):
    image = make(words.app, words.target, words.files, words.out, words.disks)
    size = image.stat().st_size
    print(f"{shown(image)}: {size:,} bytes; symbols in {shown(symbols_of(image))}")
    return 0


def shown(path):
    """A path as a person would write it."""
    path = pathlib.Path(path)
    for base in (pathlib.Path.cwd(), ROOT):
        if path.is_relative_to(base):
            return str(path.relative_to(base)) if base == pathlib.Path.cwd() else str(path)
    return str(path)


def symbols_of(image):
    return image.with_name(image.name + ".debug")


def find_app(word):
    """The app's folder, which has a lichen_app() of the same name."""
    if not word:
        raise Failed("the app's folder is wanted, such as apps/site", 2)
    for folder in (pathlib.Path(word), ROOT / word, ROOT / "apps" / word):
        try:
            folder = folder.resolve()
            recipe = folder / "CMakeLists.txt"
            if not recipe.is_file():
                continue
            text = recipe.read_text(errors="replace")
        except OSError as why:
            raise Failed(f"{word} is no app: {why.strerror}", 2) from why
        if not re.search(rf"lichen_app\(\s*{re.escape(folder.name)}\b", text):
            raise Failed(f"{word} is no app: its CMakeLists.txt has no lichen_app({folder.name} ...)", 2)
        return folder
    raise Failed(f"{word} is no app: there is no CMakeLists.txt in such a folder", 2)


def find_files(word):
    if word is None:
        return None
    folder = pathlib.Path(word).resolve()
    if not word:
        raise Failed("--files: a folder is wanted", 2)
    if not is_folder(folder):
        raise Failed(f"--files {word}: there is no such folder", 2)
    return folder


def is_folder(path):
    try:
        return path.is_dir()
    except OSError:  # of a name that is too long, say
        return False


def place_for(out):
    """Where the image goes: whether it can be written there is asked before it is built."""
    path = pathlib.Path(out)
    try:
        if not out:
            raise Failed("--out: the name of a file is wanted", 2)
        if path.exists() and not path.is_file():
            raise Failed(f"--out {out}: there is something that is no file", 2)
        path = path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as why:
        raise Failed(f"--out {out}: cannot be written ({why.strerror})", 2) from why
    if not os.access(path.parent, os.W_OK):
        raise Failed(f"--out {out}: cannot be written (no right to)", 2)
    return path


def make(app, target, files=None, out=None, disks=False):
    """Returns the path of the image."""
    folder = find_app(app)
    name = folder.name
    image = place_for(str(ROOT / "build/images" / f"{name}-{target}") if out is None else out)
    files = find_files(files)
    set_up()
    build = ROOT / "build" / f"image-{target}"
    build.mkdir(parents=True, exist_ok=True)
    # Two at a time would build into one another.
    with open(build / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        built = build_app(folder, target, build, files, disks)
        copy_stripped(built, image)
    return image


def build_app(folder, target, build, files, disks):
    name = folder.name
    log = build / "image.log"
    options = [f"-DLICHEN_FILES_{name}={files or ''}", f"-DLICHEN_DEVICES_{name}={'DISKS' if disks else ''}"]
    outside = not folder.is_relative_to(ROOT / "apps")
    options.append(f"-DLICHEN_MORE_APPS={folder if outside else ''}")
    with open(log, "w", buffering=1) as output:
        done = subprocess.run(["cmake", "--preset", f"image-{target}", *options], cwd=ROOT,
                              stdout=output, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            build_failed(log, f"cmake could not configure build/image-{target}")
        # Ninja alone: the target of an app outside may have any name.
        process = subprocess.Popen(["ninja", "-C", str(build), name], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        show_progress(process.stdout, output, f"Building {name} for {target}")
        if process.wait() != 0:
            output.flush()
            build_failed(log, f"{name} does not build for {target}")
    return build / "apps" / name


def show_progress(lines, output, what):
    """Copies the builder's output and says how far it is, if there is much to build."""
    terminal = sys.stderr.isatty()
    told = False
    for line in lines:
        output.write(line)
        step = re.match(r"\[(\d+)/(\d+)\]", line)
        if not step or int(step[2]) < 5:
            continue
        if not told:
            print(f"{what}, which takes a minute or two the first time ...", file=sys.stderr)
            told = True
        if terminal:
            print(f"\r  step {step[1]}/{step[2]} ", end="", file=sys.stderr, flush=True)
    if told and terminal:
        print(file=sys.stderr)


def build_failed(log, why):
    lines = log.read_text(errors="replace").splitlines()
    # The first message of the compiler says more than the end of the log.
    first = next((i for i, line in enumerate(lines) if re.search(r"\berror\b:?", line)), None)
    part = lines[first:first + 25] if first is not None else lines[-25:]
    print("\n".join(part), file=sys.stderr)
    raise Failed(f"{why}; the whole log is {shown(log)}", 4)


def copy_stripped(built, image):
    """The image without its symbols, and these beside it; each appears whole."""
    objcopy = tool("llvm-objcopy")
    for words, path in ((["--strip-all"], image), (["--only-keep-debug"], symbols_of(image))):
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            subprocess.run([objcopy, *words, str(built), str(partial)], check=True)
            shutil.copymode(built, partial)
            partial.rename(path)
        except (OSError, subprocess.CalledProcessError) as why:
            partial.unlink(missing_ok=True)
            raise Failed(f"cannot write {path}: {why}") from why
