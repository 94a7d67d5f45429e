"""Every operation of the contract and which driver offers it, as a table: `python -m novacron.plugins.matrix >docs/operations.md`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from novacron.plugins.discovery import driver_entry_points
from novacron.plugins.driver import DriverProvider
from novacron.plugins.validation import implementations, operations

HEAD = """\
# Operations

Every operation of the contract, when it may be called and which driver offers it. Made from the code by
`python -m novacron.plugins.matrix`; a test keeps it true. *When* names the statuses of a VM in which an operation is done; in any other it
is refused with an `InvalidStateError` (a crashed VM is as a stopped one, and the guest agent's operations are refused with a
`GuestAgentUnavailableError`). A number beside a driver's ✓ is the oldest version of the hypervisor's service (libvirt, vCenter) that has
the operation; words are what all of it needs, or what it can't do.

A ✓ is proved on real hypervisors, but: ✓ˢ on a simulator that speaks the hypervisor's real protocol (govmomi's, for vSphere); ✓ᶠ on a
faked boundary, for the simulator lacks it, so that our tests give it what the hypervisor's documentation says.
"""

MARKS = {"": "", "a simulator": "ˢ", "a faked boundary": "ᶠ"}
"""How it is written on what an operation is proved."""


def installed_providers() -> list[DriverProvider]:
    """Return the provider of every installed driver, sorted by name."""
    found = {}
    for points in driver_entry_points().values():
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


def _of(said: Mapping[str, str], operation: str) -> str:
    return said.get(operation, said.get("", ""))


def _hooks(area: type) -> list[str]:
    return [name for name, _ in implementations(object.__new__(area))]


if __name__ == "__main__":
    print("\n".join(lines(installed_providers())))
