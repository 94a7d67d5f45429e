"""Further sources of metrics: commands, HTTP endpoints, and those of plugins. Each has a limit of series."""

from __future__ import annotations

import hashlib
import json
import math
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidSpecError, NovaCronError, SpecProblem, StorageError
from novacron.monitoring import builtin
from novacron.monitoring.layouts import Labels, Layouts, Measured, SeriesKey, in_order
from novacron.monitoring.posting import fetch
from novacron.records.series import MetricDefinition, Sample
from novacron.redaction import described
from novacron.secrets import environment_without_secrets

if TYPE_CHECKING:
    from novacron.hookspecs.application import MetricSource

SERIES_LIMIT = 10_000
"""How many series one source may have. More are dropped, and `novacron_source_dropped_samples` says how many."""
LARGEST = 16 * 2**20
"""How many bytes of an endpoint's or command's answer are read."""
_LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+(\S+))?")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"\s*(?:,|$)')


def parse_exposition(text: str) -> list[Sample]:
    r"""Read samples in Prometheus' text format, which also covers OpenMetrics without exemplars. Comments are skipped.

    Raises:
        InvalidSpecError: a line is invalid; it is named.

    Example:
        >>> parse_exposition('jobs{queue="a\\"b"} 3\n')[0].labels
        {'queue': 'a"b'}
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.partition(" # ")[0].strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise _bad(number, line)
        try:
            value = float(match[3])
        except ValueError:
            raise _bad(number, line) from None
        found.append(Sample(metric=match[1], value=value, labels=_labels(match[2] or "", number)))
    return found


def _labels(text: str, number: int) -> dict[str, str]:
    labels, place = {}, 0
    while place < len(text):
        match = _LABEL.match(text, place)
        if match is None:
            raise _bad(number, text)
        labels[match[1]] = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], match[2])
        place = match.end()
    return labels


def _bad(number: int, text: str) -> InvalidSpecError:
    return InvalidSpecError(
        "not metrics in Prometheus' text format",
        problems=[SpecProblem(f"line {number}", described(text), 'a line such as up{a="b"} 1')],
    )


class EndpointSource:
    """Metrics that an HTTP endpoint offers in Prometheus' text format.

    Args:
        name: the source's name.
        url: its address, http or https.
        labels: labels to add to each series.
        timeout: seconds that the endpoint may take.
    """

    def __init__(self, name: str, url: str, labels: Mapping[str, str] | None = None, timeout: float = 10.0) -> None:
        if not url.startswith(("http://", "https://")):
            raise InvalidSpecError(
                "invalid source", problems=[SpecProblem("url", url, "an address that starts with http:// or https://")]
            )
        self.name, self._url, self._common, self._timeout = name, url, dict(labels or {}), timeout

    def definitions(self) -> Sequence[MetricDefinition]:
        """Return nothing: the endpoint's own metrics are not known before it answers."""
        return ()

    def collect(self) -> Sequence[Sample]:
        """Ask the endpoint. Raises StorageError, InvalidSpecError."""
        try:
            text = fetch(self._url, timeout=self._timeout, limit=LARGEST).decode(errors="replace")
        except OSError as error:
            raise StorageError(f"the endpoint of {self.name!r} can't be read: {error}", hint="check its address") from error
        return [one.replace(labels={**one.labels, **self._common}) for one in parse_exposition(text)]


class CommandSource:
    """Metrics that a local program prints in Prometheus' text format.

    Args:
        name: the source's name.
        command: program and arguments. No shell is involved.
        labels: labels to add to each series.
        timeout: seconds that the program may take.
    """

    def __init__(self, name: str, command: Sequence[str], labels: Mapping[str, str] | None = None, timeout: float = 10.0) -> None:
        if isinstance(command, str) or not command:
            raise InvalidSpecError(
                "invalid source", problems=[SpecProblem("command", str(command), "a list: program and arguments")]
            )
        self.name, self._command, self._common, self._timeout = name, [*command], dict(labels or {}), timeout

    def definitions(self) -> Sequence[MetricDefinition]:
        """Return nothing: the program's metrics are not known before it runs."""
        return ()

    def collect(self) -> Sequence[Sample]:
        """Run the program. Raises StorageError, InvalidSpecError."""
        try:
            done = subprocess.run(
                self._command,
                capture_output=True,
                timeout=self._timeout,
                check=True,
                stdin=subprocess.DEVNULL,
                env=environment_without_secrets(),
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise StorageError(f"the program of {self.name!r} failed: {type(error).__name__}", hint="run it by hand") from error
        text = done.stdout[:LARGEST].decode(errors="replace")
        return [one.replace(labels={**one.labels, **self._common}) for one in parse_exposition(text)]


class GuestSource:
    """Metrics that a program in a guest prints in Prometheus' text format, through the guest agent.

    Args:
        name: the source's name.
        vm: the VM's handle.
        command: program and arguments in the guest.
    """

    def __init__(self, name: str, vm: Any, command: Sequence[str]) -> None:
        self.name, self._vm, self._command = name, vm, [*command]

    def definitions(self) -> Sequence[MetricDefinition]:
        """Return nothing: the program's metrics are not known before it runs."""
        return ()

    def collect(self) -> Sequence[Sample]:
        """Run the program in the guest. Raises NovaCronError."""
        done = self._vm.guest.exec(*self._command)
        output = done.stdout if isinstance(done.stdout, str) else done.stdout.decode(errors="replace")
        common = {"vm": self._vm.id, "name": self._vm.name}
        return [one.replace(labels={**one.labels, **common}) for one in parse_exposition(output)]


def measured_source(
    source: MetricSource, samples: Iterable[Sample], layouts: Layouts, limit: int = SERIES_LIMIT
) -> list[Measured]:
    """Return a source's samples as one object for each set of labels. Invalid samples and those beyond the limit are counted."""
    rows: dict[Labels, dict[SeriesKey, float]] = {}
    count = dropped = 0
    for sample in samples:
        try:
            sample.check()
        except (NovaCronError, AttributeError, TypeError):
            dropped += 1
            continue
        if count >= limit:
            dropped += 1
            continue
        count += 1
        rows.setdefault(tuple(sorted(sample.labels.items())), {})[SeriesKey(sample.metric)] = float(sample.value)
    found = [custom(source.name, labels, values, layouts) for labels, values in rows.items()]
    return [*found, source_state(source.name, up=True, dropped=dropped, layouts=layouts)]


def source_state(name: str, *, up: bool, dropped: int, layouts: Layouts) -> Measured:
    """Return the metrics about a source itself."""
    values = {SeriesKey(builtin.OWN["limited"].name): float(dropped), SeriesKey(builtin.OWN["source_up"].name): float(up)}
    return custom("source", (("source", name),), values, layouts)


def custom(source: str, labels: Labels, values: dict[SeriesKey, float], layouts: Layouts) -> Measured:
    """Return samples with the same labels as an object of the kind "custom"."""
    keys, row = in_order({key: value for key, value in values.items() if math.isfinite(value)})
    return Measured("custom", custom_key(source, labels), "", labels, layouts.of(keys), row)


def custom_key(source: str, labels: Labels) -> str:
    """Return the key of an object of the kind "custom". It fits its column: a long one ends with a digest."""
    key = f"{source} {json.dumps(labels)}"
    return key if len(key) <= 400 else f"{key[:320]} {hashlib.sha256(key.encode()).hexdigest()}"


__all__ = [
    "CommandSource",
    "EndpointSource",
    "GuestSource",
    "custom",
    "custom_key",
    "measured_source",
    "parse_exposition",
    "source_state",
]
