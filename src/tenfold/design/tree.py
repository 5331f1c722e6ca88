"""YAML as a tree of texts with places.

Tenfold reads the values itself: YAML 1.1 would turn `5:30` into 330 and `no` into False.

The tree is built from the parser's events, not by PyYAML's composer, which recurses (a file of brackets would overflow
the stack) and expands aliases. Anchors, aliases, tags and merge keys are refused: a design is read by people, top to
bottom, and nothing else can blow up.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tenfold.design.mistakes import WHOLE_FILE, Mistakes, Spot
from tenfold.design.schema import Path, Place
from tenfold.units import quoted

BYTES_MAX = 2_000_000
VALUES_MAX = 20_000
DEPTH_MAX = 40
TABS_MAX = 10  # lines told of; an editor that writes tabs writes them everywhere

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_GLUED = re.compile(r"\s*(?:- )*[A-Za-z_][A-Za-z0-9_-]*:(?=[^\s/:])")
_TAB_INDENT = re.compile(r"^ *\t[ \t]*[^\s#]", re.MULTILINE)


@dataclass(slots=True)
class Text:
    """A scalar, as it was written."""

    spot: Spot
    path: Path
    text: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a mapping and its value."""

    key: Text
    value: "Node"


@dataclass(slots=True)
class Map:
    """A mapping, in the order of the file."""

    spot: Spot
    path: Path
    entries: dict[str, Entry] = field(default_factory=dict)


@dataclass(slots=True)
class Items:
    """A sequence."""

    spot: Spot
    path: Path
    nodes: list["Node"] = field(default_factory=list)


Node = Text | Map | Items


class _StopError(Exception):
    """The rest of the text makes no sense; what is wrong has been noted."""


def compose(text: str, mistakes: Mistakes) -> Map | None:
    """The tree of a design file, or None when there is none to read on; what is wrong is noted.

    Args:
        text: the whole file.
        mistakes: where trouble is noted.
    """
    if not _is_readable(text, mistakes):
        return None
    node = _build(text, mistakes)
    if node is None and not mistakes.found:
        mistakes.add(WHOLE_FILE, "the file is empty", "`tenfold new NAME` writes a file to start from")
    if isinstance(node, Map):
        return node
    if node is not None:
        mistakes.add(
            node.spot, "this is not a design", "a design file starts with keys: tenfold: 1, title: ..., flows: ..."
        )
    return None


def compose_value(text: str, mistakes: Mistakes, path: Path, setting: str, offset: int) -> Node:
    """The value of an override: YAML in flow style, or the text itself where it is no YAML.

    Args:
        text: the value, one line.
        mistakes: where trouble is noted.
        path: where the value stands in the design.
        setting: the whole override; offset: where the value starts in it, 0-based.
    """
    aside = Mistakes(mistakes.path, (text,))
    node = None
    if "\n" not in text and len(text) <= BYTES_MAX and not _UNPRINTABLE.search(text):
        node = _build(text, aside, path, setting, offset)
    if node is not None and not aside.found:
        return node
    end = offset + len(text) + 1
    return Text(Spot(Place(1, offset + 1, 1, end), setting), path, text)


def places_of(root: Map) -> tuple[dict[Path, Place], dict[Path, Place]]:
    """The place of every value and of every key of a tree."""
    values: dict[Path, Place] = {}
    keys: dict[Path, Place] = {}
    pending: list[Node] = [root]
    while pending:
        node = pending.pop()
        values[node.path] = node.spot.place
        if isinstance(node, Map):
            keys |= {entry.value.path: entry.key.spot.place for entry in node.entries.values()}
            pending += [entry.value for entry in node.entries.values()]
        elif isinstance(node, Items):
            pending += node.nodes
    return values, keys


def _is_readable(text: str, mistakes: Mistakes) -> bool:
    """Whether the text is text, of a sensible size, indented with spaces."""
    if len(text) > BYTES_MAX:
        mistakes.add(
            WHOLE_FILE, f"the file is larger than {BYTES_MAX // 1_000_000} MB", "a design has some hundred lines"
        )
    elif odd := _UNPRINTABLE.search(text):
        message = f"an unprintable character, {odd.group()!a}"
        mistakes.add(_spot_at(text, odd.start()), message, "a design file is UTF-8 text without control characters")
    else:
        for tab in islice(_TAB_INDENT.finditer(text), TABS_MAX):
            at = text.index("\t", tab.start())
            mistakes.add(_spot_at(text, at), "a tab indents this line", "YAML allows spaces only: two per level")
    return not mistakes.found


