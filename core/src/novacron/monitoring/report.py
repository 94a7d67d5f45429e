"""A report of the fleet as one page of HTML that needs no other file: capacity, trends, alerts, waste."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

from novacron.plotting import svg
from novacron.records.forecasts import Forecast
from novacron.records.series import Series
from novacron.text import printable_line
from novacron.units import format_size

if TYPE_CHECKING:
    from novacron.monitoring.alerting.alerts import FleetAlerts
    from novacron.monitoring.metrics import FleetMetrics

IDLE = 0.02
"""Busy CPUs below which a VM counts as idle."""
WIDTH = 960
"""Width of the charts in pixels."""
STYLE = """body{font:14px/1.5 sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3em .8em;border-bottom:1px solid #ddd}
h1{font-size:1.6em}h2{font-size:1.2em;margin-top:2em}.critical{color:#b91c1c;font-weight:bold}.warning{color:#b45309}svg{max-width:100%;height:auto;margin-top:1em}"""


def html(metrics: FleetMetrics, alerts: FleetAlerts, *, since: str = "7d") -> str:
    """Return the report.

    Args:
        metrics: the fleet's metrics.
        alerts: the fleet's alerts.
        since: the period that it covers.
    """
    now = datetime.now(UTC)
    parts = [
        f"<h1>NovaCron report</h1><p>{now:%Y-%m-%d %H:%M} UTC, the last {escape(since)}</p>",
        _alerts(alerts),
        _hosts(metrics, since),
        _pools(metrics, since),
        _waste(metrics, since),
    ]
    body = "".join(parts)
    head = f'<meta charset="utf-8"><title>NovaCron report</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def _alerts(alerts: FleetAlerts) -> str:
    rows = [
        (
            alert.rule,
            alert.labels.get("severity", ""),
            f"{datetime.fromtimestamp(alert.fired_at or alert.active_since, UTC):%m-%d %H:%M}",
            alert.annotations.get("summary", ""),
            alert.annotations.get("description", ""),
        )
        for alert in alerts.list("firing")
    ]
    return _section("Alerts", ("alert", "severity", "since", "what", "what to do"), rows, "No alert fires.")


def _hosts(metrics: FleetMetrics, since: str) -> str:
    busy = {one.labels["host"]: one for one in metrics.query("novacron_host_cpu_seconds_total", since=since, step="1h")}
    latest = {
        name: _latest(metrics, f"novacron_host_{name}") for name in ("cpus", "memory_bytes", "memory_free_bytes", "vms", "up")
    }
    rows = []
    for host, up in sorted(latest["up"].items()):
        cpus, memory = latest["cpus"].get(host, 0.0), latest["memory_bytes"].get(host, 0.0)
        used = 1 - latest["memory_free_bytes"].get(host, 0.0) / memory if memory else None
        cpu = _mean(busy.get(host), cpus)
        rows.append(
            (
                host,
                "up" if up else "down",
                _percent(cpu),
                _percent(used),
                format_size(int(memory)),
                f"{latest['vms'].get(host, 0):g}",
            )
        )
    chart = svg(list(busy.values()), "Busy CPUs by host", width=WIDTH) if busy else ""
    heads = ("host", "status", "CPU, mean", "memory used", "memory", "VMs")
    return _section("Hosts", heads, rows, "No host was measured in this time.") + chart


def _pools(metrics: FleetMetrics, since: str) -> str:
    capacity = {_pool(one): one.last or 0.0 for one in metrics.query("novacron_pool_capacity_bytes", since="1h")}
    used = metrics.query("novacron_pool_allocated_bytes", since=since, step="1h")
    rows = []
    for one in used:
        size = capacity.get(_pool(one), 0.0)
        full = (
            metrics.forecast("novacron_pool_allocated_bytes", labels=one.labels, since=since, horizon="90d", level=size)
            if size
            else []
        )
        share = (one.last or 0.0) / size if size else None
        rows.append(
            (one.labels.get("host", ""), one.labels.get("pool", ""), format_size(int(size)), _percent(share), _when(full))
        )
    heads = ("host", "pool", "size", "used", "full in")
    return _section("Storage pools", heads, rows, "No pool was measured in this time.") + svg(
        used, "Used space by pool", width=WIDTH
    )


def _waste(metrics: FleetMetrics, since: str) -> str:
    rows = []
    for one in metrics.query("novacron_vm_cpu_seconds_total", since=since, step="1h"):
        highest = max((value for _, value in one.points), default=None)
        if highest is not None and len(one) >= 24 and highest < IDLE:
            rows.append((one.labels.get("name", ""), one.labels.get("vm", ""), f"{highest:.3f}"))
    return _section(
        "Idle VMs",
        ("VM", "id", "most CPUs busy in an hour"),
        rows,
        "No VM was idle for the whole time (at least a day is needed).",
    )


def _latest(metrics: FleetMetrics, metric: str) -> dict[str, float]:
    return {one.labels["host"]: one.last for one in metrics.query(metric, since="1h") if one.last is not None}


def _pool(one: Series) -> tuple[str, str]:
    return one.labels.get("host", ""), one.labels.get("pool", "")


def _mean(series: Series | None, cpus: float) -> float | None:
    if series is None or not series.points or not cpus:
        return None
    return sum(value for _, value in series.points) / len(series) / cpus


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.0f} %"


def _when(found: Sequence[Forecast]) -> str:
    one = next(iter(found), None)
    if one is None or one.problem or not one.points:
        return one.problem or "-" if one is not None else "-"
    if one.full_at is None:
        return "more than 90 days"
    start = one.points[0].at
    days = [None if at is None else (at - start) / 86400 for at in (one.full_at, one.full_earliest, one.full_latest)]
    expected, earliest = (f"{day or 0:.0f}" for day in days[:2])
    latest = "90+" if days[2] is None else f"{days[2]:.0f}"
    return f"{expected} days" if earliest == latest else f"{expected} days ({earliest} to {latest})"


def _section(title: str, heads: Iterable[str], rows: Sequence[Sequence[str]], empty: str) -> str:
    if not rows:
        return f"<h2>{escape(title)}</h2><p>{escape(empty)}</p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows)
    return f"<h2>{escape(title)}</h2><table><tr>{head}</tr>{body}</table>"


def _cell(value: str) -> str:
    kind = f' class="{value}"' if value in ("critical", "warning") else ""
    return f"<td{kind}>{escape(printable_line(str(value)))}</td>"


__all__ = ["html"]
