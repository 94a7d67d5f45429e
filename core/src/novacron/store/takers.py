"""A VM that takes capacity."""

from __future__ import annotations

import msgspec

from novacron.records.capacity import Amounts


class Taker(msgspec.Struct, frozen=True, kw_only=True):
    """A VM that claims capacity. `vm` is its UUID, or a name of the claim while the VM has none."""

    vm: str
    name: str
    amounts: Amounts
    active: bool = True
    owner: str = ""
    tags: frozenset[str] = frozenset()
    locked_memory: tuple[str, ...] = ()


__all__ = ["Taker"]
