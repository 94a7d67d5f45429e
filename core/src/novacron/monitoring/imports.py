"""Imports what a hypervisor stored about its VMs before NovaCron collected from it, such as a vCenter's samples and roll-ups."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from novacron.errors import NovaCronError, UnsupportedOperationError, VMNotFoundError
from novacron.monitoring import builtin
from novacron.monitoring.compaction import series_of
from novacron.monitoring.layouts import Labels, Measured, Round, SeriesKey, in_order
from novacron.monitoring.measuring import AskedHost
from novacron.monitoring.storage import MetricStorage, doubles
from novacron.records.metrics import VMUsage
from novacron.records.vm import VM
from novacron.specs.query import VMQuery
from novacron.store.tables import metric_chunks, metric_raw, metric_rounds
from novacron.threads import in_thread

RECENT = 3600.0
"""Seconds for which hypervisors keep their finest samples."""
AT_ONCE = 100
"""How many VMs are read before their values are stored."""
ALL = "all"
"""The label of the sum of all disks or NICs: a hypervisor stores no values of each of them."""
CPU = SeriesKey(builtin.VM_COUNTERS["cpu_seconds"].name)
RATES = {
    "cpus": CPU,
    "disk_read_bytes": SeriesKey(builtin.DISK_COUNTERS["read_bytes"].name, (("disk", ALL),)),
    "disk_written_bytes": SeriesKey(builtin.DISK_COUNTERS["written_bytes"].name, (("disk", ALL),)),
    "net_received_bytes": SeriesKey(builtin.NIC_COUNTERS["received_bytes"].name, (("nic", ALL),)),
    "net_sent_bytes": SeriesKey(builtin.NIC_COUNTERS["sent_bytes"].name, (("nic", ALL),)),
}
"""The counter that each rate of a record belongs to."""
MEMORY = SeriesKey(builtin.VM_GAUGES["memory_used_bytes"].name)


def import_history(host: AskedHost, storage: MetricStorage, seconds: float, now: float) -> int:
    """Store what a host knows about the past of its VMs, up to the first value that is stored of each VM.

    So nothing is imported twice, and nothing that a collector measured is replaced. Rates become counters, which end at the first counter
    that a collector stored.

    Args:
        host: the host.
        storage: where the values are stored.
        seconds: how far to look back.
        now: the time of the database's clock.

    Returns:
        How many values were stored.

    Raises:
        NovaCronError: the host can't be asked, or has no history.
    """
    vms: list[VM] = list(host.invoke("vm_list", query=VMQuery()))
    known = {key: number for number, (_, key, _) in storage.objects("vm").items()}
    count = 0
    for start in range(0, len(vms), AT_ONCE):
        some = vms[start : start + AT_ONCE]
        first = _first_values(storage, {known[vm.id]: vm.id for vm in some if vm.id in known})
        times: dict[float, list[Measured]] = {}
        for vm in some:
            until, total = first.get(vm.id, (now, 0.0))
            if until <= now - seconds:  # all of it was imported or collected
                continue
            for at, values in _rows(_usages(host, vm, seconds, until), total):
                keys, row = in_order(values)
                labels: Labels = (("name", vm.name), ("vm", vm.id))
                times.setdefault(at, []).append(Measured("vm", vm.id, host.name, labels, storage.layouts.of(keys), row))
                count += len(row)
        for at, measured in sorted(
            times.items(), reverse=True
        ):  # so that the next import continues where this one was interrupted
            storage.write(at, measured, pushed=True)
    return count


class FirstImports:
    """Imports the history of each host after its first round, in a thread of its own: a vCenter may have 10,000 VMs.

    A process that ends meanwhile leaves the rest to the next one: nothing is imported twice. Hosts that store no history are left out.

    Args:
        run: imports the history of a host and returns how many values were stored.
        say: is called with messages for the administrator.
    """

    def __init__(self, run: Callable[[str], int], say: Callable[[str], object]) -> None:
        self._run, self._say = run, say
        self._begun: set[str] = set()
        self._waiting: deque[str] = deque()
        self._stopped = False
        self.under_way: Future[None] | None = None

    def begin(self, made: Round) -> None:
        """Begin with the hosts that answered in this round for the first time."""
        answered = [one.key for one in made.measured if one.kind == "host" and one.key not in made.problems]
        new = [name for name in answered if name not in self._begun]
        self._begun.update(new)
        self._waiting.extend(new)
        if self._waiting and (self.under_way is None or self.under_way.done()):
            self.under_way = in_thread(self._import, "novacron-import")

    def close(self) -> None:
        """Begin with no further host, and say nothing any more."""
        self._stopped = True
        self._waiting.clear()

    def _import(self) -> None:
        while self._waiting and not self._stopped:
            name = self._waiting.popleft()
            text = ""
            try:
                count = self._run(name)
                text = f"{name}: {count} values of the time before were imported" if count else ""
            except UnsupportedOperationError:
                continue
            except NovaCronError as error:
                text = f"{name}: the values of the time before were not imported: {error}"
            if text and not self._stopped:
                self._say(text)


def _usages(host: AskedHost, vm: VM, seconds: float, until: float) -> list[VMUsage]:
    """Return the finest intervals of the last hour, and longer ones before, that ended before a time. They do not overlap."""
    try:
        fine = host.invoke("metrics_history", vm=vm.id, seconds=min(seconds, RECENT))
        coarse = host.invoke("metrics_history", vm=vm.id, seconds=seconds) if seconds > RECENT else []
    except VMNotFoundError:  # it was deleted meanwhile
        return []
    begin = min((_end(one) - one.seconds for one in fine), default=math.inf)
    return [one for one in (*(one for one in coarse if _end(one) <= begin), *fine) if _end(one) < until]


def _rows(usages: Sequence[VMUsage], total: float) -> Iterable[tuple[float, dict[SeriesKey, float]]]:
    """Yield the time and the values of each row: counters that have grown by each interval's amount at its end.

    Args:
        usages: the intervals, the oldest first.
        total: the CPU seconds that the newest interval ends at.
    """
    if not usages:
        return
    known = [field for field in RATES if any(getattr(one, field) is not None for one in usages)]
    sums = dict.fromkeys(known, 0.0)
    if "cpus" in sums:
        sums["cpus"] = total - sum((one.cpus or 0.0) * one.seconds for one in usages)
    yield _end(usages[0]) - usages[0].seconds, {RATES[field]: value for field, value in sums.items()}
    for one in usages:
        for field in known:
            sums[field] += (getattr(one, field) or 0.0) * one.seconds
        if "cpus" in sums:  # the sum of many floats may end above the total: the counter would fall
            sums["cpus"] = min(sums["cpus"], total)
        gauges = {} if one.memory_used_bytes is None else {MEMORY: float(one.memory_used_bytes)}
        yield _end(one), {RATES[field]: value for field, value in sums.items()} | gauges


def _end(one: VMUsage) -> float:
    return datetime.fromisoformat(one.at).timestamp()


def _first_values(storage: MetricStorage, numbers: Mapping[int, str]) -> dict[str, tuple[float, float]]:
    """Return the time of the first stored value of VMs, and the CPU seconds of that time if they are known.

    Args:
        storage: where the values are stored.
        numbers: the ids of the VMs by the numbers of their objects.
    """
    if not numbers:
        return {}
    with storage.database.transaction() as connection:
        chunk, raw = metric_chunks.c, metric_raw.c
        first = sa.select(chunk.object, sa.func.min(chunk.start).label("start")).where(chunk.resolution == 0)
        oldest = first.where(chunk.object.in_(numbers)).group_by(chunk.object).subquery()
        packed = metric_chunks.select().where(chunk.resolution == 0)
        found: dict[str, tuple[float, float]] = {}
        for row in connection.execute(packed.join(oldest, (oldest.c.object == chunk.object) & (oldest.c.start == chunk.start))):
            layout = storage.layout(connection, row.layout)
            places = [layout.index[CPU]] if CPU in layout.index else []
            points = [point for some in series_of(layout, row.data, places).values() for point in some]
            found[numbers[row.object]] = min(points, default=(float(row.start), 0.0))
        for at in connection.execute(sa.select(metric_rounds.c.at).order_by(metric_rounds.c.at)).scalars().all():
            rows: Any = connection.execute(metric_raw.select().where(raw.at == at, raw.object.in_(numbers)))
            for row in rows:
                if numbers[row.object] not in found:
                    place = storage.layout(connection, row.layout).index.get(CPU)
                    value = doubles(row.data)[place] if place is not None else 0.0
                    found[numbers[row.object]] = (float(at), value)
            if len(found) == len(numbers):
                break
    return found


__all__ = ["ALL", "FirstImports", "import_history"]
