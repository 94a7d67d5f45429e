"""The metrics of one VM: `vm.metrics()` now, `vm.metrics.history("cpu")` in the past."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidStateError
from novacron.records.metrics import VMMetrics
from novacron.records.series import Series
from novacron.text import printable_line

if TYPE_CHECKING:
    from novacron.handles.vm import VMHandle
    from novacron.plotting import Plot

SHORT = {
    "cpu": "novacron_vm_cpu_seconds_total",
    "memory": "novacron_vm_memory_used_bytes",
    "disk_read": "novacron_vm_disk_read_bytes_total",
    "disk_written": "novacron_vm_disk_written_bytes_total",
    "received": "novacron_vm_nic_received_bytes_total",
    "sent": "novacron_vm_nic_sent_bytes_total",
}
"""Short names of the metrics that people ask for most."""


class VMMetricsHandle:
    """Calling it measures the VM now. `history` returns what a collector (`novacron monitor collect`) stored.

    Example:
        >>> import novacron
        >>> vm = novacron.connect("sim://vm-metrics").vms.create(name="web1", vcpus=2, start=True)
        >>> vm.metrics().vcpus, vm.metrics.history("cpu", since="1h")
        (2, [])
    """

    def __init__(self, vm: VMHandle) -> None:
        self._vm = vm

    def __repr__(self) -> str:
        return printable_line(f"<metrics of {self._vm.name}>")

    def __call__(self) -> VMMetrics:
        """Measure the VM now."""
        result: VMMetrics = self._vm.host.invoke("metrics_vm", vm=self._vm.id)
        return result

    def history(
        self,
        metric: str = "cpu",
        *,
        since: float | str | timedelta = "1h",
        step: float | str | timedelta | None = None,
        show: Any = None,
    ) -> list[Series]:
        """Return the stored history of a metric. It continues when the VM migrates or is started again.

        Args:
            metric: cpu (busy CPUs), memory, disk_read, disk_written, received, sent, or the full name of a metric.
            since: how far to look back.
            step: return one point for each step, such as "5m"; every sample when None.
            show: as in `FleetMetrics.query`.

        Returns:
            One series; for metrics of disks or NICs one for each of them. Nothing if no collector has stored anything.
        """
        if self._vm.host.history is None:
            raise InvalidStateError("the connection belongs to no site", hint="connect with novacron.connect() or a Site")
        found: list[Series] = self._vm.host.history().query(
            SHORT.get(metric, metric), labels={"vm": self._vm.id}, since=since, step=step, show=show
        )
        return found

    def plot(
        self,
        metric: str = "cpu",
        *,
        since: float | str | timedelta = "1h",
        step: float | str | timedelta | None = None,
        show: Any = None,
    ) -> Plot:
        """Return a line chart of the stored history of a metric. The arguments are those of `history`.

        The shell and notebooks show it; `plot(...).save("cpu.svg")` writes a picture.

        Example:
            >>> import novacron
            >>> vm = novacron.connect("sim://vm-plot").vms.create(name="web1", vcpus=2, start=True)
            >>> vm.metrics.plot("cpu", since="2h")
            <plot of cpu of web1: 0 series>
        """
        from novacron.plotting import Plot

        return Plot(self.history(metric, since=since, step=step, show=show), f"{metric} of {self._vm.name}")


__all__ = ["VMMetricsHandle"]
