"""CPU, memory and I/O settings of a VM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from novacron.records.resources import Resources
from novacron.text import printable_line
from novacron.units import parse_size

if TYPE_CHECKING:
    from novacron.handles.vm import VMHandle
    from novacron.specs.keywords import LimitsFields

ACTIVE = ("running", "suspended", "migrating", "sleeping")


class ResourcesHandle:
    """Reads and changes the resources of a VM.

    By default a change applies to the running VM (`live`) and to the next start (`persistent`).

    Example:
        >>> import novacron
        >>> vm = novacron.connect("sim://tuning").vms.create(name="db1", vcpus=2, vcpus_max=4, memory="2GiB", start=True)
        >>> vm.resources.set_vcpus(4).vcpus
        4
        >>> vm.resources.limit(cpu_limit_percent=150).cpu_limit_percent
        150.0
    """

    def __init__(self, vm: VMHandle) -> None:
        self._vm = vm

    def __repr__(self) -> str:
        return printable_line(f"<resources of {self._vm.name}>")

    def read(self) -> Resources:
        """Return the current settings. `next_start` has those of the next start if they differ."""
        result: Resources = self._vm.host.invoke("resources_get", vm=self._vm.id)
        return result

    def set_vcpus(self, count: int, *, live: bool | None = None, persistent: bool = True) -> Resources:
        """Set the number of vCPUs. A running VM uses hot plug, up to its `vcpus_max`."""
        return self._set("vcpus_set", live, persistent, count=count)

    def set_memory(self, size: int | str, *, live: bool | None = None, persistent: bool = True) -> Resources:
        """Set the memory. A running VM uses the balloon up to `memory_max`, and memory modules up to `max_memory`."""
        return self._set("memory_set", live, persistent, size=parse_size(size))

    def set_iothreads(self, count: int, *, live: bool | None = None, persistent: bool = True) -> Resources:
        """Set the number of threads for disk I/O."""
        return self._set("iothreads_set", live, persistent, count=count)

    def pin(self, pinning: dict[str, str], *, live: bool | None = None, persistent: bool = True) -> Resources:
        """Pin vCPUs ("0", "1", ...), the "emulator" or I/O threads ("iothread1") to host CPUs such as "0-3,8"; "" removes a pin."""
        return self._set("pinning_set", live, persistent, pinning=pinning)

    def limit(self, *, live: bool | None = None, persistent: bool = True, **limits: Unpack[LimitsFields]) -> Resources:
        """Set fields of `LimitsSpec` for CPU, memory, disks, NICs and host devices. None or 0 removes a limit; others stay unchanged."""
        from novacron.specs import LimitsSpec

        return self._set("limits_set", live, persistent, limits=LimitsSpec.parse(limits))

    def _set(self, operation: str, live: bool | None, persistent: bool, **arguments: Any) -> Resources:
        if live is None:
            live = self._vm.refresh().status in ACTIVE
        result: Resources = self._vm.host.invoke(operation, vm=self._vm.id, live=live, persistent=persistent, **arguments)
        self._vm.refresh()
        return result


__all__ = ["ResourcesHandle"]
