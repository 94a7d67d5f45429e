"""Templates in labels and annotations of rules: the part of Prometheus' templates that rules use."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.redaction import described
from novacron.units import format_duration

LONGEST = 4096
"""Characters that a template may have."""
_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_VALUE = re.compile(r"\$value(?:\s*\|\s*(humanize|humanize1024|humanizePercentage|humanizeDuration))?")
_LABEL = re.compile(r"\$labels\.([a-zA-Z_][a-zA-Z0-9_]*)")
_PRINTF = re.compile(r'(?:printf\s+"(%\.?\d*[feg])"\s+\$value|\$value\s*\|\s*printf\s+"(%\.?\d*[feg])")')


def check_template(text: str, field: str) -> None:
    """Make sure that a template can be filled.

    Raises:
        InvalidSpecError: it uses something other than `$value`, `$labels.NAME`, `humanize...` and `printf "%.2f" $value`.
    """
    if not isinstance(text, str):
        raise InvalidSpecError("invalid rule", problems=[SpecProblem(field, described(text), "a text")])
    if len(text) > LONGEST:
        raise InvalidSpecError(
            "invalid rule", problems=[SpecProblem(field, f"{len(text)} characters", f"at most {LONGEST} characters")]
        )
    for match in _ACTION.finditer(text):
        if not any(pattern.fullmatch(match[1]) for pattern in (_VALUE, _LABEL, _PRINTF)):
            problem = SpecProblem(
                field, match[0], '{{ $value }}, {{ $value | humanize }}, {{ $labels.NAME }} or {{ printf "%.2f" $value }}'
            )
            raise InvalidSpecError("a template that is not supported", problems=[problem])
    if "{{" in _ACTION.sub("", text):
        raise InvalidSpecError("a template that is not closed", problems=[SpecProblem(field, described(text), "{{ ... }}")])


def fill(text: str, labels: Mapping[str, str], value: float) -> str:
    """Return a template with the labels and the value of an alert.

    Example:
        >>> fill("{{ $labels.host }} is at {{ $value | humanizePercentage }}", {"host": "kvm1"}, 0.913)
        'kvm1 is at 91.3%'
    """
    return _ACTION.sub(lambda match: _filled(match[1], labels, value), text)


def _filled(action: str, labels: Mapping[str, str], value: float) -> str:
    if label := _LABEL.fullmatch(action):
        return labels.get(label[1], "")
    if shown := _PRINTF.fullmatch(action):
        return (shown[1] or shown[2]) % value
    match = _VALUE.fullmatch(action)
    how = match[1] if match else None
    if how is None or not math.isfinite(value):
        return f"{value:.12g}"
    if how == "humanizePercentage":
        return f"{value * 100:.4g}%"
    if how == "humanizeDuration":
        return format_duration(value) if value >= 0 else f"-{format_duration(-value)}"
    return _with_prefix(value, 1024.0 if how == "humanize1024" else 1000.0)


def _with_prefix(value: float, base: float) -> str:
    prefixes = ("", "Ki", "Mi", "Gi", "Ti", "Pi") if base == 1024.0 else ("", "k", "M", "G", "T", "P")
    place = 0
    while abs(value) >= base and place < len(prefixes) - 1:
        value, place = value / base, place + 1
    return f"{value:.4g}{prefixes[place]}"


__all__ = ["check_template", "fill"]
