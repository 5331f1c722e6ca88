"""What a cache counts. Hits, misses and loads mean what they mean in a simulated run."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """Totals since the cache was made."""

    hits: int = 0  # callers served at once, from this process or the store; stale and negative ones are among them
    misses: int = 0  # callers that had to load, wait for a load, or were refused
    loads: int = 0  # calls of a loader; a bulk loader counts once for each key
    stale: int = 0  # callers served an old value
    negative: int = 0  # callers told at once that there is no value
    waits: int = 0  # misses that waited for a load somebody else had started
    early: int = 0  # loads begun before expiry
    failures: int = 0  # loads that raised or took too long
    dropped: int = 0  # loads that were not stored: something newer was there
    unstored: int = 0  # loads that could not be stored: the store was down
    bypassed: int = 0  # looks for a key that the store could not answer
    undecodable: int = 0  # stored values that could not be read: they were loaded again
