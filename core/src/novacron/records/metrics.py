"""Metrics, the same for every hypervisor."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import msgspec

from novacron.errors import InvalidValueError
from novacron.records.record import Record


class DiskMetrics(Record, frozen=True):
    """Counters of one disk of a VM. They start at zero when the VM starts.

    Attributes:
        target: Name of the disk, such as "vda".
        read_bytes: Bytes that were read.
        written_bytes: Bytes that were written.
        reads: Number of read requests.
        writes: Number of write requests.
        read_seconds: Sum of the durations of all read requests, in seconds.
        write_seconds: Sum of the durations of all write requests, in seconds.
    """

    target: str
    read_bytes: int = 0
    written_bytes: int = 0
    reads: int = 0
    writes: int = 0
    read_seconds: float = 0.0
    write_seconds: float = 0.0


class NICMetrics(Record, frozen=True):
    """Counters of one NIC of a VM. They start at zero when the VM starts.

    Attributes:
        name: Name of the network interface on the hypervisor, such as "vnet3".
        received_bytes: Bytes that the VM received.
        sent_bytes: Bytes that the VM sent.
        received_packets: Number of packets that the VM received.
        sent_packets: Number of packets that the VM sent.
        dropped: Number of packets that were dropped in both directions.
    """

    name: str
    received_bytes: int = 0
    sent_bytes: int = 0
    received_packets: int = 0
    sent_packets: int = 0
    dropped: int = 0


class DiskRates(Record, frozen=True):
    """Rates of one disk.

    Attributes:
        target: Name of the disk, such as "vda".
        read_bytes: Bytes that were read per second.
        written_bytes: Bytes that were written per second.
        reads: Read requests per second.
        writes: Write requests per second.
        read_latency: Mean duration of a read request in seconds; None if there was none.
        write_latency: Mean duration of a write request in seconds; None if there was none.
    """

    target: str
    read_bytes: float
    written_bytes: float
    reads: float
    writes: float
    read_latency: float | None
    write_latency: float | None


class NICRates(Record, frozen=True):
    """Rates of one NIC.

    Attributes:
        name: Name of the network interface on the hypervisor, such as "vnet3".
        received_bytes: Bytes received per second.
        sent_bytes: Bytes sent per second.
        received_packets: Packets received per second.
        sent_packets: Packets sent per second.
        dropped: Packets dropped per second.
    """

    name: str
    received_bytes: float
    sent_bytes: float
    received_packets: float
    sent_packets: float
    dropped: float


class VMRates(Record, frozen=True):
    """Rates of a VM between two measurements.

    Attributes:
        vm: Id of the VM.
        host: Name of the host.
        at: Time of the second measurement, as UTC in ISO 8601.
        seconds: Seconds between the two measurements.
        restarted: Whether the counters were reset in between, because the VM was started again or migrated. The rates are then
            lower bounds.
        cpus: Average number of busy CPUs.
        disk_read_bytes: Bytes per second that were read from all disks.
        disk_written_bytes: Bytes per second that were written to all disks.
        disk_reads: Read requests per second of all disks.
        disk_writes: Write requests per second of all disks.
        net_received_bytes: Bytes per second that all NICs received.
        net_sent_bytes: Bytes per second that all NICs sent.
        disks: Rates of each disk.
        nics: Rates of each NIC.
    """

    vm: str
    host: str
    at: str
    seconds: float
    restarted: bool
    cpus: float
    disk_read_bytes: float
    disk_written_bytes: float
    disk_reads: float
    disk_writes: float
    net_received_bytes: float
    net_sent_bytes: float
    disks: tuple[DiskRates, ...] = ()
    nics: tuple[NICRates, ...] = ()


class VMUsage(Record, frozen=True):
    """Stored metrics of a VM for one interval. A field without stored data is None.

    Attributes:
        vm: Id of the VM.
        host: Name of the host.
        at: End of the interval, as UTC in ISO 8601.
        seconds: Length of the interval in seconds.
        cpus: Average number of busy CPUs.
        memory_used_bytes: Memory in bytes that the guest used.
        disk_read_bytes: Bytes per second that were read from all disks.
        disk_written_bytes: Bytes per second that were written to all disks.
        net_received_bytes: Bytes per second that all NICs received.
        net_sent_bytes: Bytes per second that all NICs sent.
    """

    vm: str
    host: str
    at: str
    seconds: float
    cpus: float | None = None
    memory_used_bytes: int | None = None
    disk_read_bytes: float | None = None
    disk_written_bytes: float | None = None
    net_received_bytes: float | None = None
    net_sent_bytes: float | None = None


class VMMetrics(Record, frozen=True):
    """Counters and gauges of one VM at one time. Counters start at zero when the VM starts on this host.

    Attributes:
        vm: Id of the VM.
        host: Name of the host.
        at: When they were measured, as UTC in ISO 8601.
        cpu_seconds: CPU time that the VM used, in seconds (counter).
        vcpus: Number of vCPUs.
        memory_bytes: Current size of the balloon in bytes.
        memory_used_bytes: Memory in bytes that the guest uses; None if the guest does not report it.
        memory_guest_bytes: Total memory in bytes that the guest sees; None if the guest does not report it.
        memory_usable_bytes: Memory in bytes that is usable without swapping; None if the guest does not report it.
        memory_resident_bytes: Memory in bytes of the VM's process on the host; None if the hypervisor does not report it.
        memory_maximum_bytes: Size of the balloon in bytes when the host reclaims no memory; None if the hypervisor does not
            report it.
        cpu_ready_seconds: Time in seconds for which vCPUs were ready to run and waited for a CPU of the host; the guest sees it
            as steal time (counter). None if the hypervisor does not report it.
        swapped_in_bytes: Bytes that the guest read from its swap space (counter); None if the hypervisor does not report it.
        swapped_out_bytes: Bytes that the guest wrote to its swap space (counter); None if the hypervisor does not report it.
        disk_read_bytes: Bytes that were read from all disks (counter).
        disk_written_bytes: Bytes that were written to all disks (counter).
        disk_reads: Number of read requests of all disks (counter).
        disk_writes: Number of write requests of all disks (counter).
        net_received_bytes: Bytes that all NICs received (counter).
        net_sent_bytes: Bytes that all NICs sent (counter).
        disks: Counters of each disk.
        nics: Counters of each NIC.
    """

    vm: str
    host: str
    at: str
    cpu_seconds: float = 0.0
    vcpus: int = 0
    memory_bytes: int = 0
    memory_used_bytes: int | None = None
    memory_guest_bytes: int | None = None
    memory_usable_bytes: int | None = None
    memory_resident_bytes: int | None = None
    memory_maximum_bytes: int | None = None
    cpu_ready_seconds: float | None = None
    swapped_in_bytes: int | None = None
    swapped_out_bytes: int | None = None
    disk_read_bytes: int = 0
    disk_written_bytes: int = 0
    disk_reads: int = 0
    disk_writes: int = 0
    net_received_bytes: int = 0
    net_sent_bytes: int = 0
    disks: tuple[DiskMetrics, ...] = ()
    nics: tuple[NICMetrics, ...] = ()

    @classmethod
    def of(cls, *, disks: tuple[DiskMetrics, ...], nics: tuple[NICMetrics, ...], **fields: Any) -> VMMetrics:
        """Return the record of a VM with these devices and the sums of their counters."""
        read = written = reads = writes = received = sent = 0
        for disk in disks:
            read, written = read + disk.read_bytes, written + disk.written_bytes
            reads, writes = reads + disk.reads, writes + disk.writes
        for nic in nics:
            received, sent = received + nic.received_bytes, sent + nic.sent_bytes
        return cls(
            disks=disks,
            nics=nics,
            disk_read_bytes=read,
            disk_written_bytes=written,
            disk_reads=reads,
            disk_writes=writes,
            net_received_bytes=received,
            net_sent_bytes=sent,
            **fields,
        )

    def since(self, earlier: VMMetrics) -> VMRates:
        """Return the rates between an earlier measurement of the same VM and this one.

        Raises:
            InvalidValueError: `earlier` is of another VM, or not earlier.

        Example:
            >>> first = VMMetrics(vm="6b1f", host="kvm1", at="2026-01-01T00:00:00+00:00", disk_reads=100)
            >>> second = first.replace(at="2026-01-01T00:00:10+00:00", disk_reads=150, cpu_seconds=5.0)
            >>> rates = second.since(first)
            >>> rates.disk_reads, rates.cpus
            (5.0, 0.5)
            >>> first.replace(at="2026-01-01T00:00:20+00:00", disk_reads=20).since(second).disk_reads  # it was restarted
            2.0
        """
        if earlier.vm != self.vm:
            raise InvalidValueError(f"measurements of one VM, not of {earlier.vm} and {self.vm}", hint="measure one VM twice")
        seconds = (datetime.fromisoformat(self.at) - datetime.fromisoformat(earlier.at)).total_seconds()
        if seconds <= 0:
            raise InvalidValueError(
                f"an earlier measurement than {self.at}, not {earlier.at}", hint="wait between the two measurements"
            )
        restarted = earlier.host != self.host or any(new < old for new, old in _pairs(earlier, self))
        before = VMMetrics(vm=self.vm, host=self.host, at=earlier.at) if restarted else earlier
        disks, nics = {d.target: d for d in before.disks}, {n.name: n for n in before.nics}

        def per_second(new: float, old: float) -> float:
            return max(0.0, new - old) / seconds

        def disk(new: DiskMetrics) -> DiskRates:
            old = _same_device(new, disks.get(new.target, DiskMetrics(target=new.target)))
            reads, writes = new.reads - old.reads, new.writes - old.writes
            return DiskRates(
                target=new.target,
                read_bytes=per_second(new.read_bytes, old.read_bytes),
                written_bytes=per_second(new.written_bytes, old.written_bytes),
                reads=reads / seconds,
                writes=writes / seconds,
                read_latency=(new.read_seconds - old.read_seconds) / reads if reads else None,
                write_latency=(new.write_seconds - old.write_seconds) / writes if writes else None,
            )

        def nic(new: NICMetrics) -> NICRates:
            old = _same_device(new, nics.get(new.name, NICMetrics(name=new.name)))
            return NICRates(name=new.name, **{f: per_second(getattr(new, f), getattr(old, f)) for f in NIC_COUNTERS})

        return VMRates(
            vm=self.vm,
            host=self.host,
            at=self.at,
            seconds=seconds,
            restarted=restarted,
            cpus=per_second(self.cpu_seconds, before.cpu_seconds),
            disks=tuple(map(disk, self.disks)),
            nics=tuple(map(nic, self.nics)),
            **{f: per_second(getattr(self, f), getattr(before, f)) for f in VM_COUNTERS},
        )


class HostMetrics(Record, frozen=True):
    """Counters and gauges of a host at one time.

    Attributes:
        host: Name of the host.
        at: When they were measured, as UTC in ISO 8601.
        cpu_seconds: Time that all CPUs were busy, in seconds (counter).
        cpus: Number of CPU threads.
        memory_bytes: Memory in bytes.
        memory_free_bytes: Free memory in bytes.
        clock: Time that the host's own clock shows, in seconds since 1970; None if the hypervisor does not report it.
    """

    host: str
    at: str
    cpu_seconds: float = 0.0
    cpus: int = 0
    memory_bytes: int = 0
    memory_free_bytes: int = 0
    clock: float | None = None


VM_COUNTERS = ("disk_read_bytes", "disk_written_bytes", "disk_reads", "disk_writes", "net_received_bytes", "net_sent_bytes")
NIC_COUNTERS = tuple(field for field in NICMetrics.__struct_fields__ if field != "name")

Device = TypeVar("Device", DiskMetrics, NICMetrics)


def _pairs(earlier: VMMetrics, later: VMMetrics) -> list[tuple[float, float]]:
    """Return the counters that decrease only if the VM has a new process: new and old value of each.

    The sums over devices also decrease when a device is removed. They count only if the devices are the same.
    """
    found = [(later.cpu_seconds, earlier.cpu_seconds)]
    devices = [({d.target for d in m.disks}, {n.name for n in m.nics}) for m in (earlier, later)]
    if devices[0] == devices[1]:
        found += [(getattr(later, name), getattr(earlier, name)) for name in VM_COUNTERS]
    return found


def _same_device(new: Device, old: Device) -> Device:
    """Return the earlier counters of a device; none if it was removed and another device has its name."""
    fallen = any(a < b for a, b in zip(msgspec.structs.astuple(new)[1:], msgspec.structs.astuple(old)[1:], strict=True))
    return new.replace(**dict.fromkeys(new.__struct_fields__[1:], 0)) if fallen else old


__all__ = ["DiskMetrics", "DiskRates", "HostMetrics", "NICMetrics", "NICRates", "VMMetrics", "VMRates", "VMUsage"]
