"""Tables of the operations and spec fields that each driver supports: `python -m novacron.plugins.matrix >docs/operations.md`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from novacron.plugins.discovery import DriverRegistry
from novacron.plugins.driver import DriverProvider
from novacron.plugins.fields import FieldTable, spec_fields
from novacron.plugins.validation import implementations, operations

HEAD = """\
# Operations

This page lists every operation, when it may be called, and which driver supports it. The tables at the end list the fields of the specs.
`python -m novacron.plugins.matrix` generates it, and a test compares it with the code.

*When* names the statuses of a VM in which an operation is allowed. In any other status it raises `InvalidStateError`. A crashed VM is
treated as stopped. Operations of the guest agent raise `GuestAgentUnavailableError` instead. A number beside a driver's ✓ is the oldest
supported version of the hypervisor's service (libvirt, vCenter). The text after it lists requirements and limits.

A plain ✓ is tested on real hypervisors. ✓ˢ is tested on a simulator that speaks the hypervisor's real protocol (govmomi's, for vSphere).
✓ᶠ is tested on a simulator that our tests extend, following the hypervisor's documentation.
"""

MARKS = {"": "", "a simulator": "ˢ", "a faked boundary": "ᶠ"}
"""How it is written on what an operation is proved."""


def installed_providers() -> list[DriverProvider]:
    """Return the provider of every installed driver, sorted by name."""
    found = {}
    for points in DriverRegistry().by_scheme().values():
        provider = points[0].load()
        found[provider.name] = provider
    return [found[name] for name in sorted(found)]


def lines(providers: Sequence[DriverProvider]) -> Iterator[str]:
    """Yield the Markdown, line by line."""
    yield HEAD
    offered = {p.name: {name for area in p.areas() for name in _hooks(area)} for p in providers}
    notes = {p.name: p.limits() for p in providers}
    marks = {p.name: {name: MARKS[proof] for name, proof in p.proofs().items()} for p in providers}
    versions = {p.name: p.versions() for p in providers}
    area = None
    for operation in operations().values():
        if operation.area != area:
            area = operation.area
            yield f"\n## {'NICs' if area == 'nics' else area.capitalize()}\n"
            yield f"| operation | kind | when | {' | '.join(offered)} |"
            yield f"|---|---|---|{'---|' * len(offered)}"
        kind = "read" if operation.reads else "job" if operation.long else "change"
        cells = [
            " ".join(
                filter(
                    None,
                    (
                        f"✓{_of(marks[driver], operation.name)}",
                        _of(versions[driver], operation.name),
                        notes[driver].get(operation.name),
                    ),
                )
            )
            if operation.name in names
            else "–"
            for driver, names in offered.items()
        ]
        when = ", ".join(operation.statuses) or "any" if "vm" in operation.arguments else ""
        yield f"| `{operation.name}` {operation.summary.rstrip('.')} | {kind} | {when} | {' | '.join(cells)} |"
    yield from _fields(providers)


FIELDS_HEAD = """
# Fields

The fields of each spec, and which driver supports them. A given field that a driver does not support is refused with an `InvalidSpecError`
that names it, before the driver is called. The reason stands beside the – where it helps. A `?` marks a driver that declares no fields:
it gets all of them and refuses some itself. Operations that support fewer fields than the spec's table are listed below it.
"""


def _fields(providers: Sequence[DriverProvider]) -> Iterator[str]:
    """Yield a table of fields for each spec class."""
    tables = {p.name: p.fields() if p.fields else None for p in providers}
    yield FIELDS_HEAD
    yield from _totals(tables)
    reasons = {p.name: p.reasons() for p in providers}
    for spec, fields in spec_fields().items():
        yield f"\n## {spec}\n"
        yield f"| field | {' | '.join(tables)} |"
        yield f"|---|{'---|' * len(tables)}"
        for field in fields:
            marks = [_mark(table, spec, field, reasons[driver]) for driver, table in tables.items()]
            yield f"| `{field}` | {' | '.join(marks)} |"
    yield "\n## Operations and places with fields of their own\n"
    for driver, table in tables.items():
        for key in sorted(set(table or ()) - set(spec_fields())):
            yield f"- {driver}, `{key}`: {(table or {})[key].replace(' ', ', ')}"


def _totals(tables: Mapping[str, FieldTable | None]) -> Iterator[str]:
    """Yield a table with the number of supported and of refused fields of each driver, for each spec class and for all of them."""
    yield "\n## Supported and refused fields\n"
    yield "Each cell counts the supported fields, then the refused ones. The list of operations with fields of their own, at the end of"
    yield "this page, is not counted. `TestFields` of the conformance suite tries every field on every driver.\n"
    yield f"| spec | {' | '.join(tables)} |"
    yield f"|---|{'---|' * len(tables)}"
    sums = dict.fromkeys(tables, (0, 0))
    for spec, fields in spec_fields().items():
        cells = []
        for driver, table in tables.items():
            supported = sum(_mark(table, spec, field, {}).startswith("✓") for field in fields)
            counts = (supported, len(fields) - supported)
            sums[driver] = (sums[driver][0] + counts[0], sums[driver][1] + counts[1])
            cells.append(_counts(table, counts))
        yield f"| `{spec}` | {' | '.join(cells)} |"
    yield f"| all | {' | '.join(_counts(table, sums[driver]) for driver, table in tables.items())} |"


def _counts(table: FieldTable | None, counts: tuple[int, int]) -> str:
    return "?" if table is None else "{} / {}".format(*counts)


def _mark(table: FieldTable | None, spec: str, field: str, reasons: Mapping[str, str]) -> str:
    if table is None:
        return "?"
    names = table.get(spec, "").split()
    keys = [name.partition(".")[2] for name in names if name.startswith(f"{field}.")]
    if field in names or keys:
        return f"✓ {', '.join(keys)}".strip()
    return f"– {reasons.get(f'{spec}.{field}', '')}".strip()


def _of(said: Mapping[str, str], operation: str) -> str:
    return said.get(operation, said.get("", ""))


def _hooks(area: type) -> list[str]:
    return [name for name, _ in implementations(object.__new__(area))]


if __name__ == "__main__":
    print("\n".join(lines(installed_providers())))
