"""Collects what is wrong with a design file, with places, so that all of it can be told at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tenfold.design.schema import Place
from tenfold.errors import DesignError, Mistake

MISTAKES_MAX = 100
"""More than anyone reads; a file of another kind altogether must not take seconds to be refused."""

_CANDIDATES_MAX = 300  # names compared for "did you mean"
_MESSAGE_MAX = 400  # characters
_WORD_MAX = 60  # characters of a word worth comparing

SETTING = "--set"
"""Path of a mistake that is in an override, not in the file."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where something was written: in the file, or (`setting` is the override's text) on the command line."""

    place: Place
    setting: str = ""


WHOLE_FILE = Spot(Place(0, 0, 0, 0))
"""The file as a whole."""


@dataclass(slots=True)
class Mistakes:
    """The mistakes found so far in one file."""

    path: str
    lines: tuple[str, ...] = ()
    found: list[Mistake] = field(default_factory=list)
    left_out_count: int = 0

    @property
    def is_full(self) -> bool:
        """Whether further mistakes are only counted."""
        return len(self.found) >= MISTAKES_MAX

    def add(self, spot: Spot, message: str, remedy: str = "") -> None:
        """Note one mistake; from `MISTAKES_MAX` on they are only counted."""
        if self.is_full:
            self.left_out_count += 1
            return
        path, lines = (SETTING, (spot.setting,)) if spot.setting else (self.path, self.lines)
        place = spot.place
        line = lines[place.line - 1] if 0 < place.line <= len(lines) else ""
        end = place.column_end if place.line_end == place.line else len(line.rstrip()) + 1
        end = max(end, place.column + 1) if place.line else 0
        self.found.append(Mistake(path, place.line, place.column, end, plain(message), plain(remedy), line))

    def add_elsewhere(self, path: str, line: int, text: str, message: str, remedy: str) -> None:
        """Note a mistake in a file the design names (samples)."""
        if self.is_full:
            self.left_out_count += 1
            return
        column = len(text) - len(text.lstrip()) + 1
        end = max(len(text.rstrip()) + 1, column + 1)
        self.found.append(Mistake(path, line, column, end, plain(message), plain(remedy), text))

    def unknown(self, spot: Spot, message: str, word: str, known: Iterable[str], what: str) -> None:
        """Note a word that is none of the known ones, with the one it may have been meant to be."""
        names = list(known)
        if self.is_full:
            self.left_out_count += 1
            return
        self.add(spot, message, did_you_mean(word, names) or listed(names, what))

    def raise_if_any(self) -> None:
        """End the reading when something is wrong.

        Raises:
            DesignError: with every mistake, in the order of the file.
        """
        if not self.found:
            return
        found = sorted(self.found, key=self._order)
        if self.left_out_count:
            message = f"{self.left_out_count:,} more mistakes are not shown"
            found.append(Mistake(self.path, 0, 0, 0, message, "put these right first"))
        raise DesignError(tuple(found))

    def _order(self, mistake: Mistake) -> tuple[int, str, int, int]:
        """The file from top to bottom, then the files it names, then the overrides as they were given."""
        if mistake.path == SETTING:
            return 2, "", 0, 0
        return int(mistake.path != self.path), mistake.path, mistake.line, mistake.column


def plain(text: str) -> str:
    """A message fit for a terminal: words of the file may hold escape sequences, or be a megabyte long."""
    shown = text if len(text) <= _MESSAGE_MAX else text[: _MESSAGE_MAX - 3] + "..."
    return shown if shown.isprintable() else "".join(char if char.isprintable() else "?" for char in shown)


def did_you_mean(word: str, known: list[str]) -> str:
    """`did you mean "replicas"?`, or nothing when no known word is near."""
    near = nearest(word, known)
    return f'did you mean "{near}"?' if near else ""


def nearest(word: str, known: Sequence[str]) -> str:
    """The known word that was perhaps meant, or nothing."""
    import difflib  # only files with mistakes pay for it

    if not 0 < len(word) <= _WORD_MAX:
        return ""
    lower = {name.lower(): name for name in known[:_CANDIDATES_MAX]}
    near = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.6)
    near = near or [name for name in lower if name.startswith(word.lower())][:1]
    return lower[near[0]] if near else ""


def meant(keys: Iterable[str], known: Sequence[str]) -> set[str]:
    """The known words that unknown keys were perhaps meant to be: they are misspelt, not missing."""
    unknown = [key for key in keys if key not in known]
    return {nearest(key, known) for key in unknown[:_CANDIDATES_MAX]} - {""}


def listed(names: list[str], what: str) -> str:
    """`known components: api, lb`, cut when there are many."""
    if not names:
        return f"there are no {what}"
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"{what}: {', '.join(names[:12])}{more}"
