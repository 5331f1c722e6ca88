"""Why there is no id now. All are `CallRejected` with the time to come back; none is ever `None` instead of an id."""

from tenfold.errors import CallRejected
from tenfold.units import format_duration


class IdRefused(CallRejected):
    """There is no id now: what happened, how much, and what to do."""

    def __init__(self, message: str, remedy: str, retry_after_ns: int) -> None:
        super().__init__("ids", message, max(0, retry_after_ns))
        self.args = ("ids", message, max(0, retry_after_ns))  # what a CallRejected is read from
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}"


class ClockMovedBackwards(IdRefused):
    """The wall clock is behind the newest id, or behind the mark of the worker's earlier holder, by more than is borne.

    `back_ns` says how far.
    """

    def __init__(self, back_ns: int, than: str) -> None:
        super().__init__(
            f"the clock is {format_duration(back_ns)} behind {than}",
            "try again when it has caught up, put the clock right, or set on_clock_back to wait",
            back_ns,
        )
        self.back_ns = back_ns


class LeaseEnded(IdRefused):
    """The worker's lease is over, or about to be, and was not renewed: another process may hold the worker next."""


class NoWorkerLeft(IdRefused):
    """Every worker asked for is leased."""
