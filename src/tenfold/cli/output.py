"""Where an answer goes: the screen, or a file that is either whole or not there."""

import os
import tempfile
from pathlib import Path

from tenfold.cli.terminal import note, out


def deliver(text: str, path: str | None) -> None:
    """Write the text to the screen, or to a file.

    Raises:
        OSError: the file cannot be written.
    """
    if path is None:
        out(text)
        return
    _write_whole(Path(path), text)
    note(f"wrote {path}")


def _write_whole(path: Path, text: str) -> None:
    """Replace the file in one step: a report that stops half-way would be read as a whole one."""
    if path.exists() and not path.is_file():  # /dev/null, a named pipe
        path.write_text(text, encoding="utf-8")
        return
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # nobody knows the temporary name
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask() -> int:
    """The process's mask for new files; it can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
