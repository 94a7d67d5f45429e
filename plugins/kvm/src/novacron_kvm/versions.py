"""Which version of libvirt each operation needs.

A test reads libvirt's own description of its API and holds this table against the calls and flags that the operations use.
"""

from __future__ import annotations

from collections.abc import Mapping

from novacron.errors import UnsupportedOperationError

MINIMUM = "6.0.0"
"""The oldest libvirt that is connected to (2020): the first that tells of a job that has ended more than once."""

LATER: Mapping[str, str] = {
    "filter_create": "7.7.0",
    "filter_update": "7.7.0",
    "guest_ssh_keys_set": "6.10.0",
    "network_create": "7.7.0",
    "network_update": "7.7.0",
}
"""The operations that need a later one."""

OPTIONAL = frozenset({"messages"})
"""Methods of later versions that operations do without where libvirt is older."""


def versions() -> dict[str, str]:
    """Return the version that each operation needs; under "" that of all others."""
    return {"": MINIMUM, **LATER}


def version_number(text: str) -> int:
    """Return a version as libvirt counts.

    Example:
        >>> version_number("10.9.0")
        10009000
    """
    major, minor, release = map(int, text.split("."))
    return major * 1_000_000 + minor * 1000 + release


def version_text(number: int) -> str:
    """Return a version that libvirt counted as text.

    Example:
        >>> version_text(9000000)
        '9.0.0'
    """
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def refuse_old(number: int, host: str) -> None:
    """Refuse a libvirt that is older than any operation can do with. Raises UnsupportedOperationError."""
    if number < version_number(MINIMUM):
        raise UnsupportedOperationError(
            f"{host} has libvirt {version_text(number)}", host=host, hint=f"libvirt {MINIMUM} or newer is needed"
        )


def too_old(number: int) -> dict[str, str]:
    """Return the operations that a libvirt can't do, each with what it needs."""
    return {name: f"needs libvirt {needed}" for name, needed in LATER.items() if number < version_number(needed)}


__all__ = ["LATER", "MINIMUM", "refuse_old", "too_old", "version_number", "version_text", "versions"]
