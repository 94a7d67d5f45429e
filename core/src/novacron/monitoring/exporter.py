"""What the HTTP server of `novacron monitor serve` answers. Nothing is measured while a request is answered."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from novacron.monitoring.exposition import OPENMETRICS, PLAIN, ExpositionWriter
from novacron.monitoring.layouts import Round
from novacron.records.series import MetricDefinition

STALE = 5
"""After how many intervals without a new round its values are no longer offered, so that old values are not taken for current ones."""


class Reply(NamedTuple):
    """An answer to a request: status, type and content."""

    status: int
    type: str
    body: bytes


class Target(NamedTuple):
    """A guest or host for Prometheus' service discovery."""

    address: str
    labels: Mapping[str, str]


class Exporter:
    """Keeps the last round as text and answers requests with it.

    Args:
        definitions: the known metrics.
        interval: seconds between two rounds.
        clock: returns seconds; a test gives its own.
    """

    def __init__(
        self, definitions: Mapping[str, MetricDefinition], *, interval: float = 60.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._writer, self._interval, self._clock = ExpositionWriter(definitions), interval, clock
        self._guard = threading.Lock()
        self._texts: dict[str, bytes] = {}
        self._round: Round | None = None
        self._came = 0.0
        self._rounds = 0
        self.guests: Sequence[Target] = ()
        self.hosts: Sequence[Target] = ()

    def publish(self, made: Round) -> None:
        """Offer a round from now on. Its text for Prometheus is written now, so that no request waits for it."""
        text = self._writer.write(made)
        with self._guard:
            self._round, self._came, self._texts = made, self._clock(), {OPENMETRICS: text}
            self._rounds += 1

    def answer(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        """Return the answer to a GET request.

        Args:
            path: path and query of the request.
            headers: the request's headers, by name in lower case.
        """
        place = urlsplit(path)
        if place.path == "/metrics":
            return self._metrics(headers or {})
        if place.path == "/-/healthy":
            return Reply(200, "text/plain", b"healthy\n")
        if place.path == "/-/ready":
            return Reply(200, "text/plain", b"ready\n") if self.ready else Reply(503, "text/plain", b"no current round\n")
        if place.path in ("/sd/guests", "/sd/hosts"):
            return self._discovery(place.path, parse_qs(place.query))
        if place.path == "/":
            return Reply(
                200, "text/plain", b"NovaCron exporter\n/metrics /sd/guests?port=9100 /sd/hosts?port=9100 /-/healthy /-/ready\n"
            )
        return Reply(404, "text/plain", b"not found\n")

    @property
    def ready(self) -> bool:
        """Whether there is a round that is not too old."""
        return self._round is not None and self._clock() - self._came <= STALE * self._interval

    def _metrics(self, headers: Mapping[str, str]) -> Reply:
        kind = OPENMETRICS if "openmetrics" in headers.get("accept", "") else PLAIN
        return Reply(200, kind, self._text(kind))

    def _text(self, kind: str) -> bytes:
        with self._guard:
            made = self._round
            if made is None or not self.ready:
                return self._own(None, kind)
            text = self._texts.get(kind)
            if text is None:
                text = self._texts[kind] = ExpositionWriter(self._writer.definitions).write(made, openmetrics=kind == OPENMETRICS)
        return self._with_own(text, made, kind)

    def _with_own(self, text: bytes, made: Round, kind: str) -> bytes:
        return text.removesuffix(b"# EOF\n") + self._own(made, kind)

    def _own(self, made: Round | None, kind: str) -> bytes:
        """Return the metrics about the exporter itself, which end the text."""
        lines = [f"# TYPE novacron_monitor_rounds{'' if kind == OPENMETRICS else '_total'} counter\n"]
        lines.append(f"novacron_monitor_rounds_total {self._rounds}\n")
        if made is not None:
            lines.append(
                f"# TYPE novacron_monitor_age_seconds gauge\nnovacron_monitor_age_seconds {self._clock() - self._came:.3f}\n"
            )
            lines.append(f"# TYPE novacron_monitor_round_seconds gauge\nnovacron_monitor_round_seconds {made.seconds:.3f}\n")
            lines.append(f"# TYPE novacron_monitor_problems gauge\nnovacron_monitor_problems {len(made.problems)}\n")
        return ("".join(lines) + ("# EOF\n" if kind == OPENMETRICS else "")).encode()

    def _discovery(self, path: str, query: Mapping[str, Sequence[str]]) -> Reply:
        port = query.get("port", ["9100"])[0]
        if not port.isdigit() or not 0 < int(port) < 65536:
            return Reply(400, "text/plain", b"port: a number from 1 to 65535\n")
        targets = self.guests if path == "/sd/guests" else self.hosts
        found: list[dict[str, Any]] = [
            {"targets": [_with_port(one.address, port)], "labels": {f"__meta_novacron_{k}": v for k, v in one.labels.items()}}
            for one in targets
        ]
        return Reply(200, "application/json", json.dumps(found).encode())


def _with_port(address: str, port: str) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


__all__ = ["Exporter", "Reply", "Target"]
