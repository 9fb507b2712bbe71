"""Who is at the other end of a connection, proxies seen through."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

UNKNOWN = "unknown"
"""The client of a proxy that names no readable address."""


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Read addresses and networks, such as ``10.0.0.1`` and ``10.0.0.0/8``.

    Raises:
        ValueError: one of them is neither.
    """
    return tuple(ipaddress.ip_network(text.strip(), strict=False) for text in texts)


def client_address(remote_addr: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """The address of the caller.

    Each proxy appends the address it was called from to ``X-Forwarded-For``. What a trusted
    one wrote is believed, so the list is read from its end up to the first address that is not
    a trusted proxy; whatever stands before that one may be made up.

    Args:
        remote_addr: the socket's peer; empty for a Unix socket.
        forwarded_for: the header, several of them joined by commas; empty when there is none.
        trusted: proxies whose header is believed.

    Returns:
        An address in its shortest form, an IPv4 address mapped to IPv6 as IPv4; ``unknown``
        where a trusted proxy wrote something else; ``remote_addr`` itself when it is no address.
    """
    peer = _address(remote_addr)
    if peer is None:
        return remote_addr
    hops = [hop for hop in forwarded_for.split(",") if hop.strip()]
    while hops and _is_in(peer, trusted):
        hop = _address(hops.pop())
        if hop is None:
            return UNKNOWN
        peer = hop
    return str(peer)


def is_loopback(address: str) -> bool:
    """Whether an address is of this machine; what is no address is not."""
    parsed = _address(address)
    return parsed is not None and parsed.is_loopback


def is_local(
    remote_addr: str, forwarded_for: str, was_forwarded: bool, trusted: Sequence[Network]
) -> bool:
    """Whether a caller is surely on this machine.

    A proxy on this machine makes the whole world look local. One that is not configured as
    trusted gives itself away by its headers, and so does a trusted one that tells of its caller
    in another header than ``X-Forwarded-For``: both count as remote.

    Args:
        remote_addr: as for ``client_address``, and so the next one.
        forwarded_for: see there.
        was_forwarded: whether any header says that a proxy was passed: ``X-Forwarded-For``,
            ``Forwarded``, ``X-Real-IP`` and their like.
        trusted: see there.
    """
    peer = _address(remote_addr)
    if peer is None:
        return False
    if was_forwarded and not (forwarded_for.strip(" ,") and _is_in(peer, trusted)):
        return False
    return is_loopback(client_address(remote_addr, forwarded_for, trusted))


def _address(text: str) -> Address | None:
    """Read an address, with or without a port, in brackets or not."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _is_in(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)
