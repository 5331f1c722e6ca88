"""What the terminal takes, and writing to it."""

import os
import shutil
import sys
from typing import TextIO

from tenfold.report.style import WIDTH_MAX, Style

_WIDTH_OF_PIPES = 100
_NARROWEST = 60
_NEEDED = "✓✗█▁─"


def style_of(stream: TextIO) -> Style:
    """Unicode when the encoding has it; colour only on a terminal, without NO_COLOR; at most 120 columns."""
    is_terminal = stream.isatty()
    has_colour = is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    columns = shutil.get_terminal_size((_WIDTH_OF_PIPES, 24)).columns if is_terminal else _WIDTH_OF_PIPES
    return Style(_takes_unicode(stream), has_colour, max(_NARROWEST, min(columns, WIDTH_MAX)))


def _takes_unicode(stream: TextIO) -> bool:
    try:
        _NEEDED.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def out(text: str) -> None:
    """Write to standard output; characters it does not have become question marks."""
    _write(sys.stdout, text)


def note(text: str) -> None:
    """Write a line to standard error, where it does not mix with the answer."""
    _write(sys.stderr, text + "\n")


def _write(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding))
    stream.flush()
