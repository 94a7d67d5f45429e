"""Addresses as specs take them, with errors in plain words."""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import Annotated, Any

from pydantic import BeforeValidator

from novacron.errors import InvalidValueError


def host_address(value: Any) -> IPv4Interface | IPv6Interface:
    """Return the host's own address in a network, with the network's prefix.

    Raises:
        InvalidValueError: it is no address with a prefix, or one that no host can have.

    Example:
        >>> host_address("192.168.50.1/24")
        IPv4Interface('192.168.50.1/24')
        >>> host_address("192.168.50.255/24")
        Traceback (most recent call last):
        ...
        novacron.errors.InvalidValueError: not an address of a host: '192.168.50.255/24'
    """
    example = 'an address with its prefix, such as "192.168.50.1/24"'
    try:
        found = ip_interface(str(value) if isinstance(value, bool) else value)  # True is no address 0.0.0.1
    except ValueError:
        raise _not("an address with a prefix", value, example) from None
    if isinstance(value, str) and "/" not in value:
        raise _not("an address with a prefix", value, example)
    if reason := _useless(found):
        raise _not("an address of a host", value, f"{example}; this is {reason}")
    return found


def _useless(found: IPv4Interface | IPv6Interface) -> str | None:
    """Return why no host of a virtual network can have an address, None when one can."""
    network, longest = found.network, found.max_prefixlen
    kinds = {
        "a network without room for another address": network.prefixlen == longest,
        "the address of no host": found.ip.is_unspecified or network.prefixlen == 0,
        "an IPv4 address that is mapped to IPv6": found.version == 6 and found.ip.ipv4_mapped is not None,
        "a loopback address": found.ip.is_loopback,
        "a multicast address": found.ip.is_multicast,
        "a link-local address": found.ip.is_link_local,
        "a reserved address": found.version == 4 and found.ip.is_reserved,
        "the address of the network itself": network.prefixlen < longest - 1 and found.ip == network.network_address,
        "the broadcast address": found.version == 4 and network.prefixlen < longest - 1 and found.ip == network.broadcast_address,
    }
    return next((reason for reason, holds in kinds.items() if holds), None)


def _parsed(parse: Any, kind: str, example: str) -> BeforeValidator:
    def check(value: Any) -> Any:
        try:
            if isinstance(value, bool):
                raise ValueError(value)
            return parse(value)
        except ValueError:
            raise _not(kind, value, f'{kind} such as "{example}"') from None

    return BeforeValidator(check)


def _not(kind: str, value: object, allowed: str) -> InvalidValueError:
    return InvalidValueError(f"not {kind}: {str(value)!r}", hint=allowed, outcome="not_sent")


HostAddress = Annotated[IPv4Interface | IPv6Interface, BeforeValidator(host_address)]
"""The host's own address in a network with its prefix: "192.168.50.1/24"."""

Address = Annotated[IPv4Address | IPv6Address, _parsed(ip_address, "an IP address", "192.168.50.10")]
"""An IP address: "192.168.50.10"."""

AddressRange = Annotated[IPv4Network | IPv6Network, _parsed(ip_network, "a network's address range", "10.0.0.0/8")]
"""A range of IP addresses: "10.0.0.0/8"; one address is a range too."""


__all__ = ["Address", "AddressRange", "HostAddress", "host_address"]
