"""Keys as they stand in a header, and as they are stored."""

import re
from hashlib import blake2b

LONGEST = 255  # Stripe's limit
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"[ ]*(?:;.*)?')  # a structured field's string: RFC 8941, 3.3.3
_BARE = re.compile(r"[!#-+\--:<-~]+")  # visible, without quotes, commas and semicolons


def parsed_key(text: str) -> str | None:
    """The key of an Idempotency-Key header.

    Args:
        text: the field's value: a string as the draft asks for (`"k"`, parameters are ignored), or bare (`k`), as most
            clients send it. Both are the same key.

    Returns:
        None when it is neither, empty, or longer than 255 characters.
    """
    stripped = text.strip(" \t")
    if quoted := _QUOTED.fullmatch(stripped):
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    elif _BARE.fullmatch(stripped):
        key = stripped
    else:
        return None
    return key if 0 < len(key) <= LONGEST else None


def stored_key(caller: str, key: str) -> str:
    """The name a caller's key is stored under: a hash, since callers may be known by a secret.

    The caller's length goes first, so that no two pairs are the same text.
    """
    text = f"{len(caller)}:{caller}{key}"
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
