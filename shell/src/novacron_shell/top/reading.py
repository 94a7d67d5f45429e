"""Reads hosts and VMs for `top`, each host for itself: one that hangs delays no other, and keeps its last values."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal

from novacron.errors import NovaCronError
from novacron.handles.host import HostHandle
from novacron_shell.top.model import HostState, VMState

PATIENCE = 10.0
"""Seconds that a host has to answer before it counts as dead."""
SHARE = 0.06
"""Share of one CPU that reading may cost: with many VMs, hosts are read less often."""
KEPT = 30
"""Measurements that the curves show."""
RATES = ("cpus", "disk_read_bytes", "disk_written_bytes", "net_received_bytes", "net_sent_bytes")
Ask = Callable[..., Sequence[Any]]


class Reader:
    """Reads a number of hosts again and again, in threads of its own.

    Args:
        hosts: names of hosts in the fleet, or connected hosts.
        ask: `fleet.ask`.
        changed: called in a thread whenever a host has answered or has failed to.
        interval: seconds between two readings of a host. It grows with the number of VMs, see `SHARE`.
        detail: "full" reads tags and folders too.
    """

    def __init__(
        self,
        hosts: Sequence[str | HostHandle],
        ask: Ask,
        changed: Callable[[], object] = lambda: None,
        *,
        interval: float = 2.0,
        detail: Literal["summary", "full"] = "summary",
    ) -> None:
        self._ask, self._changed, self.interval, self.detail = ask, changed, interval, detail
        self._seen = {_name(host): _Seen(host) for host in hosts}
        self._stopped = threading.Event()

    def on_change(self, changed: Callable[[], object]) -> None:
        """Call something else whenever a host has answered."""
        self._changed = changed

    def start(self) -> None:
        """Begin to read in the background."""
        for name, seen in self._seen.items():
            threading.Thread(target=self._loop, args=(seen,), name=f"novacron-top-{name}", daemon=True).start()

    def stop(self) -> None:
        """Stop reading."""
        self._stopped.set()
        self.read_soon()

    def read_soon(self) -> None:
        """Read all hosts now instead of at the next interval."""
        for seen in self._seen.values():
            seen.wanted.set()

    def read(self) -> None:
        """Read all hosts once and wait for them."""
        for answer in self._ask([seen.host for seen in self._seen.values()], self._read, timeout=PATIENCE):
            self._seen[answer.host].answered(answer)

    def hosts(self) -> list[HostState]:
        """Return the hosts, sorted by name."""
        return [seen.state() for _, seen in sorted(self._seen.items())]

    def vms(self) -> list[VMState]:
        """Return the VMs of all hosts; those of a host that does not answer are stale."""
        return [vm for seen in list(self._seen.values()) for vm in seen.vms]

    def host(self, name: str) -> HostHandle | None:
        """Return a connected host."""
        return self._seen[name].handle

    def _loop(self, seen: _Seen) -> None:
        while not self._stopped.is_set():
            began = time.monotonic()
            for answer in self._ask([seen.host], self._read, timeout=PATIENCE):
                seen.answered(answer)
            if self._stopped.is_set():
                return
            self._changed()
            took = time.monotonic() - began
            seen.wanted.wait(max(self.interval - took, seen.cost * len(self._seen) / SHARE))
            seen.wanted.clear()

    def _read(self, host: HostHandle) -> _Reading:
        began = time.thread_time()
        records = host.vms.list(detail=self.detail).records
        stats = _optional(host, "host_stats")
        metrics = _optional(host, "metrics_vms") or ()
        return _Reading(host, records, stats, {each.vm: each for each in metrics}, time.thread_time() - began)


class _Reading:
    """What one host answered."""

    def __init__(self, handle: HostHandle, records: Sequence[Any], stats: Any, metrics: dict[str, Any], cost: float) -> None:
        self.handle, self.records, self.stats, self.metrics, self.cost = handle, records, stats, metrics, cost


class _Seen:
    """The last values of one host."""

    def __init__(self, host: str | HostHandle) -> None:
        self.host, self.name = host, _name(host)
        self.handle = host if isinstance(host, HostHandle) else None
        self.vms: list[VMState] = []
        self.wanted = threading.Event()
        self.cost = 0.0
        self._error: str | None = None
        self._at: float | None = None
        self._stats: Any = None
        self._metrics: dict[str, Any] = {}
        self._curves: dict[str, deque[float]] = {}
        self._history: deque[float] = deque(maxlen=KEPT)

    def answered(self, answer: Any) -> None:
        """Keep an answer, or why there is none."""
        if answer.error is not None:
            if self._error is None:
                self.vms = [_stale(vm) for vm in self.vms]
            self._error = str(answer.error)
            return
        began = time.thread_time()
        reading: _Reading = answer.value
        self.handle, self._error, self._at = reading.handle, None, time.monotonic()
        self._stats = reading.stats
        if reading.stats is not None and reading.stats.cpu_percent is not None:
            self._history.append(reading.stats.cpu_percent)
        rates = {
            vm: metrics.since(self._metrics[vm])
            for vm, metrics in reading.metrics.items()
            if vm in self._metrics and metrics.at != self._metrics[vm].at
        }
        self._metrics = reading.metrics
        self._curves = {vm: self._curves.get(vm) or deque(maxlen=KEPT) for vm in reading.metrics}
        for vm, rate in rates.items():
            self._curves[vm].append(rate.cpus)
        self.vms = [self._vm(record, rates.get(record.id)) for record in reading.records]
        self.cost = reading.cost + time.thread_time() - began

    def _vm(self, record: Any, rates: Any) -> VMState:
        measured = {} if rates is None else {name: getattr(rates, name) for name in RATES}
        return VMState(
            host=self.name,
            id=record.id,
            name=record.name,
            status=record.status,
            node=record.node,
            folder=record.folder,
            tags=tuple(sorted(record.tags or ())),
            vcpus=record.vcpus,
            memory_bytes=record.memory_bytes,
            history=tuple(self._curves.get(record.id, ())),
            **measured,
        )

    def state(self) -> HostState:
        """Return the host as it was seen last."""
        stats = self._stats
        running = sum(vm.status == "running" for vm in self.vms)
        return HostState(
            name=self.name,
            error=self._error,
            age_seconds=None if self._at is None else time.monotonic() - self._at,
            vms=len(self.vms),
            running=running,
            history=tuple(self._history),
            **{name: getattr(stats, name, None) for name in ("cpus", "cpu_percent", "memory_bytes", "memory_free_bytes")},
        )


def _stale(vm: VMState) -> VMState:
    import msgspec

    return msgspec.structs.replace(vm, stale=True, cpus=None)


def _name(host: str | HostHandle) -> str:
    return host if isinstance(host, str) else host.name


def _optional(host: HostHandle, operation: str) -> Any:
    """Return what an operation gives, None if the driver does not have it or it fails now."""
    try:
        return host.invoke(operation) if host.supports(operation) else None
    except NovaCronError:
        return None


__all__ = ["Reader"]
