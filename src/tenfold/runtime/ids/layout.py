"""Where time, datacenter, worker and sequence stand in an id, and the way back.

    0 | timestamp 41 | datacenter 5 | worker 5 | sequence 12

The sign bit stays 0, so an id is positive in every language. The default widths are Snowflake's (Twitter, 2010): 41
bits of milliseconds last 69.7 years, 12 bits of sequence give 4,096 ids per worker and millisecond.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tenfold.errors import UsageError

ID_BITS = 63
ID_MAX = 2**ID_BITS - 1
EPOCH_MS = 1_735_689_600_000
"""2025-01-01T00:00:00Z: with 41 bits ids last until September 2094. Twitter's own is 1288834974657."""

_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = 253_402_300_799_999  # the end of the year 9999, the last a datetime can show
_WIDTHS = (("timestamp", 1), ("datacenter", 0), ("worker", 0), ("sequence", 1))


@dataclass(frozen=True, slots=True)
class Fields:
    """What an id says: `time` is in UTC, `timestamp_ms` counts from the layout's epoch."""

    id: int
    time: datetime
    timestamp_ms: int
    datacenter: int
    worker: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Widths in bits and the epoch in Unix ms.

    Widths may sum to less than 63: 41/0/2/10 makes ids that JavaScript's numbers hold exactly (53 bits).

    Raises:
        UsageError: widths or epoch make no ids.
    """

    timestamp_bits: int = 41
    datacenter_bits: int = 5
    worker_bits: int = 5
    sequence_bits: int = 12
    epoch_ms: int = EPOCH_MS

    def __post_init__(self) -> None:
        for (name, low), bits in zip(_WIDTHS, self.widths, strict=True):
            if not isinstance(bits, int) or bits < low:
                raise UsageError(f"{bits!r} bits of {name}", f"give {name} a whole number of bits, {low} or more")
        if sum(self.widths) > ID_BITS:
            raise UsageError(f"{self.shown} are {sum(self.widths)} bits", "an id has 63: take some away")
        if self.epoch_ms < 0 or self.end_ms > _LAST_MS:
            raise UsageError(
                f"epoch {self.epoch_ms} ms and {self.timestamp_bits} bits of time leave the years 1970 to 9999",
                "choose an epoch after 1970, or fewer bits of timestamp",
            )

    @property
    def widths(self) -> tuple[int, int, int, int]:
        """Bits of timestamp, datacenter, worker and sequence."""
        return self.timestamp_bits, self.datacenter_bits, self.worker_bits, self.sequence_bits

    @property
    def shown(self) -> str:
        """`41/5/5/12`."""
        return "/".join(map(str, self.widths))

    @property
    def node_bits(self) -> int:
        """Bits of datacenter and worker together."""
        return self.datacenter_bits + self.worker_bits

    @property
    def node_count(self) -> int:
        """How many generators can make ids at the same time."""
        return 1 << self.node_bits

    @property
    def end_ms(self) -> int:
        """The last Unix ms an id can carry."""
        return self.epoch_ms + (1 << self.timestamp_bits) - 1

    def first_id(self, unix_ms: int, node: int) -> int:
        """The id with sequence 0 of a node in a millisecond."""
        return ((unix_ms - self.epoch_ms) << self.node_bits | node) << self.sequence_bits

    def node(self, datacenter: int, worker: int) -> int:
        """Both numbers as one.

        Raises:
            UsageError: one of them does not fit its bits.
        """
        for name, value, bits in (
            ("datacenter", datacenter, self.datacenter_bits),
            ("worker", worker, self.worker_bits),
        ):
            if not 0 <= value < 1 << bits:
                raise UsageError(f"{name} {value} does not fit {bits} bits", f"choose 0 to {(1 << bits) - 1}")
        return datacenter << self.worker_bits | worker

    def of_node(self, node: int) -> tuple[int, int]:
        """Datacenter and worker of a node."""
        return node >> self.worker_bits, node & ((1 << self.worker_bits) - 1)

    def decode(self, id_: int) -> Fields:
        """The fields of an id made with this layout.

        Raises:
            UsageError: no id of this layout is that number.
        """
        if not 0 <= id_ < 1 << sum(self.widths):
            raise UsageError(f"{id_} is no id of {self.shown} bits", f"ids are 0 to {(1 << sum(self.widths)) - 1}")
        timestamp_ms = id_ >> self.node_bits + self.sequence_bits
        datacenter, worker = self.of_node(id_ >> self.sequence_bits & (self.node_count - 1))
        time = _UNIX + timedelta(milliseconds=self.epoch_ms + timestamp_ms)
        return Fields(id_, time, timestamp_ms, datacenter, worker, id_ & ((1 << self.sequence_bits) - 1))

    def first_at(self, time: datetime) -> int:
        """The least id of a moment: `WHERE id >= first_at(t)` finds what was made since.

        Raises:
            UsageError: the time has no zone, or lies outside the layout's years.
        """
        if time.tzinfo is None:
            raise UsageError(f"{time} has no time zone", "give an aware datetime, such as datetime.now(UTC)")
        unix_ms = (time - _UNIX) // timedelta(milliseconds=1)
        if not self.epoch_ms <= unix_ms <= self.end_ms:
            raise UsageError(f"no id of this layout carries {time}", f"choose a time from epoch {self.epoch_ms} ms on")
        return self.first_id(unix_ms, 0)


DEFAULT = Layout()
"""41/5/5/12 from 2025-01-01 on."""
