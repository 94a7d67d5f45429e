"""Writes metrics as text for Prometheus: OpenMetrics 1.0, and Prometheus' own older format.

prometheus_client needs 4 µs a sample. This writer keeps the beginning of each line from round to round and appends only the values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from novacron.monitoring.layouts import Labels, Layout, Round, SeriesKey
from novacron.records.series import MetricDefinition, escaped_label

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PLAIN = "text/plain; version=0.0.4; charset=utf-8"


class ExpositionWriter:
    """Writes rounds as text.

    Args:
        definitions: the known metrics by name. A metric without a definition is written with the type "unknown".
    """

    def __init__(self, definitions: Mapping[str, MetricDefinition]) -> None:
        self.definitions = definitions
        self._prefixes: dict[tuple[str, str], tuple[Labels, Layout, list[str]]] = {}

    def write(self, made: Round, *, openmetrics: bool = True) -> bytes:
        r"""Return all samples of a round, grouped by metric. A series that two sources have is written once.

        Example:
            >>> from novacron.monitoring.layouts import Layouts, Measured, Round, SeriesKey
            >>> layout = Layouts().of([SeriesKey("jobs", (("queue", 'a"b'),))])
            >>> made = Round(at=0.0, measured=[Measured("custom", "x", "", (), layout, [3.0])])
            >>> ExpositionWriter({}).write(made)
            b'# TYPE jobs unknown\njobs{queue="a\\"b"} 3.0\n# EOF\n'
        """
        families: dict[str, list[str]] = {}
        pairs: dict[Layout, list[list[str]]] = {}
        known, pushed = {}, set()
        for one in made.measured:
            name = (one.kind, one.key)
            cached = self._prefixes.get(name)
            if cached is None or cached[1] is not one.layout or cached[0] != one.labels:
                cached = (one.labels, one.layout, [_prefix(key, one.labels) for key in one.layout.series])
            known[name] = cached
            lines = pairs.get(one.layout)
            if lines is None:
                lines = pairs[one.layout] = [families.setdefault(key.metric, []) for key in one.layout.series]
            if one.kind == "custom":
                if any(prefix in pushed for prefix in cached[2]):
                    continue
                pushed.update(cached[2])
            for line, prefix, value in zip(lines, cached[2], one.values, strict=True):
                line.append(f"{prefix}{value!r}\n")
        self._prefixes = known  # lines of objects that are gone are forgotten
        return self._joined(families, openmetrics)

    def _joined(self, families: Mapping[str, Iterable[str]], openmetrics: bool) -> bytes:
        parts: list[str] = []
        for metric in sorted(families):
            parts += self._head(metric, openmetrics)
            parts += families[metric]
        if openmetrics:
            parts.append("# EOF\n")
        return "".join(parts).encode("utf-8", "replace")

    def _head(self, metric: str, openmetrics: bool) -> list[str]:
        found = self.definitions.get(metric)
        unknown = "unknown" if openmetrics else "untyped"
        kind = found.kind if found is not None else "counter" if metric.endswith("_total") else unknown
        family = metric.removesuffix("_total") if openmetrics and kind == "counter" else metric
        lines = []
        if found is not None and found.help:
            lines.append(f"# HELP {family} {escaped_label(found.help)}\n")
        lines.append(f"# TYPE {family} {kind}\n")
        if openmetrics and found is not None and found.unit and family.endswith(f"_{found.unit}"):
            lines.append(f"# UNIT {family} {found.unit}\n")
        return lines


def _prefix(key: SeriesKey, common: Labels) -> str:
    labels = ",".join(f'{name}="{escaped_label(value)}"' for name, value in sorted({**dict(common), **dict(key.labels)}.items()))
    return f"{key.metric}{{{labels}}} " if labels else f"{key.metric} "


__all__ = ["OPENMETRICS", "PLAIN", "ExpositionWriter"]
