"""Counters that never fall, although the hypervisor's counters start again at zero.

They do so when a VM is started again, when it migrates, and when a device is replaced. The tracker adds what was counted before.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import lt

import msgspec

from novacron.monitoring.layouts import Layout, Measured


class Counted(msgspec.Struct, gc=False):  # it is in no cycle, and there are hundreds of thousands
    """The last counters of an object.

    Attributes:
        host: where they counted.
        layout: the layout of the row; the first `layout.counters` series are meant.
        raw: the hypervisor's values.
        offsets: what is added to each of them, None for nothing.
    """

    host: str
    layout: Layout
    raw: list[float]
    offsets: list[float] | None = None

    @property
    def totals(self) -> list[float]:
        """The counters with their offsets."""
        return self.raw if self.offsets is None else [a + b for a, b in zip(self.raw, self.offsets, strict=True)]


class CounterTracker:
    """Follows the counters of all objects from round to round.

    Attributes:
        known: the last counters by kind and key of the object.
        changed: objects that are new, or whose host or offsets changed, since `take_changes` was called.
    """

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], Counted] = {}
        self.changed: set[tuple[str, str]] = set()

    def follow(self, measured: Iterable[Measured]) -> None:
        """Replace the counters of a round by counters that never fall."""
        for one in measured:
            count, name = one.layout.counters, (one.kind, one.key)
            before = self.known.get(name)
            if not count:
                if before is not None and one.kind == "vm" and before.host:  # it is off: its next process counts from zero
                    before.host = ""
                    self.changed.add(name)
                continue
            raw = one.values[:count]
            if before is None:
                self.known[name] = Counted(one.host, one.layout, raw)
                self.changed.add(name)
                continue
            if before.layout is not one.layout or before.host != one.host or any(map(lt, raw, before.raw)):
                self._restart(name, one, raw, before)
            before.raw = raw
            if before.offsets is not None:
                one.values[:count] = [a + b for a, b in zip(raw, before.offsets, strict=True)]

    def take_changes(self) -> dict[tuple[str, str], Counted]:
        """Return the counters whose offsets must be stored, and forget that they changed."""
        changed, self.changed = self.changed, set()
        return {name: self.known[name] for name in changed if name in self.known}

    def _restart(self, name: tuple[str, str], one: Measured, raw: list[float], before: Counted) -> None:
        """Set the offsets: a counter that fell, or that counts on another host, starts at what it had counted before.

        CPU time and the counters of all devices start again together if the VM has a new process. One device that was replaced starts
        again alone: then no other counter fell.
        """
        count, old, index = one.layout.counters, before.totals, before.layout.index
        moved = before.host != one.host
        fell = {key for key, value in zip(one.layout.series[:count], raw, strict=True) if _raw(before, key) > value}
        process = moved or any(not key.labels for key in fell)
        offsets = []
        for key in one.layout.series[:count]:
            place = index.get(key)
            if place is None or place >= len(old):
                offsets.append(0.0)
            elif process or _device(key) in {_device(f) for f in fell}:
                offsets.append(old[place])
            else:
                offsets.append(old[place] - before.raw[place])
        before.host, before.layout = one.host, one.layout
        before.offsets = offsets if any(offsets) else None
        self.changed.add(name)


def _device(key: tuple[str, tuple[tuple[str, str], ...]]) -> tuple[tuple[str, str], ...]:
    return key[1]


def _raw(before: Counted, key: tuple[str, tuple[tuple[str, str], ...]]) -> float:
    place = before.layout.index.get(key)  # type: ignore[call-overload]
    return before.raw[place] if place is not None and place < len(before.raw) else 0.0


__all__ = ["Counted", "CounterTracker"]
