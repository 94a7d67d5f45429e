"""Draws series: as SVG for pages, as PNG, and as text for terminals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from novacron.errors import InvalidSpecError, SpecProblem, UnsupportedOperationError
from novacron.records.series import Series
from novacron.text import printable_line

COLOURS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f")
MOST = len(COLOURS)
"""How many series one picture shows."""
LARGEST = 1e300
"""Values beyond it are not drawn: their difference could be infinite."""
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 26, 24


class Plot:
    """A line chart of stored metrics: shown in the terminal and in notebooks, and saved as SVG or PNG.

    Attributes:
        series: the curves, those with the highest last value first. Eight are drawn.
        title: the title.

    Example:
        >>> Plot([Series(metric="load", labels={"host": "a"}, points=((0.0, 1.0), (60.0, 2.0)))], "load")
        <plot of load: 1 series>
    """

    def __init__(self, series: Sequence[Series], title: str = "") -> None:
        self.series = sorted((one for one in series if one.points), key=lambda one: one.points[-1][1], reverse=True)
        self.title = printable_line(title)

    def __repr__(self) -> str:
        return f"<plot of {self.title}: {len(self.series)} series>"

    def __str__(self) -> str:
        return f"{self.title}\n{text(self.series)}"

    def _repr_html_(self) -> str:
        return svg(self.series, self.title)

    def save(self, file: str | Path, *, width: int = 800, height: int = 300) -> Path:
        """Write the chart to a file.

        Args:
            file: path that ends with ".svg" or ".png". An existing file is replaced.
            width: width in pixels.
            height: height in pixels.

        Returns:
            The path.

        Raises:
            InvalidSpecError: another ending, or the file can't be written.
            UnsupportedOperationError: a PNG without matplotlib; `pip install 'novacron[plots]'` installs it.

        Example:
            >>> import tempfile
            >>> Plot([]).save(f"{tempfile.mkdtemp()}/load.svg").suffix
            '.svg'
        """
        path = Path(file)
        try:
            if path.suffix == ".svg":
                path.write_text(svg(self.series, self.title, width=width, height=height), encoding="utf-8")
            elif path.suffix == ".png":
                self._figure(width, height).savefig(path, format="png", dpi=100)
            else:
                problem = SpecProblem("file", str(file), 'a path that ends with ".svg" or ".png"')
                raise InvalidSpecError("unknown kind of picture", problems=[problem], outcome="not_sent")
        except OSError as error:
            raise InvalidSpecError(f"can't write {path}: {error.strerror or error}", problems=[], outcome="not_sent") from error
        return path

    def _figure(self, width: int, height: int) -> Any:
        """Return a figure of matplotlib, without its state for the process."""
        try:
            from matplotlib.figure import Figure
        except ImportError:
            hint = "pip install 'novacron[plots]', or save it as SVG"
            raise UnsupportedOperationError("a PNG needs matplotlib, which is not installed", hint=hint) from None
        figure = Figure(figsize=(width / 100, height / 100), layout="tight")
        axes = figure.add_subplot()
        axes.set_title(self.title, parse_math=False)  # a name may have dollar signs
        for one, colour in zip(self.series, COLOURS, strict=False):
            points = _finite(one.points)
            times: Any = [datetime.fromtimestamp(at, UTC) for at, _ in points]
            axes.plot(times, [value for _, value in points], color=colour)
        if self.series:
            legend = axes.legend(axes.get_lines(), [label(one) for one in self.series[:MOST]], loc="upper left", fontsize="small")
            for entry in legend.get_texts():
                entry.set_parse_math(False)
        figure.autofmt_xdate()
        return figure


def label(one: Series) -> str:
    """Return the text of a series in a legend: its labels, without the VM's UUID if it has others. Control characters are escaped.

    Example:
        >>> label(Series(metric="load", labels={"host": "a", "vm": "6b1f"})), label(Series(metric="load", labels={}))
        ('host=a', 'load')
    """
    return printable_line(_labels(one.labels, without=("vm",)) or one.metric)


def _labels(labels: Mapping[str, str], without: Sequence[str] = ()) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items()) if key not in without)


def short(value: float) -> str:
    """Return a number in a few characters.

    Example:
        >>> short(0.25), short(1536), short(3.2e9), short(0)
        ('0.25', '1.54k', '3.2G', '0')
    """
    for limit, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{prefix}"
    return f"{value:.3g}"


def svg(series: Sequence[Series], title: str = "", *, width: int = 640, height: int = 220) -> str:
    """Return a line chart as an SVG element. At most eight series are drawn; the legend says how many more there are.

    Example:
        >>> svg([Series(metric="load", labels={"host": "a"}, points=((0.0, 1.0), (60.0, 2.0)))]).count("<polyline")
        1
    """
    drawn, title = [one for one in series if one.points][:MOST], printable_line(title)
    size = f'viewBox="0 0 {width} {height + 16 * len(drawn)}" width="{width}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="sans-serif" font-size="11">'
    parts = [head, f'<title>{escape(title)}</title><text x="8" y="16" font-size="13" font-weight="bold">{escape(title)}</text>']
    if not drawn:
        return "".join([*parts, f'<text x="{LEFT}" y="{height // 2}">no data</text></svg>'])
    (start, end), (low, high) = _bounds(drawn)
    across, down = (width - LEFT - RIGHT) / (end - start), (height - TOP - BOTTOM) / (high - low)
    for number in range(5):
        value = low + (high - low) * number / 4
        y = height - BOTTOM - (value - low) * down
        parts.append(f'<line x1="{LEFT}" x2="{width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{short(value)}</text>')
    for at, anchor, x in ((start, "start", LEFT), (end, "end", width - RIGHT)):
        parts.append(
            f'<text x="{x}" y="{height - 8}" text-anchor="{anchor}">{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}</text>'
        )
    for number, one in enumerate(drawn):
        line = " ".join(
            f"{LEFT + (at - start) * across:.1f},{height - BOTTOM - (v - low) * down:.1f}"
            for at, v in _thinned(one.points, width)
        )
        parts.append(f'<polyline fill="none" stroke="{COLOURS[number]}" stroke-width="1.5" points="{line}"/>')
        more = f" (and {len(series) - MOST} more)" if number == MOST - 1 and len(series) > MOST else ""
        name = label(one)
        parts.append(f'<text x="{LEFT}" y="{height + 12 + 16 * number}" fill="{COLOURS[number]}">{escape(name + more)}</text>')
    return "".join([*parts, "</svg>"])


def text(series: Sequence[Series], *, width: int = 72, height: int = 12) -> str:
    """Return a chart of one or more series for a terminal; each series has its own digit.

    Example:
        >>> print(text([Series(metric="load", labels={}, points=((0.0, 0.0), (60.0, 1.0)))], width=4, height=2))
             1 |   1
             0 |1
               +----
        1  load
    """
    drawn = [one for one in series if one.points][:MOST]
    if not drawn:
        return "no data"
    (start, end), (low, high) = _bounds(drawn, margin=0.0)
    rows = [[" "] * width for _ in range(height)]
    for number, one in enumerate(drawn, 1):
        for at, value in _finite(one.points):
            x = min(width - 1, int((at - start) / (end - start) * width))
            y = min(height - 1, int((value - low) / (high - low) * height))
            rows[height - 1 - y][x] = str(number)
    labels = {0: short(high), height - 1: short(low)}
    lines = [f"{labels.get(place, ''):>6} |{''.join(row).rstrip()}" for place, row in enumerate(rows)]
    names = [f"{number}  {printable_line(_labels(one.labels) or one.metric)}" for number, one in enumerate(drawn, 1)]
    return "\n".join([*lines, f"{'':>6} +{'-' * width}", *names])


def _bounds(series: Sequence[Series], margin: float = 0.05) -> tuple[tuple[float, float], tuple[float, float]]:
    times = [at for one in series for at, _ in one.points]
    values = [value for one in series for _, value in _finite(one.points)] or [0.0]
    low, high = min(values), max(values)
    if low == high:
        low, high = (low - 1, high + 1) if low else (0.0, 1.0)
    space = (high - low) * margin
    start, end = min(times), max(times)
    return (start, end if end > start else start + 1), (low - space if low < 0 or low > space else min(low, 0.0), high + space)


def _finite(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that can be drawn."""
    return [(at, value) for at, value in points if abs(value) <= LARGEST]


def _thinned(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """Return at most about `most` points: the lowest and highest of each part, so that peaks stay visible."""
    finite = _finite(points)
    if len(finite) <= most:
        return finite
    size = math.ceil(len(finite) / (most // 2))
    parts = [finite[start : start + size] for start in range(0, len(finite), size)]
    return [point for part in parts for point in sorted({min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])})]


__all__ = ["MOST", "Plot", "label", "short", "svg", "text"]
