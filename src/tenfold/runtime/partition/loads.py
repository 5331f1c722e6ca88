"""Keys and their loads from a file: CSV, or Parquet when pyarrow is installed. Every mistake of the file at once."""

import csv
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TextIO

from tenfold.errors import DesignError, Mistake, UsageError

MISTAKES_MAX = 20
"""More than anyone reads; a file of another kind altogether must not take seconds to be refused."""

NO_LOAD = "none"
"""Instead of a column's name: every row counts 1."""

_PARQUET = b"PAR1"  # its first four bytes
_DELIMITERS = ",;\t|"
_SHOWN_MAX = 60
_WRITE_TEXT = "write text in UTF-8: a header, then a key and a load per line"


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns to read. None: `key` and `load`, or the only column there is."""

    key: str | None = None
    load: str | None = None


@dataclass(slots=True)
class _Source:
    """A file being read: its mistakes so far, and the line at hand."""

    path: str
    mistakes: list[Mistake] = field(default_factory=list)
    left_out_count: int = 0
    text: str = ""
    line: int = 0

    def add(self, line: int, message: str, remedy: str, part: str = "") -> None:
        """Note a mistake; the caret stands under `part` of the line."""
        if len(self.mistakes) >= MISTAKES_MAX:
            self.left_out_count += 1
            return
        text = self.text.rstrip("\r\n") if line else ""
        column = text.find(part) + 1 if part and part in text else 1
        end = column + len(part) if part and part in text else len(text) + 1
        self.mistakes.append(Mistake(self.path, line, column, max(end, column + 1), message, remedy, text))

    def raise_if_any(self) -> None:
        """End the reading when something was wrong."""
        if self.left_out_count:
            text = f"{self.left_out_count:,} more mistakes are not shown"
            self.mistakes.append(Mistake(self.path, 0, 0, 0, text, "put these right first"))
        if self.mistakes:
            raise DesignError(tuple(self.mistakes))

    def lines(self, stream: TextIO) -> Iterator[str]:
        """The lines; the one at hand is remembered."""
        for line in stream:
            self.text = line
            self.line += 1
            if "\0" in line:
                raise csv.Error("NUL bytes")
            yield line


def read_loads(path: str | os.PathLike[str], columns: Columns | None = None) -> dict[str | bytes, float]:
    """The load of every key, rows of one key added up.

    Args:
        path: a CSV file with a header (separated by comma, semicolon, tab or bar), or a Parquet file.
        columns: which to read.

    Raises:
        DesignError: the file is no such file, a column is missing, a key or load is none; every mistake at once.
        UsageError: there is no such file, or pyarrow is needed and not installed.
    """
    source = _Source(os.fspath(path))
    columns = columns or Columns()
    try:
        with open(path, "rb") as stream:
            is_parquet = stream.read(4) == _PARQUET
        loads = _read_parquet(source, columns) if is_parquet else _read_csv(source, columns)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"{source.path} cannot be read: {reason}", "give the path of a CSV or Parquet file") from error
    if not source.mistakes and not any(loads.values()):
        what = "load" if loads else "key"
        source.add(0, f"there is no {what} in the file", "give a key and a load above 0 per line, below the header")
    source.raise_if_any()
    return loads


def _read_csv(source: _Source, columns: Columns) -> dict[str | bytes, float]:
    try:
        with open(source.path, encoding="utf-8-sig", newline="") as stream:
            return _rows_of(source, stream, columns)
    except UnicodeDecodeError:
        source.add(0, "the file is no CSV: bytes that are no text", _WRITE_TEXT)
    except csv.Error as error:
        source.add(source.line, f"the file is no CSV: {error}", _WRITE_TEXT)
    return {}


def _rows_of(source: _Source, stream: TextIO, columns: Columns) -> dict[str | bytes, float]:
    lines = source.lines(stream)
    header_line = next(lines, "")
    delimiter = max(_DELIMITERS, key=header_line.count)
    header = [name.strip() for name in next(csv.reader([header_line], delimiter=delimiter, strict=True), [])]
    if not any(header):
        source.add(0, "the file is empty", "a header, then a key and a load per line")
        return {}
    chosen = _chosen(source, header, columns)
    if chosen is None:
        return {}
    loads: dict[str | bytes, float] = {}
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    for row in rows:
        if row:
            _add_row(source, loads, row, rows.line_num + 1, chosen, len(header))
    return loads


def _chosen(source: _Source, header: list[str], columns: Columns) -> tuple[int, int] | None:
    """The places of key and load among the columns; -1: every row counts 1."""
    key, load = columns.key, columns.load
    if key is None:
        key = header[0] if len(header) == 1 else "key"
    if load is None:
        load = NO_LOAD if len(header) == 1 else "load"
    there = f"the columns are: {', '.join(_shown(name) for name in header[:20])}"
    if key not in header:
        source.add(1, f"there is no column {key!r} for the keys", f"name it with --key; {there}")
    if load not in header and load != NO_LOAD:
        source.add(1, f"there is no column {load!r} for the loads", f"name it with --load, or --load none; {there}")
    if source.mistakes:
        return None
    return header.index(key), -1 if load == NO_LOAD else header.index(load)


def _add_row(
    source: _Source, loads: dict[str | bytes, float], row: list[str], line: int, chosen: tuple[int, int], width: int
) -> None:
    """Add one row's load to its key's, or note what is wrong with it."""
    if len(row) != width:
        source.add(line, f"{len(row)} values, where the header has {width}", "quote a value that holds the separator")
        return
    key, load = row[chosen[0]], 1.0
    if not key:
        source.add(line, "the row has no key", "give one, or leave the row out")
        return
    if chosen[1] >= 0:
        written = row[chosen[1]].strip()
        try:
            load = float(written)
        except ValueError:
            source.add(line, f"the load {_shown(written)!r} is no number", "write a number from 0 on", written)
            return
        if not (load >= 0 and math.isfinite(load)):
            source.add(line, f"the load {_shown(written)} is none", "write a number from 0 on", written)
            return
    loads[key] = loads.get(key, 0.0) + load


def _read_parquet(source: _Source, columns: Columns) -> dict[str | bytes, float]:
    try:
        from pyarrow.lib import ArrowException
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{source.path} is a Parquet file, and reading one needs pyarrow",
            "install it with: pip install pyarrow; or give a CSV file",
        ) from error
    try:
        file = ParquetFile(source.path)
        chosen = _chosen(source, list(file.schema_arrow.names), columns)
        return _batches(source, file, chosen) if chosen else {}
    except ArrowException as error:
        reason = str(error).splitlines()[0]
        source.add(0, f"the file is no Parquet file: {reason}", "write it again, or give a CSV file")
        return {}


def _batches(source: _Source, file: Any, chosen: tuple[int, int]) -> dict[str | bytes, float]:
    """Read the chosen columns piece by piece. The line of a mistake is the number of its row."""
    names = file.schema_arrow.names
    wanted = [names[place] for place in chosen if place >= 0]
    loads: dict[str | bytes, float] = {}
    line = 0
    for batch in file.iter_batches(columns=wanted):
        listed = [batch.column(name).to_pylist() for name in wanted]
        for row in zip(*listed, strict=True):
            line += 1
            texts = ["" if value is None else str(value) for value in row]
            source.text = ",".join(texts)
            _add_row(source, loads, texts, line, (0, len(texts) - 1 if chosen[1] >= 0 else -1), len(wanted))
    return loads


def _shown(text: str) -> str:
    """A value fit for a message."""
    cut = "".join(char if char.isprintable() else "?" for char in islice(text, _SHOWN_MAX))
    return cut if len(text) <= _SHOWN_MAX else f"{cut}..."


def parse_nodes(texts: Iterable[tuple[str, str]]) -> list[dict[str, float]]:
    """Names and weights from `a,b=2,c=0.5`, or `12` for node-1 to node-12.

    Args:
        texts: (option, what was written) of each list.

    Raises:
        UsageError: with every mistake of all lists.
    """
    troubles: list[str] = []
    lists = [_parsed_nodes(option, text, troubles) for option, text in texts]
    if troubles:
        raise UsageError("; ".join(troubles), "write names, weights where they differ: a,b=2,c=0.5; or a number")
    return lists


NODES_MAX = 100_000


def _parsed_nodes(option: str, text: str, troubles: list[str]) -> dict[str, float]:
    if text.strip().isdecimal():
        count = int(text)
        if not 1 <= count <= NODES_MAX:
            troubles.append(f"{option}: {text} nodes, where 1 to {NODES_MAX:,} make sense")
            return {}
        digits = len(str(count))
        return {f"node-{number:0{digits}}": 1.0 for number in range(1, count + 1)}
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, sign, weight = (each.strip() for each in part.partition("="))
        if not name or name in weights:
            troubles.append(f"{option}: {'a node without a name' if not name else f'{name!r} twice'}")
            continue
        weights[name] = _weight(option, name, weight if sign else "1", troubles)
    return weights


def _weight(option: str, name: str, text: str, troubles: list[str]) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0 < weight <= 1e6:
        troubles.append(f"{option}: the weight {text!r} of {name!r} is no number above 0")
        return 1.0
    return weight
