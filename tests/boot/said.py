"""What an image said, against what it was to say."""
import re
import sys
import time


def not_said(expected, text):
    """Of what is expected, in that order."""
    at = 0
    for pattern in expected:
        found = re.compile(pattern, re.MULTILINE).search(text, at)
        if found:
            at = found.end()
        else:
            yield f"it did not say: {pattern}"


def end(program, failures, began):
    """Tells how it went; yields the exit status."""
    for failure in failures:
        print(f"{program}: {failure}", file=sys.stderr)
    print(f"{time.monotonic() - began:.2f} s")
    return 1 if failures else 0
