"""Reads nodes as what they should be. Every section of a design file is read through a `Reader`.

Reading goes on after a mistake: a value that cannot be read becomes its default (or None where it has none), and the
design is thrown away in the end. So a reader never answers with an exception.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tenfold.design.mistakes import WHOLE_FILE, Mistakes, Spot, meant
from tenfold.design.schema import Path, Range
from tenfold.design.tree import Entry, Items, Map, Node, Text
from tenfold.settings import SWITCHES
from tenfold.units import UnitError, parse_range, quoted

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_NAME_MAX = 80


@dataclass(slots=True)
class Reader:
    """What the sections need while they are read.

    kinds, policies: the tables. folder: where files named in the design are looked for. samples: contents of those
    files, for the fingerprint. spots, key_spots: where every value and its key were written. doubtful: components with
    mistakes, whose settings may be defaults nobody meant. has_lost_steps: flows were read in part, so that nobody knows
    which arrows they use.
    """

    mistakes: Mistakes
    kinds: Mapping[str, Any]
    policies: Mapping[str, Any]
    folder: str = ""
    samples: dict[str, tuple[float, ...]] = field(default_factory=dict)
    spots: dict[Path, Spot] = field(default_factory=dict)
    key_spots: dict[Path, Spot] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    has_lost_steps: bool = False

    def spot(self, path: Path) -> Spot:
        """Where a value was written; of the nearest value around it when it was not."""
        while path and path not in self.spots:
            path = path[:-1]
        return self.spots.get(path, WHOLE_FILE)

    def complain(self, at: Spot | Node, message: str, remedy: str) -> None:
        """Note a mistake."""
        self.mistakes.add(at if isinstance(at, Spot) else at.spot, message, remedy)

    def entries(self, node: Node | None, what: str, example: str) -> dict[str, Entry]:
        """The entries of a mapping; none, and a mistake, when it is something else."""
        if isinstance(node, Map):
            return node.entries
        if node is not None and not is_blank(node):
            self.complain(node, f"{what} should have keys", f"write {example}")
        return {}

    def nodes(self, node: Node | None, what: str, example: str) -> list[Node]:
        """The items of a list; none, and a mistake, when it is something else."""
        if isinstance(node, Items):
            return node.nodes
        if node is not None and not is_blank(node):
            self.complain(node, f"{what} should be a list", f"write {example}")
        return []

    def refuse_unknown(self, entries: Mapping[str, Entry], known: Iterable[str], what: str) -> None:
        """Note every key that is none of the known ones."""
        names = list(known)
        for key, entry in entries.items():
            if key == "<<":
                self.complain(entry.key, '"<<" merges another part of the file', "write the keys out")
            elif key[:1].isdigit() and is_blank(entry.value):
                message = f"{quoted(key)} is no key: inside braces a comma ends the value before it"
                self.complain(entry.key, message, "write numbers without separators of thousands: 1000, or 1k")
            elif key not in names:
                self.mistakes.unknown(entry.key.spot, f"{what} has no {quoted(key)}", key, names, "keys")

    def text(self, node: Node | None, what: str, default: str = "") -> str:
        """A plain text; the default, and a mistake, when it is something else or empty."""
        if node is None:
            return default
        if isinstance(node, Text) and node.text.strip():
            return " ".join(node.text.split())
        trouble = "is empty" if is_blank(node) else "should be one value"
        self.complain(node, f"{what} {trouble}", "write a value, or leave the key out")
        return default

    def value(self, node: Node | None, what: str, parse: Callable[[str], T], default: T) -> T:
        """A value read by `parse`; the default when absent or, after a mistake, unreadable."""
        text = self.text(node, what)
        if node is None or not text:
            return default
        try:
            return parse(text)
        except UnitError as error:
            self.complain(node, f"{what}: {error.message}", error.remedy)
            return default

    def range(
        self, node: Node | None, what: str, parse: Callable[[str], float], default: Range | None = None
    ) -> Range | None:
        """A number or a range of them."""
        return self.value(node, what, lambda text: Range(*parse_range(text, parse)), default)

    def word(self, node: Node | None, what: str, words: Iterable[str], default: str) -> str:
        """One of some words."""
        text, known = self.text(node, what, default), list(words)
        if node is None or not text or text in known:
            return text
        self.mistakes.unknown(node.spot, f"{what}: unknown word {quoted(text)}", text, known, "words")
        return default

    def switch(self, node: Node | None, what: str, default: bool) -> bool:
        """true or false."""
        text = self.text(node, what)
        if node is None or not text:
            return default
        if text.lower() not in SWITCHES:
            self.complain(node, f"{what}: {quoted(text)} is neither true nor false", "write true or false")
        return SWITCHES.get(text.lower(), default)

    def name(self, key: Text, what: str) -> bool:
        """Whether a key may name something: names are used in arrows, expectations and overrides."""
        if _NAME.fullmatch(key.text) and len(key.text) <= _NAME_MAX:
            return True
        remedy = "names are letters, digits, _ and -, starting with a letter"
        self.complain(key, f"{quoted(key.text)} cannot name a {what}", remedy)
        return False

    def known(self, at: Spot | Node, word: str, names: Iterable[str], message: str, what: str) -> bool:
        """Whether a word is one of the names; a mistake with "did you mean" otherwise."""
        known = list(names)
        if word in known:
            return True
        self.mistakes.unknown(at if isinstance(at, Spot) else at.spot, message, word, known, what)
        return False


def is_blank(node: Node) -> bool:
    """Whether nothing is written there (`key:` and no more)."""
    return isinstance(node, Text) and not node.text.strip()


def lacks(entries: Mapping[str, Entry], key: str, known: Iterable[str]) -> bool:
    """Whether a key is missing. One that is only misspelt is told as that, and not as missing too."""
    return key not in entries and key not in meant(entries, list(known))


def child(entries: Mapping[str, Entry], key: str) -> Node | None:
    """The value of a key, if it is there."""
    entry = entries.get(key)
    return entry.value if entry else None
