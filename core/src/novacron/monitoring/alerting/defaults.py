"""The rules that hold without any configuration. Each says what to do."""

from __future__ import annotations

from typing import Any

from novacron.monitoring.alerting.configuration import Configuration, Inhibition, matcher
from novacron.monitoring.alerting.rules import Rule


def _rule(alert: str, expr: str, severity: str, summary: str, description: str, **more: Any) -> dict[str, Any]:
    texts = {"summary": summary, "description": description}
    return {"alert": alert, "expr": expr, "labels": {"severity": severity}, "annotations": texts} | more


CPU = "rate(novacron_host_cpu_seconds_total[5m]) / novacron_host_cpus"
MEMORY = "1 - novacron_host_memory_free_bytes / novacron_host_memory_bytes"
POOL = "novacron_pool_allocated_bytes / novacron_pool_capacity_bytes"
FULL = "Pool {{ $labels.pool }} of {{ $labels.host }}"
READS = "rate(novacron_vm_disk_reads_total[5m])"
WRITES = "rate(novacron_vm_disk_writes_total[5m])"

RULES: tuple[dict[str, Any], ...] = (
    _rule("HostUnreachable", "novacron_host_up == 0", "critical", "{{ $labels.host }} does not answer",
          "Check the machine, its network and its daemon: novacron host ping.", **{"for": "2m"}),
    _rule("HostCPUHigh", f"{CPU} > 0.9", "critical", "CPUs of {{ $labels.host }}: {{ $value | humanizePercentage }} busy",
          "Migrate VMs to another host, or limit the busiest ones.", **{"for": "5m", "clear_threshold": 0.8}),
    _rule("HostCPUHigh", f"{CPU} > 0.75", "warning", "CPUs of {{ $labels.host }}: {{ $value | humanizePercentage }} busy",
          "Plan to migrate VMs to another host.", **{"for": "5m", "clear_threshold": 0.7}),
    _rule("HostMemoryHigh", f"{MEMORY} > 0.95", "critical", "Memory of {{ $labels.host }}: {{ $value | humanizePercentage }} used",
          "Migrate VMs to another host before the kernel ends one.", **{"for": "5m", "clear_threshold": 0.92}),
    _rule("HostMemoryHigh", f"{MEMORY} > 0.9", "warning", "Memory of {{ $labels.host }}: {{ $value | humanizePercentage }} used",
          "Plan to migrate VMs to another host.", **{"for": "5m", "clear_threshold": 0.87}),
    _rule("PoolFilling", f"{POOL} > 0.85", "critical", f"{FULL}: {{{{ $value | humanizePercentage }}}} full",
          "Delete old snapshots and volumes, or grow the pool. VMs pause when it is full.", **{"for": "5m", "clear_threshold": 0.83}),
    _rule("PoolFilling", f"{POOL} > 0.75", "warning", f"{FULL}: {{{{ $value | humanizePercentage }}}} full",
          "Plan to grow the pool, or move disks to another one.", **{"for": "5m", "clear_threshold": 0.73}),
    _rule("PoolFullSoon",
          "predict_linear(novacron_pool_available_bytes[6h], 86400) < 0 and "
          "novacron_pool_available_bytes / novacron_pool_capacity_bytes < 0.5 and "
          "novacron_pool_available_bytes offset 3h > novacron_pool_available_bytes", "warning",
          "Pool {{ $labels.pool }} of {{ $labels.host }} will be full within 24 h",
          "Look for the VM that writes: novacron vm rates. Grow the pool, or delete snapshots.", **{"for": "30m"}),
    _rule("VMCrashed", "novacron_vm_crashed == 1", "critical", "{{ $labels.name }} crashed",
          "Look at its console and the log of its host, then start it.", no_data="resolve"),
    _rule("VMPausedOnIOError", "novacron_vm_io_error == 1", "critical", "{{ $labels.name }} is paused on an I/O error",
          "Its storage is full or failed. Make room or repair it, then resume the VM."),
    _rule("VMCPUHigh", "rate(novacron_vm_cpu_seconds_total[5m]) / novacron_vm_vcpus > 0.95", "warning",
          "CPUs of {{ $labels.name }}: {{ $value | humanizePercentage }} busy", "Look into the guest, or add vCPUs.",
          **{"for": "30m", "clear_threshold": 0.85, "no_data": "resolve"}),
    _rule("VMMemoryLow", "novacron_vm_memory_usable_bytes / novacron_vm_memory_guest_bytes < 0.05", "warning",
          "{{ $labels.name }} has {{ $value | humanizePercentage }} of its memory left", "Look into the guest, or add memory.",
          **{"for": "10m", "clear_threshold": 0.1, "no_data": "resolve"}),
    _rule("VMDiskLatencyHigh", f"rate(novacron_vm_disk_read_seconds_total[5m]) / {READS} > 0.05 and {READS} > 1", "warning",
          "Reads of {{ $labels.disk }} of {{ $labels.name }} take {{ $value | humanizeDuration }}",
          "The storage is overloaded or failing. Look for the busiest VM: novacron vm rates.", **{"for": "10m"}),
    _rule("VMDiskLatencyHigh", f"rate(novacron_vm_disk_write_seconds_total[5m]) / {WRITES} > 0.075 and {WRITES} > 1", "warning",
          "Writes of {{ $labels.disk }} of {{ $labels.name }} take {{ $value | humanizeDuration }}",
          "The storage is overloaded or failing. Look for the busiest VM: novacron vm rates.",
          **{"for": "10m", "labels": {"severity": "warning", "direction": "write"}}),
    _rule("VMPacketsDropped", "rate(novacron_vm_nic_dropped_total[5m]) > 10", "warning",
          "NIC {{ $labels.nic }} of {{ $labels.name }} drops {{ $value | humanize }} packets a second",
          "The guest is too slow for its traffic, or its queue is too short.",
          **{"for": "10m", "clear_threshold": 5, "no_data": "resolve"}),
    _rule("SnapshotOld", "time() - novacron_vm_oldest_snapshot_seconds > 259200", "warning",
          "{{ $labels.name }} has a snapshot that is {{ $value | humanizeDuration }} old",
          "Old snapshots grow and slow the disks down. Delete it if it is no longer needed: novacron snapshot list."),
    _rule("SnapshotChainLong", "novacron_vm_snapshot_chain_length > 5", "warning",
          "{{ $labels.name }} has a chain of {{ $value }} snapshots", "Each link makes reads slower. Delete old snapshots."),
    _rule("RunNeedsPerson", "novacron_run_needs_person == 1", "warning", "The run {{ $labels.run }} failed and needs a decision",
          "novacron run show says what is left. Then resume it or undo it.", no_data="resolve"),
    _rule("RunStuck", "novacron_run_age_seconds > 21600", "warning",
          "The run {{ $labels.run }} has not ended for {{ $value | humanizeDuration }}",
          "novacron run show says which step it is in.", no_data="resolve"),
    _rule("CertificateExpiring", "novacron_certificate_expiry_seconds - time() < 1209600", "warning",
          "The TLS certificate of {{ $labels.host }} expires in {{ $value | humanizeDuration }}", "Renew it and restart the daemon."),
    _rule("MetricSourceDown", "novacron_source_up == 0", "warning", "The metrics of {{ $labels.source }} can't be read",
          "Run its command by hand, or open its address.", **{"for": "5m"}),
    _rule("MetricSourceTooLarge", "novacron_source_dropped_samples > 0", "warning",
          "The source {{ $labels.source }} lost {{ $value }} samples",
          "It has invalid samples, or more than 10,000 series.", **{"for": "5m"}),
)  # fmt: skip
INHIBITIONS = (
    ("severity=critical", "severity=warning", ("alertname", "host", "vm", "pool")),
    ("alertname=HostUnreachable", "alertname!=HostUnreachable", ("host",)),
)
"""Source, target and the labels that are equal in both."""


def default_configuration() -> Configuration:
    """Return the default rules and inhibitions.

    Example:
        >>> sorted({rule.alert for rule in default_configuration().rules})[:2]
        ['CertificateExpiring', 'HostCPUHigh']
    """
    inhibitions = tuple(
        Inhibition(source=(matcher(source),), target=(matcher(target), *_has(equal)), equal=equal)
        for source, target, equal in INHIBITIONS
    )
    return Configuration(rules=tuple(map(Rule.of, RULES)), inhibitions=inhibitions)


def _has(labels: tuple[str, ...]) -> tuple[Any, ...]:
    return (matcher("host!="),) if labels == ("host",) else ()


__all__ = ["RULES", "default_configuration"]
