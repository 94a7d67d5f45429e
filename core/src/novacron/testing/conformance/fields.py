"""Every field of every spec is supported or rejected by name, never ignored."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from novacron.errors import NotFoundError, NovaCronError, UnsupportedOperationError
from novacron.handles.host import HostHandle
from novacron.testing.conformance.case import Conformance
from novacron.testing.probes import PROBES, Probe
from novacron.testing.target import Target
from novacron.testing.values import UNSEEN, VALUES, WITHIN, Value

OUTCOMES = ("honoured", "refused", "accepted", "refused without its name", "not tried", "dropped")
"""What can happen to a field. "accepted" fields have no visible effect; "not tried" ones need what the host does not have."""

Outcome = tuple[str, ...] | NovaCronError


class TestFields(Conformance):
    """Each field is applied with a value and without. The driver names it in an error, or reports something else."""

    @pytest.fixture
    def probe(self, spec: str, host: HostHandle, target: Target, prefix: str) -> Iterator[Probe]:
        """The probe for specs of this class."""
        root = WITHIN[spec][0] if spec in WITHIN else spec
        made = PROBES[root](host, target, prefix)
        made.skip_unless_offered()
        with made:
            yield made

    @pytest.mark.parametrize("spec", VALUES)
    def test_no_field_is_dropped(self, spec: str, probe: Probe, target: Target, record_property: Any) -> None:
        """Each field is refused by its name, or visible in the record or the native definition."""
        tally: dict[str, list[str]] = {name: [] for name in OUTCOMES}
        without = Baselines(probe)
        for number, (field, value) in enumerate(VALUES[spec].items()):
            if number % target.fields_step == 0 or spec in target.all_fields_of:
                tally[verdict(probe, without, spec, field, value)].append(field)
        for name, fields in tally.items():
            record_property(f"{spec} {name}", ", ".join(fields))
        target.tally.append((spec, tally))
        assert tally["dropped"] == [], f"fields of {spec} that were neither refused by name nor visible afterwards"
        unnamed = [field for field in tally["refused without its name"] if f"{spec}.{field}" not in target.unnamed]
        assert unnamed == [], f"fields of {spec} that were refused by an error that does not name them"

    @pytest.mark.parametrize("spec", [name for name in PROBES if name in VALUES])
    def test_equal_specs_are_reported_alike(self, spec: str, probe: Probe) -> None:
        """Two equal specs have equal reports; otherwise a difference would prove nothing."""
        first = attempt(probe, probe.smallest)
        second = attempt(probe, probe.smallest)
        if isinstance(first, NovaCronError) or isinstance(second, NovaCronError):
            pytest.skip(f"{spec} can't be tried here: {first}")
        assert first == second


class Baselines:
    """What a probe reports without the fields that are tried. Many fields have the same baseline, which is made once.

    Args:
        probe: the probe of the spec.
    """

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._known: dict[str, Outcome] = {}

    def of(self, fields: Mapping[str, Any]) -> Outcome:
        """Return the outcome of these fields."""
        key = repr(fields)
        if key not in self._known:
            self._known[key] = attempt(self._probe, fields)
        return self._known[key]


def verdict(probe: Probe, without: Baselines, spec: str, field: str, value: Value) -> str:
    """Return the result for a field, one of `OUTCOMES`. A nested field also counts as rejected if its parent field is."""
    wrap = WITHIN[spec][1] if spec in WITHIN else dict
    bare = {**value.extra, **value.instead}
    before = without.of({**(wrap(bare) if bare else {}), **value.root})
    for each in value.tried:
        given = wrap({**value.extra, field: each})
        after = attempt(probe, {**given, **value.root})
        around = [*given][-1] if spec in WITHIN else field
        if isinstance(after, NovaCronError):
            if names(after, field, each) or names(after, around, each):
                return "refused"
            unsupported = isinstance(after, UnsupportedOperationError)
            return "not tried" if unsupported or isinstance(before, NovaCronError) else "refused without its name"
        if isinstance(before, NovaCronError) or after != before:
            return "honoured"
    return "accepted" if spec in UNSEEN or f"{spec}.{field}" in UNSEEN else "dropped"


def attempt(probe: Probe, fields: Mapping[str, Any]) -> Outcome:
    """Apply fields; return the resulting lines, or the error."""
    try:
        return probe.report(fields)
    except NovaCronError as error:
        return error


def names(error: NovaCronError, field: str, value: Any) -> bool:
    """Whether an error names the field, or the value that was not found."""
    problems = " ".join(problem.path for problem in getattr(error, "problems", ()))
    text = f"{error} {error.hint or ''} {problems}".lower()
    if re.search(rf"\b{field}s?\b", text) or re.search(rf"\b{field.replace('_', ' ')}", text):
        return True
    return (isinstance(error, NotFoundError) or len(str(value)) > 4) and str(value).removeprefix("image:").rpartition("}/")[
        2
    ].lower() in text


__all__ = ["OUTCOMES", "TestFields", "names", "verdict"]
