"""Measures one host: a fixed number of calls, however many VMs it has."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, Protocol

from novacron.monitoring import builtin
from novacron.monitoring.layouts import Labels, Layouts, Measured, SeriesKey
from novacron.records.metrics import VMMetrics
from novacron.records.vm import VM
from novacron.specs.query import VMQuery

IO_ERROR = "ioerror"
CHANGING = ("migrating", "stopping")
"""The states of a VM that end by themselves."""
SLOW_ANSWER = 2.0
"""After how many seconds an answer of a host is too late to compare clocks."""


class AskedHost(Protocol):
    """What of a host's handle is needed to measure it."""

    @property
    def name(self) -> str: ...
    def supports(self, operation: str) -> bool: ...
    def invoke(self, operation: str, timeout: float | None = None, **arguments: Any) -> Any: ...


def measure_host(host: AskedHost, layouts: Layouts) -> list[Measured]:
    """Return the current values of a host, its VMs and its storage pools.

    Raises:
        NovaCronError: the host can't be asked.
    """
    began = time.monotonic()
    metrics, offset = _host_metrics(host)
    records: Iterable[VM] = host.invoke("vm_list", query=VMQuery())
    running = {one.vm: one for one in host.invoke("metrics_vms")} if host.supports("metrics_vms") else {}
    pools = host.invoke("pool_list") if host.supports("pool_list") else []
    vms = [_vm(record, running.get(record.id), host.name, layouts) for record in records]
    found = [*vms, *(_pool(pool, host.name, layouts) for pool in pools if pool.active and pool.capacity_bytes)]
    own: dict[str, float] = {
        "up": 1.0,
        "seconds": time.monotonic() - began,
        "vms": len(vms),
        "vms_running": sum(one.key in running for one in vms),
    }
    if offset is not None:
        own["clock"] = offset
    return [_host(host.name, metrics, own, layouts), *found]


def _host_metrics(host: AskedHost) -> tuple[Any, float | None]:
    """Return a host's metrics, and how far its clock is ahead of this machine's clock.

    The host read its clock between the request and the answer, so half of the duration of the call is the possible error. A slow call
    tells nothing.
    """
    if not host.supports("metrics_host"):
        return None, None
    sent = time.time()
    metrics = host.invoke("metrics_host")
    received = time.time()
    known = metrics.clock is not None and 0 <= received - sent <= SLOW_ANSWER
    return metrics, metrics.clock - (sent + received) / 2 if known else None


def silent_host(name: str, seconds: float, layouts: Layouts) -> Measured:
    """Return the values of a host that did not answer."""
    return _host(name, None, {"up": 0.0, "seconds": seconds}, layouts)


def _host(name: str, metrics: Any, own: dict[str, float], layouts: Layouts) -> Measured:
    fields = {} if metrics is None else builtin.HOST_COUNTERS | builtin.HOST_GAUGES
    named = [(one.name, float(getattr(metrics, field))) for field, one in fields.items()]
    named += [(builtin.HOST_OWN[field].name, float(value)) for field, value in own.items()]
    layout = layouts.of(SeriesKey(metric) for metric, _ in named)
    return Measured("host", name, name, (("host", name),), layout, [value for _, value in named])


def _pool(pool: Any, host: str, layouts: Layouts) -> Measured:
    given = {one.name: getattr(pool, field) for field, one in builtin.POOL_GAUGES.items()}
    named = {name: float(value) for name, value in given.items() if value is not None}
    layout = layouts.of(map(SeriesKey, named))
    return Measured("pool", f"{host}/{pool.name}", host, (("host", host), ("pool", pool.name)), layout, [*named.values()])


def _vm(record: VM, metrics: VMMetrics | None, host: str, layouts: Layouts) -> Measured:
    labels: Labels = (("name", record.name), ("vm", record.id))
    status = record.status
    paused = status == "suspended" and IO_ERROR in record.status_reason.replace("-", "").replace(" ", "").lower()
    states = [*map(float, (status == "running", status == "crashed", paused, status == "stopped", status in CHANGING))]
    keys = _STATE_KEYS
    if record.autostart is not None:
        keys, states = _AUTOSTART_KEYS, [*states, float(record.autostart)]
    if metrics is None:
        return Measured("vm", record.id, host, labels, layouts.of(keys), states)
    optional = _OPTIONAL(metrics)
    counted, given = optional[: len(builtin.VM_OPTIONAL_COUNTERS)], optional[len(builtin.VM_OPTIONAL_COUNTERS) :]
    values: list[Any] = [*_COUNTERS(metrics), *(value for value in counted if value is not None)]
    for disk in metrics.disks:
        values += _DISK(disk)
    for nic in metrics.nics:
        values += _NIC(nic)
    values += [value for value in given if value is not None]
    has = tuple([value is not None for value in optional])
    shape = (has, tuple([disk.target for disk in metrics.disks]), len(metrics.nics), len(keys))
    layout = layouts.of_shape(shape, lambda: _vm_series(metrics, has, keys))
    return Measured("vm", record.id, host, labels, layout, [*map(float, values), *states])


def _vm_series(metrics: VMMetrics, has: Sequence[bool], states: tuple[SeriesKey, ...]) -> list[SeriesKey]:
    """Return the series of a VM's row. NICs are numbered: the hypervisor gives the interface another name at each start.

    Args:
        metrics: what was measured.
        has: which of the optional counters, then which of the gauges the hypervisor reports.
        states: the series that stopped VMs have too.
    """
    keys = [SeriesKey(one.name) for one in builtin.VM_COUNTERS.values()]
    keys += (SeriesKey(one.name) for one, given in zip(builtin.VM_OPTIONAL_COUNTERS.values(), has, strict=False) if given)
    for disk in metrics.disks:
        keys += (SeriesKey(one.name, (("disk", disk.target),)) for one in builtin.DISK_COUNTERS.values())
    for number in range(len(metrics.nics)):
        keys += (SeriesKey(one.name, (("nic", str(number)),)) for one in builtin.NIC_COUNTERS.values())
    gauges = has[len(builtin.VM_OPTIONAL_COUNTERS) :]
    keys += (SeriesKey(one.name) for one, given in zip(builtin.VM_GAUGES.values(), gauges, strict=True) if given)
    return [*keys, *states]


def _values(fields: Iterable[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what reads these fields of a record."""
    names = tuple(fields)
    read = attrgetter(*names)
    return read if len(names) > 1 else lambda record: (read(record),)


_COUNTERS, _DISK, _NIC = (_values(fields) for fields in (builtin.VM_COUNTERS, builtin.DISK_COUNTERS, builtin.NIC_COUNTERS))
_OPTIONAL = _values((*builtin.VM_OPTIONAL_COUNTERS, *builtin.VM_GAUGES))
_STATE_KEYS = tuple(SeriesKey(one.name) for one in builtin.VM_STATES.values())
_AUTOSTART_KEYS = (*_STATE_KEYS, *(SeriesKey(one.name) for one in builtin.VM_AUTOSTART.values()))


__all__ = ["AskedHost", "measure_host", "silent_host"]
