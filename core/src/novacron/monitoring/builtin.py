"""The metrics that NovaCron measures itself.

Each table maps a metric to the field of the record that has its value. Names follow Prometheus' rules: base units, `_total` for counters.
"""

from __future__ import annotations

from novacron.records.series import MetricDefinition, MetricKind


def _metric(name: str, kind: MetricKind, unit: str, text: str) -> MetricDefinition:
    return MetricDefinition(name=f"novacron_{name}", kind=kind, unit=unit, help=text)


VM_COUNTERS = {"cpu_seconds": _metric("vm_cpu_seconds_total", "counter", "seconds", "CPU time of the VM.")}
VM_OPTIONAL_COUNTERS = {
    "cpu_ready_seconds": _metric(
        "vm_cpu_ready_seconds_total", "counter", "seconds", "Time that the vCPUs were ready and waited for a CPU of the host."
    ),
    "swapped_in_bytes": _metric(
        "vm_swapped_in_bytes_total", "counter", "bytes", "Bytes that the guest read from its swap space."
    ),
    "swapped_out_bytes": _metric(
        "vm_swapped_out_bytes_total", "counter", "bytes", "Bytes that the guest wrote to its swap space."
    ),
}
VM_GAUGES = {
    "vcpus": _metric("vm_vcpus", "gauge", "", "Number of vCPUs."),
    "memory_bytes": _metric("vm_memory_bytes", "gauge", "bytes", "Current size of the memory balloon."),
    "memory_used_bytes": _metric("vm_memory_used_bytes", "gauge", "bytes", "Memory that the guest uses."),
    "memory_guest_bytes": _metric("vm_memory_guest_bytes", "gauge", "bytes", "Total memory that the guest reports."),
    "memory_usable_bytes": _metric("vm_memory_usable_bytes", "gauge", "bytes", "Memory usable in the guest without swapping."),
    "memory_resident_bytes": _metric("vm_memory_resident_bytes", "gauge", "bytes", "Memory of the VM's process on the host."),
    "memory_maximum_bytes": _metric(
        "vm_memory_maximum_bytes", "gauge", "bytes", "Size of the memory balloon when the host takes no memory back."
    ),
}
VM_STATES = {
    "running": _metric("vm_running", "gauge", "", "1 if the VM runs, otherwise 0."),
    "crashed": _metric("vm_crashed", "gauge", "", "1 if the VM crashed, otherwise 0."),
    "io_error": _metric("vm_io_error", "gauge", "", "1 if the VM is paused on an I/O error, otherwise 0."),
    "stopped": _metric("vm_stopped", "gauge", "", "1 if the VM is stopped, otherwise 0."),
    "changing": _metric("vm_changing", "gauge", "", "1 while the VM migrates or shuts down, otherwise 0."),
}
VM_AUTOSTART = {"autostart": _metric("vm_autostart", "gauge", "", "1 if the VM is set to start with its host, otherwise 0.")}
DISK_COUNTERS = {
    "read_bytes": _metric("vm_disk_read_bytes_total", "counter", "bytes", "Bytes read from the disk."),
    "written_bytes": _metric("vm_disk_written_bytes_total", "counter", "bytes", "Bytes written to the disk."),
    "reads": _metric("vm_disk_reads_total", "counter", "", "Read requests of the disk."),
    "writes": _metric("vm_disk_writes_total", "counter", "", "Write requests of the disk."),
    "read_seconds": _metric("vm_disk_read_seconds_total", "counter", "seconds", "Sum of the durations of read requests."),
    "write_seconds": _metric("vm_disk_write_seconds_total", "counter", "seconds", "Sum of the durations of write requests."),
}
NIC_COUNTERS = {
    "received_bytes": _metric("vm_nic_received_bytes_total", "counter", "bytes", "Bytes received by the NIC."),
    "sent_bytes": _metric("vm_nic_sent_bytes_total", "counter", "bytes", "Bytes sent by the NIC."),
    "received_packets": _metric("vm_nic_received_packets_total", "counter", "", "Packets received by the NIC."),
    "sent_packets": _metric("vm_nic_sent_packets_total", "counter", "", "Packets sent by the NIC."),
    "dropped": _metric("vm_nic_dropped_total", "counter", "", "Packets that the NIC dropped."),
}
HOST_COUNTERS = {"cpu_seconds": _metric("host_cpu_seconds_total", "counter", "seconds", "Busy CPU time of the host.")}
HOST_GAUGES = {
    "cpus": _metric("host_cpus", "gauge", "", "Number of CPUs of the host."),
    "memory_bytes": _metric("host_memory_bytes", "gauge", "bytes", "Memory of the host."),
    "memory_free_bytes": _metric("host_memory_free_bytes", "gauge", "bytes", "Memory of the host that is free."),
}
HOST_OWN = {
    "up": _metric("host_up", "gauge", "", "1 if the host answered the collector in time, otherwise 0."),
    "seconds": _metric("host_collect_seconds", "gauge", "seconds", "Duration of the last collection from the host."),
    "vms": _metric("host_vms", "gauge", "", "Number of VMs on the host."),
    "vms_running": _metric("host_vms_running", "gauge", "", "Number of running VMs on the host."),
    "clock": _metric(
        "host_clock_offset_seconds",
        "gauge",
        "seconds",
        "How far the host's clock is ahead of the clock of the collector's machine.",
    ),
}
POOL_GAUGES = {
    "capacity_bytes": _metric("pool_capacity_bytes", "gauge", "bytes", "Size of the storage pool."),
    "allocated_bytes": _metric("pool_allocated_bytes", "gauge", "bytes", "Used bytes of the storage pool."),
    "available_bytes": _metric("pool_available_bytes", "gauge", "bytes", "Free bytes of the storage pool."),
}
SLOW = {
    "snapshots": _metric("vm_snapshots", "gauge", "", "Number of snapshots of the VM."),
    "oldest": _metric("vm_oldest_snapshot_seconds", "gauge", "seconds", "Time of the VM's oldest snapshot, seconds since 1970."),
    "chain": _metric("vm_snapshot_chain_length", "gauge", "", "Files in the longest backing chain that snapshots made."),
    "agent": _metric(
        "vm_agent_connected", "gauge", "", "1 if the guest agent of a running VM is connected, 0 if it was connected before."
    ),
}
BACKUP = {
    "newest": _metric(
        "vm_newest_checkpoint_seconds", "gauge", "seconds", "Time of the VM's newest checkpoint, seconds since 1970."
    ),
    "broken": _metric(
        "vm_broken_checkpoints", "gauge", "", "Checkpoints of a running VM from which no incremental backup can be made."
    ),
}
USAGE = {
    "vms": _metric("usage_vms", "gauge", "", "Number of VMs of an owner, with a tag, or on a host."),
    "vcpus": _metric("usage_vcpus", "gauge", "", "vCPUs of the running VMs of an owner, with a tag, or on a host."),
    "memory": _metric("usage_memory_bytes", "gauge", "bytes", "Memory of the running VMs of an owner, with a tag, or on a host."),
    "storage": _metric("usage_storage_bytes", "gauge", "bytes", "Storage of the VMs of an owner, with a tag, or on a host."),
}
OWN = {
    "license": _metric("license_expiry_seconds", "gauge", "seconds", "Time when a host's licence expires, seconds since 1970."),
    "token": _metric(
        "token_expiry_seconds", "gauge", "seconds", "Time when a token that NovaCron sends expires, seconds since 1970."
    ),
    "certificate": _metric(
        "certificate_expiry_seconds", "gauge", "seconds", "Time when a host's TLS certificate expires, seconds since 1970."
    ),
    "run_needs_person": _metric("run_needs_person", "gauge", "", "1 for each workflow run that failed and waits for a decision."),
    "run_age": _metric("run_age_seconds", "gauge", "seconds", "Time since the start of each workflow run that has not ended."),
    "limited": _metric(
        "source_dropped_samples", "gauge", "", "Samples that a source lost in this interval: invalid or too many."
    ),
    "source_up": _metric("source_up", "gauge", "", "1 if a source of metrics answered, otherwise 0."),
}
TABLES = (
    *(VM_COUNTERS, VM_OPTIONAL_COUNTERS, VM_GAUGES, VM_STATES, VM_AUTOSTART, DISK_COUNTERS, NIC_COUNTERS),
    *(HOST_COUNTERS, HOST_GAUGES, HOST_OWN, POOL_GAUGES, SLOW, BACKUP, USAGE, OWN),
)


def definitions() -> dict[str, MetricDefinition]:
    """Return all built-in metrics by name.

    Example:
        >>> definitions()["novacron_vm_cpu_seconds_total"].unit
        'seconds'
    """
    return {one.name: one for table in TABLES for one in table.values()}


def kind_of(metric: str) -> str:
    """Return the kind of object that has a metric: vm, host, pool, or custom.

    Example:
        >>> kind_of("novacron_vm_running"), kind_of("novacron_vm_snapshots"), kind_of("myapp_queue_length")
        ('vm', 'custom', 'custom')
    """
    if any(metric == one.name for table in (SLOW, BACKUP, OWN) for one in table.values()):
        return "custom"
    return next((kind for kind in ("vm", "host", "pool") if metric.startswith(f"novacron_{kind}_")), "custom")


__all__ = ["definitions", "kind_of"]
