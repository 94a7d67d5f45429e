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
    _rule(
        "HostUnreachable",
        "novacron_host_up == 0",
        "critical",
        "{{ $labels.host }} does not answer",
        "Check the machine, its network and its daemon: novacron host ping.",
        **{"for": "2m"},
    ),
    _rule(
        "HostClockWrong",
        "abs(novacron_host_clock_offset_seconds) > 5",
        "warning",
        "The clock of {{ $labels.host }} is {{ $value | humanizeDuration }} away from the clock of the collector",
        "Check its time service. If all hosts are reported, the clock of the machine that collects is wrong.",
        **{"for": "10m", "clear_threshold": 2},
    ),
    _rule(
        "HostCPUHigh",
        f"{CPU} > 0.9",
        "critical",
        "CPUs of {{ $labels.host }}: {{ $value | humanizePercentage }} busy",
        "Migrate VMs to another host, or limit the busiest ones.",
        **{"for": "5m", "clear_threshold": 0.8},
    ),
    _rule(
        "HostCPUHigh",
        f"{CPU} > 0.75",
        "warning",
        "CPUs of {{ $labels.host }}: {{ $value | humanizePercentage }} busy",
        "Plan to migrate VMs to another host.",
        **{"for": "5m", "clear_threshold": 0.7},
    ),
    _rule(
        "HostMemoryHigh",
        f"{MEMORY} > 0.95",
        "critical",
        "Memory of {{ $labels.host }}: {{ $value | humanizePercentage }} used",
        "Migrate VMs to another host before the kernel ends one.",
        **{"for": "5m", "clear_threshold": 0.92},
    ),
    _rule(
        "HostMemoryHigh",
        f"{MEMORY} > 0.9",
        "warning",
        "Memory of {{ $labels.host }}: {{ $value | humanizePercentage }} used",
        "Plan to migrate VMs to another host.",
        **{"for": "5m", "clear_threshold": 0.87},
    ),
    _rule(
        "PoolFilling",
        f"{POOL} > 0.85",
        "critical",
        f"{FULL}: {{{{ $value | humanizePercentage }}}} full",
        "Delete old snapshots and volumes, or grow the pool. VMs pause when it is full.",
        **{"for": "5m", "clear_threshold": 0.83},
    ),
    _rule(
        "PoolFilling",
        f"{POOL} > 0.75",
        "warning",
        f"{FULL}: {{{{ $value | humanizePercentage }}}} full",
        "Plan to grow the pool, or move disks to another one.",
        **{"for": "5m", "clear_threshold": 0.73},
    ),
    _rule(
        "PoolFullSoon",
        "predict_linear(novacron_pool_available_bytes[6h], 86400) < 0 and "
        "novacron_pool_available_bytes / novacron_pool_capacity_bytes < 0.5 and "
        "novacron_pool_available_bytes offset 3h > novacron_pool_available_bytes",
        "warning",
        "Pool {{ $labels.pool }} of {{ $labels.host }} will be full within 24 h",
        "Look for the VM that writes: novacron vm rates. Grow the pool, or delete snapshots.",
        **{"for": "30m"},
    ),
    _rule(
        "VMCrashed",
        "novacron_vm_crashed == 1",
        "critical",
        "{{ $labels.name }} crashed",
        "Look at its console and the log of its host, then start it.",
        no_data="resolve",
    ),
    _rule(
        "VMPausedOnIOError",
        "novacron_vm_io_error == 1",
        "critical",
        "{{ $labels.name }} is paused on an I/O error",
        "Its storage is full or failed. Make room or repair it, then resume the VM.",
    ),
    _rule(
        "VMStoppedThoughAutostart",
        "novacron_vm_stopped == 1 and novacron_vm_autostart == 1",
        "warning",
        "{{ $labels.name }} is stopped, but is set to start with its host",
        "Start it with novacron vm start. If it is to stay off, turn autostart off.",
        **{"for": "10m"},
    ),
    _rule(
        "VMJobStuck",
        "novacron_vm_changing == 1",
        "warning",
        "{{ $labels.name }} has been migrating or shutting down for over an hour",
        "Look at its job and at its console. Cancel the migration, or stop the VM by force.",
        **{"for": "1h"},
    ),
    _rule(
        "GuestAgentGone",
        "novacron_vm_agent_connected == 0",
        "warning",
        "The guest agent of {{ $labels.name }} no longer answers",
        "Restart the agent in the guest. Without it, snapshots are not quiesced and a shutdown may be ignored.",
        **{"for": "20m", "no_data": "resolve"},
    ),
    _rule(
        "VMCPUReady",
        "rate(novacron_vm_cpu_ready_seconds_total[5m]) / novacron_vm_vcpus > 0.1",
        "warning",
        "The vCPUs of {{ $labels.name }} wait {{ $value | humanizePercentage }} of the time for a CPU of the host",
        "The host has too few CPUs for its VMs. Migrate some of them, or give this VM fewer vCPUs.",
        **{"for": "15m", "clear_threshold": 0.05, "no_data": "resolve"},
    ),
    _rule(
        "VMCPUHigh",
        "rate(novacron_vm_cpu_seconds_total[5m]) / novacron_vm_vcpus > 0.95",
        "warning",
        "CPUs of {{ $labels.name }}: {{ $value | humanizePercentage }} busy",
        "Look into the guest, or add vCPUs.",
        **{"for": "30m", "clear_threshold": 0.85, "no_data": "resolve"},
    ),
    _rule(
        "VMMemoryLow",
        "novacron_vm_memory_usable_bytes / novacron_vm_memory_guest_bytes < 0.05",
        "warning",
        "{{ $labels.name }} has {{ $value | humanizePercentage }} of its memory left",
        "Look into the guest, or add memory.",
        **{"for": "10m", "clear_threshold": 0.1, "no_data": "resolve"},
    ),
    _rule(
        "VMBallooned",
        "novacron_vm_memory_usable_bytes / novacron_vm_memory_guest_bytes < 0.1 and "
        "novacron_vm_memory_bytes / novacron_vm_memory_maximum_bytes < 0.95",
        "warning",
        "{{ $labels.name }} has {{ $value | humanizePercentage }} of its memory left, and its balloon holds some",
        "The balloon leaves the guest too little memory. Give it more: novacron vm update.",
        **{"for": "10m", "no_data": "resolve"},
    ),
    _rule(
        "VMSwapping",
        "rate(novacron_vm_swapped_in_bytes_total[5m]) + rate(novacron_vm_swapped_out_bytes_total[5m]) > 1048576",
        "warning",
        "The guest {{ $labels.name }} swaps {{ $value | humanize1024 }}B a second",
        "Its memory is too small. Look into the guest, or add memory.",
        **{"for": "15m", "clear_threshold": 262144, "no_data": "resolve"},
    ),
    _rule(
        "VMDiskLatencyHigh",
        f"rate(novacron_vm_disk_read_seconds_total[5m]) / {READS} > 0.05 and {READS} > 1",
        "warning",
        "Reads of {{ $labels.disk }} of {{ $labels.name }} take {{ $value | humanizeDuration }}",
        "The storage is overloaded or failing. Look for the busiest VM: novacron vm rates.",
        **{"for": "10m", "labels": {"severity": "warning", "direction": "read"}},
    ),
    _rule(
        "VMDiskLatencyHigh",
        f"rate(novacron_vm_disk_write_seconds_total[5m]) / {WRITES} > 0.075 and {WRITES} > 1",
        "warning",
        "Writes of {{ $labels.disk }} of {{ $labels.name }} take {{ $value | humanizeDuration }}",
        "The storage is overloaded or failing. Look for the busiest VM: novacron vm rates.",
        **{"for": "10m", "labels": {"severity": "warning", "direction": "write"}},
    ),
    _rule(
        "VMPacketsDropped",
        "rate(novacron_vm_nic_dropped_total[5m]) > 10",
        "warning",
        "NIC {{ $labels.nic }} of {{ $labels.name }} drops {{ $value | humanize }} packets a second",
        "The guest is too slow for its traffic, or its queue is too short.",
        **{"for": "10m", "clear_threshold": 5, "no_data": "resolve"},
    ),
    _rule(
        "SnapshotOld",
        "time() - novacron_vm_oldest_snapshot_seconds > 259200",
        "warning",
        "{{ $labels.name }} has a snapshot that is {{ $value | humanizeDuration }} old",
        "Old snapshots grow and slow the disks down. Delete it if it is no longer needed: novacron snapshot list.",
        no_data="resolve",
    ),
    _rule(
        "SnapshotChainLong",
        "novacron_vm_snapshot_chain_length > 5",
        "warning",
        "{{ $labels.name }} has a chain of {{ $value }} snapshots",
        "Each link makes reads slower. Delete old snapshots.",
    ),
    _rule(
        "BackupLate",
        "time() - novacron_vm_newest_checkpoint_seconds > 129600",
        "warning",
        "The last backup of {{ $labels.name }} began {{ $value | humanizeDuration }} ago",
        "Look at the log of the backup program. novacron snapshot checkpoints shows what it made.",
        no_data="resolve",
    ),
    _rule(
        "CheckpointBroken",
        "novacron_vm_broken_checkpoints > 0",
        "warning",
        "{{ $value }} checkpoints of {{ $labels.name }} are broken, so that no incremental backup can be made",
        "Delete them (virsh checkpoint-delete --metadata) and make a full backup.",
        no_data="resolve",
    ),
    _rule(
        "RunNeedsPerson",
        "novacron_run_needs_person == 1",
        "warning",
        "The run {{ $labels.run }} failed and needs a decision",
        "novacron run show says what is left. Then resume it or undo it.",
        no_data="resolve",
    ),
    _rule(
        "RunStuck",
        "novacron_run_age_seconds > 21600",
        "warning",
        "The run {{ $labels.run }} has not ended for {{ $value | humanizeDuration }}",
        "novacron run show says which step it is in.",
        no_data="resolve",
    ),
    _rule(
        "CertificateExpiring",
        "novacron_certificate_expiry_seconds - time() < 1209600",
        "warning",
        "The TLS certificate of {{ $labels.host }} expires in {{ $value | humanizeDuration }}",
        "Renew it and restart the daemon.",
    ),
    _rule(
        "LicenseExpiring",
        "novacron_license_expiry_seconds - time() < 1209600",
        "warning",
        "The licence {{ $labels.license }} of {{ $labels.host }} expires in {{ $value | humanizeDuration }}",
        "Renew it. Hosts with an expired licence leave their vCenter, and their VMs can't be started.",
        no_data="resolve",
    ),
    _rule(
        "TokenExpiring",
        "novacron_token_expiry_seconds - time() < 1209600",
        "warning",
        "The token {{ $labels.token }} expires in {{ $value | humanizeDuration }}",
        "Create a new one and store it as the secret of that name. Without it, alerts and metrics are no longer delivered.",
        no_data="resolve",
    ),
    _rule(
        "MetricSourceDown",
        "novacron_source_up == 0",
        "warning",
        "The metrics of {{ $labels.source }} can't be read",
        "Run its command by hand, or open its address.",
        **{"for": "5m"},
    ),
    _rule(
        "MetricSourceTooLarge",
        "novacron_source_dropped_samples > 0",
        "warning",
        "The source {{ $labels.source }} lost {{ $value }} samples",
        "It has invalid samples, or more than 10,000 series.",
        **{"for": "5m"},
    ),
)
INHIBITIONS = (
    ("severity=critical", "severity=warning", ("alertname", "host", "vm", "pool")),
    ("alertname=HostUnreachable", "alertname!=HostUnreachable", ("host",)),
)
"""Source, target and the labels that are equal in both."""


def default_configuration() -> Configuration:
    """Return the default rules and inhibitions.

    Example:
        >>> sorted({rule.alert for rule in default_configuration().rules})[:2]
        ['BackupLate', 'CertificateExpiring']
    """
    inhibitions = tuple(
        Inhibition(source=(matcher(source),), target=(matcher(target), *_has(equal)), equal=equal)
        for source, target, equal in INHIBITIONS
    )
    return Configuration(rules=tuple(map(Rule.of, RULES)), inhibitions=inhibitions)


def _has(labels: tuple[str, ...]) -> tuple[Any, ...]:
    return (matcher("host!="),) if labels == ("host",) else ()


__all__ = ["RULES", "default_configuration"]
