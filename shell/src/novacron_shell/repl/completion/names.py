"""What completion knows: the names of resources, flows and steps. It was read before; completing asks nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MOST = 200
"""Suggestions that are offered at a time."""


class Suggestion(NamedTuple):
    """A text that could stand in place of the last `replaced` characters.

    Attributes:
        text: what is inserted.
        replaced: how many characters before the cursor it replaces.
        shown: what the menu shows.
        about: a note beside it.
    """

    text: str
    replaced: int
    shown: str
    about: str = ""


@dataclass(frozen=True)
class Names:
    """The names at one moment.

    Attributes:
        vms: names of VMs in the shell's `vms`, with a note such as "running on kvm1".
        on_host: names of VMs by host.
        hosts: connected and registered hosts, with their URIs.
        pools, networks, images, templates, filters: names by host.
        flows, steps: names, with their parameters as a note.
        python: the Python names of the session; only classes and handles among them are looked at.
    """

    vms: Mapping[str, str] = field(default_factory=dict)
    on_host: Mapping[str, Sequence[str]] = field(default_factory=dict)
    hosts: Mapping[str, str] = field(default_factory=dict)
    pools: Mapping[str, Sequence[str]] = field(default_factory=dict)
    networks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    images: Mapping[str, Sequence[str]] = field(default_factory=dict)
    templates: Mapping[str, Sequence[str]] = field(default_factory=dict)
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    flows: Mapping[str, str] = field(default_factory=dict)
    steps: Mapping[str, str] = field(default_factory=dict)
    python: Mapping[str, Any] = field(default_factory=dict)

    def of(self, kind: str, host: str | None = None) -> dict[str, str]:
        """Return the names of a kind with their notes; those of one host, or of all.

        Example:
            >>> names = Names(networks={"kvm1": ["lan"], "kvm2": ["lan", "dmz"]})
            >>> names.of("networks"), names.of("networks", "kvm1")
            ({'lan': 'kvm1, kvm2', 'dmz': 'kvm2'}, {'lan': 'kvm1'})
        """
        if kind in ("hosts", "flows", "steps") or (kind == "vms" and host is None):
            return dict(getattr(self, kind))
        by_host: Mapping[str, Sequence[str]] = self.on_host if kind == "vms" else getattr(self, kind)
        found: dict[str, str] = {}
        for each, some in by_host.items():
            if host in (None, each):
                for name in some:
                    found[name] = f"{found[name]}, {each}" if name in found else each
        return found


def matching(known: Mapping[str, str], typed: str) -> list[tuple[str, str]]:
    """Return the names that begin with what was typed, then those that contain it, at most `MOST`; case does not matter.

    Example:
        >>> matching({"db-web": "", "web1": "", "Web2": "kvm1", "x": ""}, "web")
        [('web1', ''), ('Web2', 'kvm1'), ('db-web', '')]
    """
    wanted = typed.lower()
    first: list[tuple[str, str]] = []
    second: list[tuple[str, str]] = []
    for name, about in known.items():
        lower = name.lower()
        if lower.startswith(wanted):
            first.append((name, about))
            if len(first) >= MOST:
                return first
        elif wanted in lower and len(second) < MOST:
            second.append((name, about))
    return (first + second)[:MOST]


__all__ = ["Names", "Suggestion", "matching"]
