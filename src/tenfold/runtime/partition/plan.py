"""What has to move between two maps: ranges of hashes, each from one node to another.

The plan is exact: a key moves if and only if its hash lies in one of the ranges. It is about owners; copies on further
nodes (`replicas`) follow their owners and are not planned.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tenfold.errors import UsageError
from tenfold.runtime.partition.hashing import SPACE, Hashing, Key
from tenfold.runtime.partition.nodes import digest_of
from tenfold.runtime.partition.ranges import HashRanges, Snapshot, joined


@dataclass(frozen=True, slots=True)
class Move:
    """All keys whose hash is between `first` and `last`, both included, go from `source` to `destination`."""

    first: int
    last: int
    source: str
    destination: str

    @property
    def share(self) -> float:
        """Its part of all hashes."""
        return (self.last - self.first + 1) / SPACE


@dataclass(frozen=True, slots=True)
class Flow:
    """All moves between two nodes."""

    source: str
    destination: str
    share: float
    range_count: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Moves in the order of their hashes, without overlap.

    `old` and `new` are the digests of the maps in ranges, so that a plan is not run on other maps by mistake.
    """

    moves: tuple[Move, ...]
    hashing: Hashing
    old: str
    new: str
    _firsts: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_firsts", tuple(move.first for move in self.moves))

    @property
    def share(self) -> float:
        """The part of all hashes that moves."""
        return sum(move.last - move.first + 1 for move in self.moves) / SPACE

    @property
    def digest(self) -> str:
        """A fingerprint of the plan with the cuts of its ranges."""
        return digest_of(self.old, self.new, self._firsts)

    def flows(self) -> tuple[Flow, ...]:
        """The moves by pair of nodes."""
        pairs: dict[tuple[str, str], list[int]] = {}
        for move in self.moves:
            pairs.setdefault((move.source, move.destination), []).append(move.last - move.first + 1)
        return tuple(Flow(*pair, sum(sizes) / SPACE, len(sizes)) for pair, sizes in sorted(pairs.items()))

    def index_of(self, place: int) -> int:
        """The number of the move a hash belongs to; -1: it stays."""
        number = bisect_right(self._firsts, place) - 1
        return number if number >= 0 and place <= self.moves[number].last else -1

    def move_of(self, key: Key) -> Move | None:
        """The move of a key; None when it stays."""
        number = self.index_of(self.hashing.of(key))
        return self.moves[number] if number >= 0 else None

    def moving(self, keys: Iterable[Key]) -> Iterator[tuple[Key, Move]]:
        """Of these keys those that move, each with its move."""
        for key in keys:
            move = self.move_of(key)
            if move is not None:
                yield key, move

    def reversed(self) -> "Plan":
        """The plan that undoes this one."""
        back = tuple(Move(move.first, move.last, move.destination, move.source) for move in self.moves)
        return Plan(back, self.hashing, self.new, self.old)

    def cut(self, share_max: float) -> "Plan":
        """The same moves in ranges of at most this part of all hashes, so that a step copies little.

        Raises:
            UsageError: the part is not above 2^-32: that would be more ranges than anyone has memory for.
        """
        if not 2**-32 <= share_max <= 1:
            raise UsageError(f"ranges of at most {share_max} of all hashes", "a part from 2^-32 to 1, such as 1e-4")
        places = max(1, int(share_max * SPACE))
        pieces = [piece for move in self.moves for piece in _cut(move, places)]
        return Plan(tuple(pieces), self.hashing, self.old, self.new)

    def applied(self, to: Snapshot, done: Iterable[int] | None = None) -> HashRanges:
        """The map after the moves (or those with these numbers) have been made.

        Raises:
            UsageError: the map's owners are not the plan's sources: it is another map.
        """
        before = to.ranges()
        chosen = self.moves if done is None else [self.moves[number] for number in sorted(done)]
        return joined(_overlaid(before, chosen), before.hashing, before.version + 1)


def plan(old: Snapshot, new: Snapshot) -> Plan:
    """What has to move from one map to another.

    Args:
        old, new: rings, slot tables or ranges, with equal hash functions.

    Returns:
        The moves, in the order of their hashes.

    Raises:
        UsageError: the hash functions differ, so every key would move.
    """
    before, after = old.ranges(), new.ranges()
    if before.hashing != after.hashing:
        names = f"{before.hashing.name} and {after.hashing.name}"
        raise UsageError(f"the maps use different hashes, {names}", "plan between maps of one hash")
    return Plan(tuple(_moves(before, after)), before.hashing, before.digest, after.digest)


def _moves(before: HashRanges, after: HashRanges) -> Iterator[Move]:
    """Walk both maps at once; neighbouring pieces of one move are joined."""
    open_move: Move | None = None
    others = iter(after)
    _, other_last, destination = next(others)
    for range_first, last, source in before:
        first = range_first
        while first <= last:
            if first > other_last:
                _, other_last, destination = next(others)
            end = min(last, other_last)
            open_move, ended = _grown(open_move, Move(first, end, source, destination))
            if ended is not None:
                yield ended
            first = end + 1
    if open_move is not None:
        yield open_move


def _grown(open_move: Move | None, piece: Move) -> tuple[Move | None, Move | None]:
    """The move that is open after this piece, and the one that has ended with it."""
    if piece.source == piece.destination:
        return None, open_move
    if open_move is None:
        return piece, None
    goes_on = open_move.last + 1 == piece.first
    same = (open_move.source, open_move.destination) == (piece.source, piece.destination)
    if goes_on and same:
        return Move(open_move.first, piece.last, piece.source, piece.destination), None
    return piece, open_move


def _cut(move: Move, places: int) -> Iterator[Move]:
    for first in range(move.first, move.last + 1, places):
        yield Move(first, min(move.last, first + places - 1), move.source, move.destination)


def _overlaid(before: HashRanges, moves: Iterable[Move]) -> Iterator[tuple[int, str]]:
    """(last hash, owner) of the map with the moves laid over it."""
    waiting = iter(moves)
    move = next(waiting, None)
    for range_first, last, owner in before:
        first = range_first
        while first <= last:
            while move is not None and move.last < first:
                move = next(waiting, None)
            if move is None or move.first > last:
                yield last, owner
                break
            if move.first > first:
                yield move.first - 1, owner
                first = move.first
            _check_source(move, owner)
            first = min(last, move.last) + 1
            yield first - 1, move.destination


def _check_source(move: Move, owner: str) -> None:
    if owner != move.source:
        place = f"hash {move.first:016x}"
        raise UsageError(
            f"at {place} the plan moves keys of {move.source!r}, which belong to {owner!r}",
            "apply a plan to the map it was made for",
        )