def _spot_at(text: str, index: int) -> Spot:
    """The spot of one character."""
    before = text[:index].splitlines() or [""]
    if index and text[index - 1] in "\n\r\x85\u2028\u2029":
        before.append("")
    line, column = len(before), len(before[-1]) + 1
    return Spot(Place(line, column, line, column + 1))


def _build(text: str, mistakes: Mistakes, path: Path = (), setting: str = "", offset: int = 0) -> Node | None:
    """Run the parser over the text."""
    import yaml  # what only wants the types does not pay for the parser

    builder = _Builder(mistakes, path, setting, offset)
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        builder.run(yaml.parse(text, Loader=loader))
    except _StopError:
        return None
    except yaml.YAMLError as error:
        builder.note_syntax(error)
        return None
    return builder.root


@dataclass(slots=True)
class _Builder:
    """Turns events into nodes. The stack holds the open mappings and sequences, outermost first."""

    mistakes: Mistakes
    path: Path
    setting: str
    offset: int
    root: Node | None = None
    stack: list[Map | Items] = field(default_factory=list)
    keys: list[Text | None] = field(default_factory=list)  # the key waiting for its value, per open container
    count: int = 0
    is_closed: bool = False

    def run(self, events: Iterator[Any]) -> None:
        """Take every event."""
        for event in events:
            name = type(event).__name__
            if name == "DocumentStartEvent":
                self.start_document(event)
            elif name == "AliasEvent":
                message = f'"*{event.anchor}" repeats another part of the file'
                self.stop(event, message, "write the value out: a design has no anchors and aliases")
            elif name == "ScalarEvent":
                self.scalar(event)
            elif name in ("MappingStartEvent", "SequenceStartEvent"):
                self.open(event, Map if name == "MappingStartEvent" else Items)
            elif name in ("MappingEndEvent", "SequenceEndEvent"):
                self.close(event)

    def spot(self, event: Any) -> Spot:
        """Where an event stands; in an override, from the override's beginning."""
        start, end = event.start_mark, event.end_mark
        place = Place(start.line + 1, start.column + 1 + self.offset, end.line + 1, end.column + 1 + self.offset)
        return Spot(place, self.setting)

    def stop(self, event: Any, message: str, remedy: str) -> None:
        """Note a mistake after which nothing can be read."""
        self.mistakes.add(self.spot(event), message, remedy)
        raise _StopError

    def start_document(self, event: Any) -> None:
        """A file is one document."""
        if self.is_closed:
            self.stop(event, "a second document starts here", "one design per file: remove the line ---")
        self.is_closed = True

    def check(self, event: Any) -> None:
        """Refuse what makes YAML more than texts, and files without end."""
        self.count += 1
        if self.count > VALUES_MAX:
            self.stop(event, f"more than {VALUES_MAX:,} values", "a design has some hundred: split it")
        if event.anchor:
            remedy = "remove it: a design has no anchors and aliases"
            self.mistakes.add(self.spot(event), f'"&{event.anchor}" is an anchor', remedy)
        if event.tag:
            remedy = "remove it: Tenfold reads every value as text"
            self.mistakes.add(self.spot(event), f"{quoted(event.tag)} is a YAML tag", remedy)

    def scalar(self, event: Any) -> None:
        """A key or a value."""
        self.check(event)
        if self.stack and isinstance(self.stack[-1], Map) and self.keys[-1] is None:
            self.keys[-1] = Text(self.spot(event), (*self.stack[-1].path, event.value), event.value)
        else:
            self.attach(Text(self.spot(event), self.next_path(), event.value))

    def open(self, event: Any, shape: type[Map] | type[Items]) -> None:
        """A mapping or sequence starts."""
        self.check(event)
        if self.stack and isinstance(self.stack[-1], Map) and self.keys[-1] is None:
            self.stop(event, "this key is not a word", "keys are plain words: put it in quotes, or write key: value")
        if len(self.stack) >= DEPTH_MAX:
            self.stop(event, f"nested more than {DEPTH_MAX} deep", "a design is flat: check the brackets")
        node = shape(self.spot(event), self.next_path())
        self.attach(node)
        self.stack.append(node)
        self.keys.append(None)

    def close(self, event: Any) -> None:
        """A mapping or sequence ends: now its place is known."""
        node = self.stack.pop()
        self.keys.pop()
        start, end = node.spot.place, self.spot(event).place
        node.spot = Spot(Place(start.line, start.column, end.line_end, end.column_end), self.setting)

    def next_path(self) -> Path:
        """The path of the value that comes now."""
        if not self.stack:
            return self.path
        parent = self.stack[-1]
        if isinstance(parent, Items):
            return (*parent.path, len(parent.nodes))
        key = self.keys[-1]
        assert key is not None, "a value without a key was let through"
        return key.path

    def attach(self, node: Node) -> None:
        """Hang a value under what is open."""
        if not self.stack:
            self.root = None if isinstance(node, Text) and not node.text and not self.setting else node
            return
        parent = self.stack[-1]
        if isinstance(parent, Items):
            parent.nodes.append(node)
            return
        key, self.keys[-1] = self.keys[-1], None
        assert key is not None, "a value without a key was let through"
        first = parent.entries.setdefault(key.text, Entry(key, node))
        if first.value is not node:
            line = first.key.spot.place.line
            self.mistakes.add(key.spot, f"{quoted(key.text)} is there twice", f"keep one: the first is in line {line}")

    def note_syntax(self, error: Any) -> None:
        """What the parser says, in the words of the user."""
        problem = str(getattr(error, "problem", "") or error).splitlines()[0]
        mark = _mark_of(error, problem)
        if mark is None:
            self.mistakes.add(WHOLE_FILE, f"not YAML: {problem}", "check quotes, brackets and indentation")
            return
        line = min(mark.line + 1, max(len(self.mistakes.lines), 1))
        column = mark.column + 1 if line == mark.line + 1 else 1
        if glued := self.glued_colon(line, problem):
            remedy = "write key: value, with a space after the colon"
            self.mistakes.add(glued, "not YAML: there is no space after this colon", remedy)
            return
        here = "".join(self.mistakes.lines[line - 1 : line])[column - 1 : column]
        message, remedy = _plain_words(problem, here)
        self.mistakes.add(Spot(Place(line, column, line, column + 1), self.setting), message, remedy)

    def glued_colon(self, line: int, problem: str) -> Spot | None:
        """The colon of `key:value` in the line before a key the parser did not expect."""
        before = self.mistakes.lines[line - 2] if line > 1 else ""
        glued = _GLUED.match(before) if "mapping values are not allowed" in problem else None
        return Spot(Place(line - 1, glued.end(), line - 1, glued.end() + 1), self.setting) if glued else None


