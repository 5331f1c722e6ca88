"""ABSENT: what a loader returns when the source has no value, and what a caller then gets. None is a value like any."""

from typing import Final


class Absent:
    """The type of ABSENT. It is false, and there is one."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()
"""The source has no value for this key."""
