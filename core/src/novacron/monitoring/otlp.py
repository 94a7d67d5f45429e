"""Writes each round to a receiver of OpenTelemetry metrics (OTLP over HTTP), such as the OpenTelemetry Collector.

The messages are sent as JSON, which every OTLP/HTTP receiver of the specification accepts, so that no further package is needed.
Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from novacron.monitoring import builtin
from novacron.monitoring.layouts import is_counter
from novacron.monitoring.remote import QueuedWriter, Rejected
from novacron.records.series import Sample

CUMULATIVE = 2
"""The temporality of counters that never start again by themselves."""
UNITS = {"seconds": "s", "bytes": "By", "": "1"}
"""The names of units in UCUM, which OpenTelemetry uses."""


class OTLPWriter(QueuedWriter):
    """Writes each round by OTLP. `fleet.metrics.add_exporter(OTLPWriter("http://127.0.0.1:4318/v1/metrics"))` lets the collector use it.

    Counters become cumulative, monotonic sums, and gauges become gauges. Labels become attributes.

    Raises:
        InvalidSpecError: an invalid address, or one with a password.
    """

    name = "otlp"

    def write(self, samples: Sequence[Sample]) -> None:
        """Send samples, each with its time. Raises Rejected, StorageError."""
        body = json.dumps(request(samples), allow_nan=False).encode()
        answer = self._post(body, {"Content-Type": "application/json"})
        partial = _object(answer).get("partialSuccess") or {}
        if int(partial.get("rejectedDataPoints") or 0):
            raise Rejected(
                f"{self.url} rejected {partial['rejectedDataPoints']} of {len(samples)} samples: {partial.get('errorMessage', '')}",
                hint="check the receiver's log",
            )


def request(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return samples as an ExportMetricsServiceRequest. Values that are not finite are left out.

    Example:
        >>> made = request([Sample(metric="jobs_total", value=3.0, labels={"queue": "mail"}, at=60.0)])
        >>> made["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["sum"]["isMonotonic"]
        True
    """
    points: dict[str, list[dict[str, Any]]] = {}
    for sample in samples:
        if math.isfinite(sample.value):
            points.setdefault(sample.metric, []).append(
                {
                    "attributes": [_attribute(name, value) for name, value in sorted(sample.labels.items())],
                    "timeUnixNano": str(round((sample.at or 0.0) * 1e6) * 1000),
                    "asDouble": float(sample.value),
                }
            )
    scope = {"scope": {"name": "novacron"}, "metrics": [_metric(name, some) for name, some in points.items()]}
    resource = {"attributes": [_attribute("service.name", "novacron")]}
    return {"resourceMetrics": [{"resource": resource, "scopeMetrics": [scope]}]}


def _metric(name: str, points: list[dict[str, Any]]) -> dict[str, Any]:
    known = builtin.definitions().get(name)
    about = {"name": name}
    if known is not None:
        about |= {"description": known.help, "unit": UNITS.get(known.unit, known.unit)}
    if is_counter(name):
        return about | {"sum": {"aggregationTemporality": CUMULATIVE, "isMonotonic": True, "dataPoints": points}}
    return about | {"gauge": {"dataPoints": points}}


def _attribute(name: str, value: str) -> dict[str, Any]:
    return {"key": name, "value": {"stringValue": value}}


def _object(answer: bytes) -> dict[str, Any]:
    try:
        found = json.loads(answer or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


__all__ = ["OTLPWriter", "request"]
