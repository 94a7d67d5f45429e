"""The spec fields that a driver supports, as data, and the comparison with a spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

FieldTable = Mapping[str, str]
"""What a driver declares: a key for each spec class, with the names of the supported fields as one text.

{"VMSpec": "name vcpus memory disks", "DiskSpec": "size pool"} supports four fields of a VM, and two fields of its disks. The same
fields are then supported wherever that spec is used. A longer key replaces the shorter one:

- "nic_update" holds for this operation only; "VMSpec.disks" for disks within a VMSpec; "vm_create.disks" for disks within this operation.
- "native.serial_port" among the names supports one key of a free mapping; "native" alone supports all of its keys.

A spec class without a key has no supported fields.
"""


class Unsupported(NamedTuple):
    """A given field that a driver does not support.

    Attributes:
        path: where it is in the spec: "disks.0.cache".
        field: the spec class and the field: "DiskSpec.cache".
    """

    path: str
    field: str


def unsupported(table: FieldTable, operation: str, spec: Any) -> Iterator[Unsupported]:
    """Yield each given spec field that a driver does not support, including those of nested specs.

    Args:
        table: the declared fields.
        operation: name of the operation.
        spec: a pydantic spec. Only given fields count, including those that were given their default value.

    Example:
        >>> from novacron.specs import VMSpec
        >>> spec = VMSpec(name="web1", tpm=True, disks=[{"size": "1GiB", "cache": "none"}])
        >>> [each.path for each in unsupported({"VMSpec": "name disks", "DiskSpec": "size"}, "vm_create", spec)]
        ['disks.0.cache', 'tpm']
    """
    yield from _walk(table, operation, type(spec).__name__, (), "", spec)


def supported(table: FieldTable, operation: str, root: str, path: tuple[str, ...], spec: str) -> frozenset[str]:
    """Return the supported fields of a spec class at a path. The path has the field names from the root spec, without list indices."""
    keys = (".".join((operation, *path)), ".".join((root, *path)), spec)
    return frozenset(next((table[key] for key in keys if key in table), "").split())


def _walk(table: FieldTable, operation: str, root: str, path: tuple[str, ...], shown: str, spec: Any) -> Iterator[Unsupported]:
    owner = type(spec).__name__
    names = supported(table, operation, root, path, owner)
    for field in sorted(spec.model_fields_set):
        value, place = getattr(spec, field), f"{shown}{field}"
        keys = {name.partition(".")[2] for name in names if name.startswith(f"{field}.")}
        if field not in names and not keys:
            yield Unsupported(place, f"{owner}.{field}")
        elif keys and isinstance(value, Mapping):
            yield from (Unsupported(f"{place}.{key}", f"{owner}.{field}") for key in sorted(value) if key not in keys)
        else:
            for index, nested in _nested(value):
                yield from _walk(table, operation, root, (*path, field), f"{place}.{index}" if index else f"{place}.", nested)


def _nested(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the specs in a field's value, each with its path."""
    if hasattr(type(value), "model_fields"):
        yield "", value
    elif isinstance(value, (tuple, list)):
        yield from ((f"{number}.", item) for number, item in enumerate(value) if hasattr(type(item), "model_fields"))
    elif isinstance(value, Mapping):
        yield from ((f"{key}.", item) for key, item in value.items() if hasattr(type(item), "model_fields"))


def spec_fields() -> dict[str, tuple[str, ...]]:
    """Return the names of the fields of each spec class, in the order of the class. Loads pydantic."""
    from novacron import specs

    classes = {name: getattr(specs, name) for name in specs.__all__}
    return {name: tuple(each.model_fields) for name, each in classes.items() if getattr(each, "model_fields", None)}


def mistakes(table: FieldTable, reasons: Mapping[str, str] | None = None) -> Iterator[str]:
    """Yield what is wrong with a declaration: unknown keys and fields, and reasons for fields that are supported.

    Args:
        table: the supported fields.
        reasons: why others are not supported, by "VMSpec.field".
    """
    from novacron.plugins.validation import argument_spec, operations

    classes = spec_fields()
    for key, names in table.items():
        first, _, path = key.partition(".")
        owner = first if first in classes else _spec_of_operation(first, operations(), argument_spec)
        for part in path.split(".") if path else ():
            owner = _spec_of_field(owner, part)
        if owner is None:
            yield f"{key} names no spec"
            continue
        yield from (
            f"{key}: {owner} has no field {name!r}" for name in names.split() if name.partition(".")[0] not in classes[owner]
        )

    for key in reasons or {}:
        spec, _, field = key.partition(".")
        if field not in classes.get(spec, ()):
            yield f"a reason for {key}, which is no field"
        elif field in table.get(spec, "").split():
            yield f"a reason why {key} is not supported, but it is"


def _spec_of_operation(name: str, known: Mapping[str, Any], argument_spec: Any) -> str | None:
    arguments = known[name].arguments if name in known else ()
    return next((spec.__name__ for each in arguments if hasattr(spec := argument_spec(name, each), "model_fields")), None)


def _spec_of_field(owner: str | None, field: str) -> str | None:
    from novacron import specs
    from novacron.specs.spec import spec_in

    fields = getattr(specs, owner).model_fields if owner else {}
    found = spec_in(fields[field].annotation) if field in fields else None
    return found.__name__ if found is not None else None


__all__ = ["FieldTable", "Unsupported", "mistakes", "spec_fields", "supported", "unsupported"]
