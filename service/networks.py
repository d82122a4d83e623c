"""Addresses of clients: what counts as one neighbour, and whether an address lies in a given network."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

# What one customer of a provider is given whole (RFC 6177): a brake on single addresses would slow nobody.
IPV6_NEIGHBOUR_BITS = 64


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read addresses and networks with commas between them, such as ``10.0.0.0/8, ::1``.

    Raises
    ------
    ValueError
        If one of them is neither, or has bits beyond its prefix.
    """
    return tuple(ip_network(part) for part in (piece.strip() for piece in text.split(",")) if part)


def lies_within(address: str, networks: tuple[Network, ...]) -> bool:
    """Tell whether an address lies in one of the networks; what is no address lies in none."""
    found = _parsed(address)
    return found is not None and any(found in network for network in networks)


def neighbour(address: str) -> str:
    """Return what limits count by: an IPv4 address, the /64 of an IPv6 address, or the text as it is."""
    found = _parsed(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((found.packed, IPV6_NEIGHBOUR_BITS), strict=False))
    return address[:64] if found is None else str(found)


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    # A socket for both families writes IPv4 as ::ffff:192.0.2.1.
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
