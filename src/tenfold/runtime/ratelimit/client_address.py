"""Whose request it is, by address: what a proxy you trust says, and nothing a client says.

Every proxy appends the address it was called from to X-Forwarded-For. Read from the right, addresses of trusted proxies
are skipped; the first other one is the client. What stands left of it was there when the client sent it, and anybody
can write that. Without trusted proxies the header is not read at all.

An IPv6 client has a network of its own, usually 2^64 addresses, so it is counted by its /64.
"""

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from tenfold.errors import UsageError

HEADER = b"x-forwarded-for"
HOPS_MAX = 32
"""Entries looked at, from the right."""

NO_ADDRESS = "no address"
"""The key of every request whose sender has none, such as over a Unix socket without a trusted proxy."""

UNIX = "unix"
"""Trusts whoever calls without an address: a proxy on a Unix socket."""

Scope = Any
Address = IPv4Address | IPv6Address


def by_address(trusted: Iterable[str] = (), ipv6_prefix: int = 64) -> Callable[[Scope], str]:
    """A function that gives the key of a request.

    Args:
        trusted: addresses and networks of your own proxies, such as "10.0.0.0/8"; "unix": callers on a Unix socket.
        ipv6_prefix: IPv6 clients with so many leading bits in common count as one.

    Raises:
        UsageError: something trusted is neither an address nor a network.
    """
    names = (trusted,) if isinstance(trusted, str) else tuple(trusted)
    networks = [_network(name) for name in names if name != UNIX]
    trusts_unix = UNIX in names

    def key(scope: Scope) -> str:
        peer = _address(scope["client"][0]) if scope.get("client") else None
        is_trusted = trusts_unix if peer is None else _is_within(peer, networks)
        found = _client(peer, _hops(scope), networks) if is_trusted else peer
        return NO_ADDRESS if found is None else _key(found, ipv6_prefix)

    return key


def _client(peer: Address | None, hops: list[str], networks: list[Any]) -> Address | None:
    """The right-most address that is not trusted; the last that could be read when there is none."""
    last = peer
    for hop in hops:
        address = _address(hop)
        if address is None:
            return last
        if not _is_within(address, networks):
            return address
        last = address
    return last


def _hops(scope: Scope) -> list[str]:
    """Entries of X-Forwarded-For, from the right."""
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == HEADER]
    return [hop.strip() for hop in reversed(",".join(lines).rsplit(",", HOPS_MAX)[-HOPS_MAX:])] if lines else []


def _address(text: str) -> Address | None:
    """An address, perhaps with a port; an IPv4 address in IPv6's clothing is one of IPv4."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _is_within(address: Address, networks: list[Any]) -> bool:
    return any(address in network for network in networks)


def _key(address: Address, ipv6_prefix: int) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((address, ipv6_prefix), strict=False))


def _network(name: str) -> Any:
    try:
        return ip_network(name, strict=False)
    except ValueError:
        raise UsageError(f"{name!r} is no address and no network", 'write "10.0.0.7", "10.0.0.0/8" or "unix"') from None
