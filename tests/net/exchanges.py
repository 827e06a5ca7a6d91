#!/usr/bin/env python3
"""The scripted exchanges of lichen/net/tcp and socket as a table: what each proves and where that is demanded.

  exchanges.py ROOT           writes the table into docs/tcp.md, between its two marks
  exchanges.py --check ROOT   exits with 1 if the table there is not this one
"""
import pathlib
import re
import sys

BEGIN = "<!-- exchanges: written by tests/net/exchanges.py -->\n"
END = "<!-- end of exchanges -->\n"
EXCHANGE = re.compile(
    r'^EXCHANGE\(\s*(\w+),\s*((?:"[^"]*"\s*)+),\s*((?:"[^"]*"\s*)+)\)', re.MULTILINE)


def text_of(literals):
    return "".join(re.findall(r'"([^"]*)"', literals))


def table(root):
    rows = []
    for path in sorted([*(root / "lichen/net/tcp").glob("*_test.cpp"),
                        *(root / "lichen/net/socket").glob("*_test.cpp")]):
        for name, source, proves in EXCHANGE.findall(path.read_text()):
            rows.append(f"| {name} | {text_of(source)} | {text_of(proves)} |")
    head = f"{len(rows)} exchanges:\n\n| exchange | source | proves |\n|---|---|---|\n"
    return head + "\n".join(rows) + "\n"


def main():
    check = "--check" in sys.argv
    root = pathlib.Path(sys.argv[-1])
    page = root / "docs/tcp.md"
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    new = before + BEGIN + table(root) + END + after
    if not check:
        page.write_text(new)
    elif new != text:
        sys.exit("docs/tcp.md does not list the exchanges as they are: run tests/net/exchanges.py .")


main()
