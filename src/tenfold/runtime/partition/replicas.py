"""Replicas of a key: the next nodes round the circle, in as many zones as there are."""

from collections.abc import Iterable, Mapping

from tenfold.errors import UsageError


def replicas(walk: Iterable[str], zones: Mapping[str, str], count: int) -> tuple[str, ...]:
    """Choose `count` different nodes, first those in zones not yet used.

    With fewer zones than replicas the zones are filled evenly: 3 replicas in 2 zones are 2 and 1.

    Args:
        walk: names of nodes in the order they are met, with repetitions; every node is met at least once.
        zones: the zone of each node; "" stands alone.
        count: how many.

    Returns:
        Names, the key's owner first.

    Raises:
        UsageError: fewer nodes than replicas.
    """
    if not 1 <= count <= len(zones):
        raise UsageError(f"{count} replicas on {len(zones)} nodes", f"between 1 and {len(zones)}, or add nodes")
    zones_left = len({zone or name for name, zone in zones.items()})
    chosen, passed, used = [], dict[str, None](), set[str]()
    for name in walk:
        zone = zones[name] or name
        if zone not in used:
            used.add(zone)
            chosen.append(name)
            zones_left -= 1
        else:
            passed[name] = None
        if len(chosen) == count or (not zones_left and len(passed.keys() - set(chosen)) + len(chosen) == len(zones)):
            break
    return tuple(chosen) if len(chosen) == count else _filled(chosen, passed, zones, count)


def _filled(chosen: list[str], passed: Iterable[str], zones: Mapping[str, str], count: int) -> tuple[str, ...]:
    """The chosen ones and more from the zones that have fewest, in the order they were met."""
    waiting = [name for name in passed if name not in chosen]
    used = {zones[name] or name: 1 for name in chosen}
    while len(chosen) < count:
        least = min(waiting, key=lambda name: used[zones[name] or name])
        waiting.remove(least)
        used[zones[least] or least] += 1
        chosen.append(least)
    return tuple(chosen)
