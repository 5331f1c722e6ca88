"""Reads a file of measured times beside the design: one per line, a duration or a number of milliseconds."""

from pathlib import Path as FilePath

from tenfold.design.read import Reader
from tenfold.design.tree import Node
from tenfold.units import MS, UnitError, parse_duration, parse_number, quoted

BYTES_MAX = 2_000_000
SAMPLES_MAX = 100_000
MISTAKES_MAX = 10  # of one file: it is probably another file altogether


def read_samples(reader: Reader, node: Node, name: str) -> tuple[float, ...]:
    """The samples in ns, sorted; none, and mistakes, when they cannot be read.

    Args:
        reader: notes what is wrong, and keeps the samples for the design's fingerprint.
        node: where the design names the file.
        name: the file, relative to the design's folder.
    """
    if name in reader.samples:
        return reader.samples[name]
    text = _read_text(reader, node, name)
    before = len(reader.mistakes.found)
    samples = _read_lines(reader, name, text) if text is not None else ()
    if text is not None and not samples and len(reader.mistakes.found) == before:
        reader.complain(node, f"{quoted(name)} has no samples", "write one duration or number of ms per line")
    reader.samples[name] = samples
    return samples


def _read_text(reader: Reader, node: Node, name: str) -> str | None:
    """The text of the file; None, and a mistake, when there is none."""
    remedy = "write the name of a text file beside the design: one duration or number of ms per line"
    folder = FilePath(reader.folder or ".")
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            reader.complain(node, f"{quoted(name)} is not in the design's folder", "put the file beside the design")
            return None
        if not path.is_file():
            reader.complain(node, f"there is no file {quoted(name)}", remedy)
            return None
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
        if len(content) > BYTES_MAX:
            reader.complain(node, f"{quoted(name)} is larger than {BYTES_MAX // 1_000_000} MB", "keep a sample of it")
            return None
        return content.decode("utf-8-sig")
    except (OSError, ValueError):  # not readable, not UTF-8, or a name no file can have
        reader.complain(node, f"{quoted(name)} cannot be read as text", remedy)
        return None


def _read_lines(reader: Reader, name: str, text: str) -> tuple[float, ...]:
    """Every line's sample. Blank lines and comments (#) are skipped."""
    samples: list[float] = []
    wrong = 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            samples.append(_sample(line.strip()))
        except UnitError as error:
            wrong += 1
            reader.mistakes.add_elsewhere(_beside(reader, name), number, line[:200], error.message, error.remedy)
        if wrong >= MISTAKES_MAX or len(samples) > SAMPLES_MAX:
            break
    if len(samples) > SAMPLES_MAX:
        message = f"more than {SAMPLES_MAX:,} samples"
        reader.mistakes.add_elsewhere(_beside(reader, name), number, line, message, "keep a random part of them")
    return tuple(sorted(samples))


def _sample(text: str) -> float:
    """One sample in ns."""
    try:
        return min(parse_number(text), 1e12) * MS
    except UnitError:
        return float(parse_duration(text))


def _beside(reader: Reader, name: str) -> str:
    """The file's path as messages show it."""
    return str(FilePath(reader.folder) / name) if reader.folder else name
