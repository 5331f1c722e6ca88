"""What a caller sees of a key: the record in the store, and what the policy says to it."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from tenfold.policies.cache import freshness
from tenfold.policies.cache.freshness import VALUE, Config, Entry
from tenfold.runtime.cache import tags as tagging
from tenfold.runtime.cache.absent import ABSENT
from tenfold.runtime.cache.counts import Counts
from tenfold.runtime.cache.local import LocalLayer
from tenfold.runtime.cache.payload import NO_TAGS, Undecodable, Versions
from tenfold.runtime.cache.records import copied
from tenfold.runtime.cache.store import Record, Store

NOTHING: Final = object()
"""There is no value."""

Loader = Callable[[str], Awaitable[Any]]

BulkLoader = Callable[[list[str]], Awaitable[Mapping[str, Any]]]
"""Keys to values; keys it leaves out are ABSENT."""


class Payloads(Protocol):
    """Value and versions to what a store holds, and back."""

    def pack(self, value: Any, versions: Versions) -> Any:
        """The payload."""

    def unpack(self, payload: Any) -> tuple[Any, Versions]:
        """Value and versions, or Undecodable."""


class Ask(NamedTuple):
    """What a caller wants."""

    key: str
    loader: Loader
    tags: tuple[str, ...]
    config: Config


@dataclass(slots=True)
class View:
    """A key at one moment."""

    record: Record | None  # as it stands in the store
    entry: Entry  # as it should stand there after the answer
    answer: int  # of freshness.lookup, with
    wait_ns: int
    token: int
    value: Any  # NOTHING when there is none
    tags: tuple[str, ...]  # of the value
    known: tagging.Known  # records of tags
    noted: int  # by the local layer, before the store was asked


class Views:
    """Reads records and asks the policy.

    Args:
        store: where they are.
        payloads: reads values.
        local: notes what changes were heard of.
        counts: where values that cannot be read are counted.
        draw: dice.
        owed: keys whose record is invalid though the store does not know yet.
    """

    def __init__(
        self,
        store: Store,
        payloads: Payloads,
        local: LocalLayer | None,
        counts: Counts,
        draw: Callable[[], float],
        owed: Collection[str],
    ) -> None:
        self._store = store
        self._payloads = payloads
        self._local = local
        self._counts = counts
        self._draw = draw
        self._owed = owed

    async def read(self, ask: Ask) -> View:
        """Ask the store: one round trip, unless the value has tags the caller has not named."""
        noted = self._local.note(ask.key, ask.tags) if self._local is not None else 0
        if not ask.tags:
            return await self.of(ask, await self._store.get(ask.key), {}, noted)
        record, *marks = await self._store.get_many([ask.key, *(tagging.MARK + tag for tag in ask.tags)])
        return await self.of(ask, record, dict(zip(ask.tags, marks, strict=True)), noted)

    async def read_many(self, asks: Sequence[Ask], tags: tuple[str, ...]) -> list[View]:
        """Ask for many keys with the same tags."""
        noted = [self._local.note(ask.key, tags) if self._local is not None else 0 for ask in asks]
        names = [*(ask.key for ask in asks), *(tagging.MARK + tag for tag in tags)]
        records = await self._store.get_many(names)
        known = dict(zip(tags, records[len(asks) :], strict=True))
        return [await self.of(*seen) for seen in zip(asks, records, [known] * len(asks), noted, strict=False)]

    async def of(self, ask: Ask, record: Record | None, known: tagging.Known, noted: int) -> View:
        """The view of a record."""
        value, versions = self._value_of(record)
        more = tagging.unknown(versions, known) if versions else ()
        if more:
            marks = await self._store.get_many([tagging.MARK + tag for tag in more])
            known = {**known, **dict(zip(more, marks, strict=True))}
        now_ns = self._store.now_ns()
        entry = copied(record, now_ns)
        if value is NOTHING or self._is_void(ask.key, versions, known):
            if entry.flags & VALUE or ask.key in self._owed:
                freshness.invalidate(ask.config, entry, now_ns)
            value = ABSENT if entry.flags & freshness.ABSENT else NOTHING
        answer, wait_ns, token = freshness.lookup(ask.config, entry, now_ns, self._draw())
        return View(record, entry, answer, wait_ns, token, value, tuple(versions), known, noted)

    def local(self, ask: Ask, value: Any, entry: Entry, tags: tuple[str, ...]) -> View:
        """The view of a copy in this process; its record stands for the one in the store, without payload."""
        decided = copied(Record(entry, None), 0)
        answer, wait_ns, token = freshness.lookup(ask.config, decided, self._store.now_ns(), self._draw())
        return View(Record(entry, None), decided, answer, wait_ns, token, value, tags, {}, 0)

    def _value_of(self, record: Record | None) -> tuple[Any, Versions]:
        """The value and the versions of its tags; NOTHING when there is none to be read."""
        if record is None or not record.entry.flags & VALUE:
            return NOTHING, NO_TAGS
        try:
            return self._payloads.unpack(record.payload)
        except Undecodable:
            self._counts.undecodable += 1
            return NOTHING, NO_TAGS

    def _is_void(self, key: str, versions: Versions, known: tagging.Known) -> bool:
        """Whether the value is no longer true."""
        if versions and tagging.is_outdated(versions, known):
            return True
        if not self._owed:
            return False
        return key in self._owed or any(tagging.MARK + tag in self._owed for tag in versions)