def _mark_of(error: Any, problem: str) -> Any:
    """Where to look: the opening bracket or quote when the parser ran on to another line in search of its end."""
    found, opened = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    if not found or not opened:
        return found or opened
    is_open = "unexpected end of stream" in problem or "expected ',' or" in problem
    return opened if is_open and opened.line < found.line else found


def _plain_words(problem: str, here: str) -> tuple[str, str]:
    """A message of libyaml or PyYAML, and what usually helps; `here` is the character it points at."""
    if here and here in "}]" and "expected ',' or" not in problem:
        return f"not YAML: {problem}", f"remove this {here}, or open its bracket"
    hints = {
        "mapping values are not allowed": "a colon too many, or a line indented too far",
        "could not find expected ':'": "write key: value, with a space after the colon",
        "did not find expected key": "check the indentation of this line and the one before",
        "did not find expected ',' or": "a bracket is not closed, or a comma is missing",
        "expected ',' or": "a bracket is not closed, or a comma is missing",
        "did not find expected '-'": "every line of a list starts with - and a space, at the same column",
        "expected <block end>": "check the indentation of this line and the one before",
        "cannot start any token": "put the value in quotes",
        "unexpected end of stream": "a quote is not closed",
        "unknown escape": "write the value in single quotes, or without",
        "<document start>": "one design per file: remove the line ...",
        "undefined alias": "a design has no anchors and aliases: write the value out",
    }
    remedy = next((hint for start, hint in hints.items() if start in problem), "check quotes, brackets and indentation")
    return f"not YAML: {problem}", remedy
