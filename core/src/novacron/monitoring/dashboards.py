"""Dashboards for Grafana that show the exporter's metrics."""

from __future__ import annotations

from typing import Any

HOSTS = (
    ("Hosts that do not answer", "novacron_host_up == 0", "short"),
    ("CPU of hosts", "rate(novacron_host_cpu_seconds_total[5m]) / novacron_host_cpus", "percentunit"),
    ("Memory of hosts", "1 - novacron_host_memory_free_bytes / novacron_host_memory_bytes", "percentunit"),
    ("Running VMs by host", "novacron_host_vms_running", "short"),
    ("Storage pools", "novacron_pool_allocated_bytes / novacron_pool_capacity_bytes", "percentunit"),
    ("Free bytes of storage pools", "novacron_pool_available_bytes", "bytes"),
    ("Duration of the collection", "novacron_host_collect_seconds", "s"),
)
VMS = (
    ("Busy CPUs", 'rate(novacron_vm_cpu_seconds_total{name=~"$vm"}[5m])', "short"),
    ("Used memory", 'novacron_vm_memory_used_bytes{name=~"$vm"}', "bytes"),
    ("Disk reads", 'rate(novacron_vm_disk_read_bytes_total{name=~"$vm"}[5m])', "Bps"),
    ("Disk writes", 'rate(novacron_vm_disk_written_bytes_total{name=~"$vm"}[5m])', "Bps"),
    (
        "Duration of a read",
        'rate(novacron_vm_disk_read_seconds_total{name=~"$vm"}[5m]) / rate(novacron_vm_disk_reads_total{name=~"$vm"}[5m])',
        "s",
    ),
    ("Received", 'rate(novacron_vm_nic_received_bytes_total{name=~"$vm"}[5m])', "Bps"),
    ("Sent", 'rate(novacron_vm_nic_sent_bytes_total{name=~"$vm"}[5m])', "Bps"),
    ("Dropped packets", 'rate(novacron_vm_nic_dropped_total{name=~"$vm"}[5m])', "pps"),
)
ON_TIME_RANGE = 2
"""Grafana reads the names of VMs again when the time range changes."""
DASHBOARDS = {"hosts": HOSTS, "vms": VMS}
"""Title, expression and unit of each panel, by dashboard."""


def dashboard(name: str) -> dict[str, Any]:
    """Return a dashboard as Grafana imports it.

    Args:
        name: "hosts" or "vms".

    Example:
        >>> dashboard("hosts")["panels"][0]["title"]
        'Hosts that do not answer'
    """
    source = {"type": "prometheus", "uid": "${datasource}"}
    panels = [
        {
            "id": number + 1,
            "type": "timeseries",
            "title": title,
            "datasource": source,
            "gridPos": {"h": 8, "w": 12, "x": 12 * (number % 2), "y": 8 * (number // 2)},
            "fieldConfig": {
                "defaults": {"unit": unit, "min": 0} | ({"max": 1} if unit == "percentunit" else {}),
                "overrides": [],
            },
            "targets": [{"refId": "A", "expr": expression, "legendFormat": _legend(expression), "datasource": source}],
        }
        for number, (title, expression, unit) in enumerate(DASHBOARDS[name])
    ]
    variables: list[dict[str, Any]] = [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}
    ]
    if name == "vms":
        query = "label_values(novacron_vm_running, name)"
        every = {"allValue": ".*", "current": {"text": "All", "value": "$__all"}, "includeAll": True}
        variables.append(
            {"name": "vm", "label": "VM", "type": "query", "query": query, "datasource": source, "multi": True} | every
        )
        variables[-1]["refresh"] = ON_TIME_RANGE
    return {
        "uid": f"novacron-{name}",
        "title": f"NovaCron {name}",
        "schemaVersion": 39,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "1m",
        "templating": {"list": variables},
        "panels": panels,
    }


def _legend(expression: str) -> str:
    """Return what Grafana calls each curve: without it, the labels of the scrape are shown too.

    Example:
        >>> _legend("novacron_vm_disk_reads_total")
        '{{name}} {{disk}}'
    """
    kinds = {"novacron_vm_disk": ("name", "disk"), "novacron_vm_nic": ("name", "nic"), "novacron_pool": ("host", "pool")}
    found = next((labels for start, labels in kinds.items() if start in expression), None)
    return " ".join(f"{{{{{label}}}}}" for label in found or (("name",) if "novacron_vm" in expression else ("host",)))


__all__ = ["DASHBOARDS", "dashboard"]
