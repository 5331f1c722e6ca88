"""Ids as text. Eleven base-62 characters hold 63 bits (62^11 = 5.2e19 > 2^63 = 9.2e18).

The digits stand in the order of their ASCII codes and the text has always 11 of them, so texts sort like the numbers
wherever strings are compared byte by byte (`COLLATE "C"` in PostgreSQL; a linguistic collation may differ).
"""

from tenfold.errors import UsageError
from tenfold.runtime.ids.layout import ID_MAX

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
LENGTH = 11
EXACT_MAX = 2**53 - 1
"""The largest whole number a double holds exactly, as do all below it: what JSON readers may keep."""

_VALUES = {digit: value for value, digit in enumerate(DIGITS)}
_PAIRS = [first + second for first in DIGITS for second in DIGITS]


def to_base62(id_: int) -> str:
    """An id as 11 characters that sort like the number.

    Raises:
        UsageError: it is not between 0 and 2^63 - 1.
    """
    rest, pairs = _checked(id_), []
    for _ in range(LENGTH // 2):
        rest, pair = divmod(rest, len(_PAIRS))
        pairs.append(_PAIRS[pair])
    return DIGITS[rest] + "".join(reversed(pairs))


def from_base62(text: str) -> int:
    """The id of 11 base-62 characters.

    Raises:
        UsageError: another length, another character, or more than 63 bits.
    """
    if len(text) != LENGTH:
        raise UsageError(f"{text[:40]!r} has {len(text)} characters", f"a base-62 id has exactly {LENGTH}")
    id_ = 0
    for digit in text:
        if digit not in _VALUES:
            raise UsageError(f"{digit!r} in {text!r} is no base-62 digit", "the digits are 0-9, A-Z and a-z")
        id_ = id_ * len(DIGITS) + _VALUES[digit]
    if id_ > ID_MAX:
        raise UsageError(f"{text!r} is more than 63 bits", f"the largest id is {to_base62(ID_MAX)}")
    return id_


def to_json(id_: int) -> str:
    """An id as a JSON text: a string with its decimal digits, quotes included.

    Readers that keep numbers as doubles (JavaScript) change ids above 2^53 silently, so ids never travel as numbers.

    Raises:
        UsageError: it is not between 0 and 2^63 - 1.
    """
    return f'"{_checked(id_)}"'


def from_json(value: object) -> int:
    """The id in a parsed JSON value: a string of decimal digits.

    Raises:
        UsageError: it is something else. A number above 2^53 - 1 is refused, because it may be another id rounded.
    """
    if isinstance(value, str):
        return from_decimal(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if value > EXACT_MAX:
            raise UsageError(f"the number {value} may have been rounded on its way", "send ids as JSON strings")
        return _checked(value)
    raise UsageError(f"{value!r} is no id", "send ids as JSON strings of decimal digits")


def from_decimal(text: str) -> int:
    """The id of decimal digits; `str(id)` is the way there.

    Raises:
        UsageError: not only ASCII digits, or more than 63 bits.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(ID_MAX))):
        raise UsageError(f"{text[:40]!r} is no decimal id", f"write 0 to {ID_MAX} in the digits 0-9")
    return _checked(int(text))


def from_text(text: str) -> int:
    """The id of a text in either form: 11 characters with a letter or a leading 0 are base 62, other digits decimal.

    Eleven digits without a leading 0 are read as decimal. A base-62 text of digits only is that rare (1 in 10^8) that
    whoever knows the form should still name it: `from_base62`, `from_decimal`.

    Raises:
        UsageError: it is neither.
    """
    if text.isascii() and text.isdigit() and not (len(text) == LENGTH and text.startswith("0")):
        return from_decimal(text)
    if len(text) != LENGTH:
        raise UsageError(f"{text[:40]!r} is no id", f"write decimal digits, or {LENGTH} characters of 0-9, A-Z, a-z")
    return from_base62(text)


def _checked(id_: int) -> int:
    """The id, if it is one."""
    if not 0 <= id_ <= ID_MAX:
        raise UsageError(f"{id_} is no id", f"ids are 0 to {ID_MAX} (63 bits)")
    return id_
