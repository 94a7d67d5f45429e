"""Draws series: as SVG for pages, as PNG, and as text for terminals."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from novacron.errors import InvalidSpecError, SpecProblem, UnsupportedOperationError
from novacron.records.series import Series
from novacron.text import printable_line
from novacron.units import format_size

COLOURS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f")
MOST = len(COLOURS)
"""How many series one picture shows."""
LARGEST = 1e300
"""Values beyond it are not drawn: their difference could be infinite."""
SMALLEST = 1e-300
"""Values below it, and their differences, are drawn as 0."""
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 26, 24
GAP = 2.5
"""How many times the usual distance of two points is a gap, over which no line is drawn."""
MINUTE, HOUR, DAY = 60, 3600, 86400
TIME_STEPS = (
    1,
    5,
    15,
    MINUTE,
    5 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    30 * DAY,
)
"""Distances of the times at the axis, in seconds."""
DIGITS = 12
"""How many digits after the point a text at the axis has at most."""
MARKS = 7
"""Into how many parts the times at the axis divide it at most, so that their texts do not overlap."""


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
        figure = Figure(figsize=(width / 100, height / 100), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(self.title, parse_math=False, fontsize="medium")  # a name may have dollar signs
        axes.grid(color="#ddd")
        known = [one for one in self.series if one.points]
        drawn, lines = known[:MOST], []
        for one, colour in zip(drawn, COLOURS, strict=False):
            for part in _unbroken(one.points) or [[]]:
                times: Any = [datetime.fromtimestamp(at, UTC) for at, _ in part]
                curve = axes.plot(times, [value for _, value in part], color=colour, linewidth=1.2, solid_capstyle="round")
            lines += curve
        if drawn:
            (start, end), levels = _bounds(drawn)
            axes.set_yticks(levels, level_texts(levels, _unit(drawn)))
            marks: Any = [datetime.fromtimestamp(at, UTC) for at, _ in _time_marks(start, end)]
            axes.set_xticks(marks, [mark for _, mark in _time_marks(start, end)])
            named = _legend(known)
            legend = figure.legend(lines, named, loc="outside lower left", fontsize="small", ncols=2, frameon=False)
            for entry in legend.get_texts():
                entry.set_parse_math(False)
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


def _legend(series: Sequence[Series]) -> list[str]:
    """Return the texts of the series that are drawn; the last one says how many more there are."""
    named = [label(one) for one in series[:MOST]]
    return [*named[:-1], f"{named[-1]} (and {len(series) - MOST} more)"] if len(series) > MOST else named


def short(value: float, unit: str = "") -> str:
    """Return a number in a few characters, bytes in powers of 1024.

    Example:
        >>> short(0.25), short(1536), short(3.2e9), short(0), short(3 * 2**30, "bytes"), short(1536, "bytes/s"), short(90, "seconds")
        ('0.25', '1.54k', '3.2G', '0', '3 GiB', '1.5 KiB/s', '90 s')
    """
    if unit in ("bytes", "bytes/s"):
        return format_size(value) + unit.removeprefix("bytes")
    if unit == "seconds":
        return f"{short(value)} s"
    for limit, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{prefix}"
    return f"{value:.3g}"


def level_texts(levels: Sequence[float], unit: str = "") -> list[str]:
    """Return the texts of levels at an axis: short ones, but with so many digits that they differ.

    Example:
        >>> level_texts([0, 500, 1000]), level_texts([5.95 * 2**30, 6 * 2**30, 6.05 * 2**30, 6.1 * 2**30], "bytes")
        (['0', '500', '1k'], ['5.95 GiB', '6.00 GiB', '6.05 GiB', '6.10 GiB'])
    """
    texts = [short(level, unit) for level in levels]
    scale, suffix = 1.0, " s" if unit == "seconds" else ""
    if unit.startswith("bytes"):
        scale = 1024.0 ** max(0, min(6, int(math.log(max(1.0, *map(abs, levels)), 1024))))
        suffix = format_size(scale)[1:] + unit.removeprefix("bytes")
    for digits in range(DIGITS):
        if len({*texts}) == len(texts):
            break
        texts = [f"{level / scale:.{digits}f}{suffix}" for level in levels]
    return texts


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
    (start, end), levels = _bounds(drawn)
    low, unit = levels[0], _unit(drawn)
    across, down = (width - LEFT - RIGHT) / (end - start), (height - TOP - BOTTOM) / (levels[-1] - low)
    for level, mark in zip(levels, level_texts(levels, unit), strict=True):
        y = height - BOTTOM - (level - low) * down
        parts.append(f'<line x1="{LEFT}" x2="{width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{mark}</text>')
    for at, mark in _time_marks(start, end):
        x = LEFT + (at - start) * across
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{height - BOTTOM}" stroke="#eee"/>')
        anchor = "end" if x > width - RIGHT - 20 else "middle"
        parts.append(f'<text x="{x:.1f}" y="{height - 8}" text-anchor="{anchor}">{mark}</text>')
    for number, (one, name) in enumerate(zip(drawn, _legend([each for each in series if each.points]), strict=True)):
        for part in _unbroken(one.points):
            points = [
                f"{LEFT + (at - start) * across:.1f},{height - BOTTOM - (value - low) * down:.1f}"
                for at, value in _thinned(part, max(4, width * len(part) // len(one.points)))
            ]
            line = " ".join(points * 2 if len(points) == 1 else points)  # the ends of a line of no length are a dot
            drawing = f'stroke="{COLOURS[number]}" stroke-width="1.5" stroke-linecap="round" points="{line}"'
            parts.append(f'<polyline fill="none" {drawing}/>')
        parts.append(f'<text x="{LEFT}" y="{height + 12 + 16 * number}" fill="{COLOURS[number]}">{escape(name)}</text>')
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
    (start, end), levels = _bounds(drawn)
    low, high, unit = levels[0], levels[-1], _unit(drawn)
    rows = [[" "] * width for _ in range(height)]
    for number, one in enumerate(drawn, 1):
        for at, value in _finite(one.points):
            x = min(width - 1, int((at - start) / (end - start) * width))
            y = min(height - 1, int((value - low) / (high - low) * height))
            rows[height - 1 - y][x] = str(number)
    labels = {0: short(high, unit), height - 1: short(low, unit)}
    left = max(6, *map(len, labels.values()))
    lines = [f"{labels.get(place, ''):>{left}} |{''.join(row).rstrip()}" for place, row in enumerate(rows)]
    lines.append(f"{'':>{left}} +{'-' * width}")
    first, last = (f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}" for at in (start, end))
    if len(first) + len(last) < width:
        lines.append(f"{'':>{left}}  {first}{last:>{width - len(first)}}")
    names = [printable_line(_labels(one.labels) or one.metric) for one in drawn]
    more = [f"and {len(series) - MOST} more"] if len(series) > MOST else []
    return "\n".join([*lines, *(f"{number}  {name}" for number, name in enumerate(names, 1)), *more])


def _bounds(series: Sequence[Series]) -> tuple[tuple[float, float], list[float]]:
    """Return the first and the last time, and the levels of the axis, which include all values."""
    times = [at for one in series for at, _ in one.points]
    values = [value for one in series for _, value in _finite(one.points)] or [0.0]
    low, high = min(values), max(values)
    if 0 < low < 0.75 * high:
        low = 0.0
    if high - low <= abs(high) * 1e-12 or high - low < SMALLEST:  # as good as equal
        space = max(1.0, abs(high) / 100)
        low, high = (low - space, high + space) if abs(low) >= SMALLEST else (0.0, 1.0)
    start, end = min(times), max(times)
    return (start, end if end > start else start + 1), _levels(low, high, 1024 if _unit(series).startswith("bytes") else 1000)


def _levels(low: float, high: float, base: int) -> list[float]:
    """Return three to seven round numbers at equal distances, the first not above `low`, the last not below `high`.

    Example:
        >>> _levels(0.617, 13.8, 1000), _levels(0, 3 * 1024**3, 1024)
        ([0.0, 5.0, 10.0, 15.0], [0.0, 1073741824.0, 2147483648.0, 3221225472.0])
    """
    rough = (high - low) / 4
    scale = float(base) ** math.floor(math.log(rough, base))
    step = scale * next(size for size in (*(n * 10**k for k in range(3) for n in (1, 2, 5)), base) if size * scale >= rough * 0.8)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [number * step for number in range(first, last + 1)]


def _time_marks(start: float, end: float) -> list[tuple[float, str]]:
    """Return round times from `start` to `end`, and their texts; in UTC.

    Example:
        >>> [mark for _, mark in _time_marks(0.0, 7200.0)]
        ['00:00', '00:30', '01:00', '01:30', '02:00']
    """
    step = next((step for step in TIME_STEPS if (end - start) / step <= MARKS), math.ceil((end - start) / MARKS / DAY) * DAY)
    count = math.floor(end / step) - math.ceil(start / step) + 1
    marks = [(math.ceil(start / step) + number) * step for number in range(count)]
    format_ = "%m-%d" if step >= DAY else "%H:%M:%S" if step < MINUTE else "%H:%M" if end - start <= DAY else "%m-%d %H:%M"
    return [(mark, f"{datetime.fromtimestamp(mark, UTC):{format_}}") for mark in marks]


def _unit(series: Sequence[Series]) -> str:
    """Return the unit of all series; empty if they differ."""
    units = {one.unit for one in series}
    return units.pop() if len(units) == 1 else ""


def _unbroken(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Return the parts of a curve between its gaps."""
    finite = _finite(points)
    distances = sorted(later[0] - sooner[0] for sooner, later in itertools.pairwise(finite))
    usual = distances[len(distances) // 2] if distances else 0.0
    found: list[list[tuple[float, float]]] = []
    for point in finite:
        if not found or point[0] - found[-1][-1][0] > GAP * usual:
            found.append([])
        found[-1].append(point)
    return found


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


__all__ = ["MOST", "Plot", "label", "level_texts", "short", "svg", "text"]
