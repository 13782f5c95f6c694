"""Who a request comes from, where proxies stand between."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
_Address = IPv4Address | IPv6Address
_MOST_HOPS = 16  # of X-Forwarded-For: more of them are nobody's proxies


def parse_networks(text: str) -> tuple[Network, ...]:
    """The networks of a text such as `10.0.0.0/8, ::1`.

    Raises:
        ValueError: one of them is none.
    """
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def client_address(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """The address that the request came from: the peer's, or where that is a trusted proxy, what it says, and so on.

    X-Forwarded-For is read from the right, for what stands to the left of the first address that is not trusted was written by
    whoever has that address. At what is no address reading ends: the proxy that passed it on is the nearest that is known.
    """
    address = _parsed(peer)
    if address is None:
        return peer
    for hop in reversed(forwarded_for.split(",")[-_MOST_HOPS:]):
        if not _is_in(address, trusted) or (told := _parsed(hop.strip())) is None:
            break
        address = told
    return str(address)


def household(address: str) -> str:
    """What one client is told from another by: an IPv4 address, or an IPv6 network of 64 bits, which one customer has whole."""
    parsed = _parsed(address)
    return str(ip_network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else address


def _parsed(text: str) -> _Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_in(address: _Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
