"""Describes specs and records for people: their classes, and for each field its meaning, what it allows and its default."""

from __future__ import annotations

import pkgutil
import types
from collections.abc import Iterable, Iterator
from importlib import import_module
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec

from novacron import records, specs
from novacron.meanings import meanings
from novacron.records.record import Record
from novacron.specs.spec import Between, Spec, Unit
from novacron.specs.wording import A_NUMBER, A_WHOLE_NUMBER, TYPES, pattern_words
from novacron.units import format_duration, format_size

ADDRESSES: dict[Any, str] = {
    frozenset({IPv4Address, IPv6Address}): 'an IP address such as "192.168.50.10"',
    frozenset({IPv4Interface, IPv6Interface}): 'an address with its prefix, such as "192.168.50.1/24"',
    frozenset({IPv4Network, IPv6Network}): 'a range of addresses such as "10.0.0.0/8"',
}
PLAIN: dict[Any, str] = {
    bool: TYPES["bool_type"],
    int: A_WHOLE_NUMBER,
    float: A_NUMBER,
    str: "text",
    bytes: "bytes",
    UUID: TYPES["uuid_type"],
    Any: "any value",
    object: "any value",
}


class FieldDescription(NamedTuple):
    """What to know about a field of a spec or record.

    Attributes:
        owner: Name of the class.
        name: Name of the field.
        meaning: One or a few sentences; empty under `python -OO`.
        allowed: Which values it can have, in plain words.
        default: Its default in plain words; empty if there is none.
        required: Whether it must be given.
        unit: Unit of its number, such as "bytes"; empty without one.
        inside: Class of the specs or records that it consists of; None if it has none.
    """

    owner: str
    name: str
    meaning: str
    allowed: str
    default: str
    required: bool
    unit: str
    inside: type | None


def described_classes() -> dict[str, type]:
    """Return all specs, then all records, each sorted by name. Imports all of them, and thus pydantic.

    Example:
        >>> {"VMSpec", "VMQuery", "GroupSettings", "VM", "Alert"} <= described_classes().keys()
        True
    """
    return {cls.__name__: cls for package in (specs, records) for cls in sorted(_classes(package), key=lambda cls: cls.__name__)}


def _classes(package: types.ModuleType) -> Iterator[type]:
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        for found in vars(import_module(module.name)).values():
            own = isinstance(found, type) and found.__module__ == module.name and found not in (Spec, Record)
            if own and issubclass(found, (Spec, msgspec.Struct)):
                yield found


def described_fields(cls: type) -> list[FieldDescription]:
    """Return what to know about each field of a spec or record, in the order of the class.

    Example:
        >>> from novacron.specs import VMSpec
        >>> memory = next(each for each in described_fields(VMSpec) if each.name == "memory")
        >>> memory.allowed, memory.default, memory.unit
        ('a number of bytes, or text such as "2GiB"; 16 MiB to 256 TiB', '512 MiB', 'bytes')
    """
    texts = meanings(cls)
    return [
        FieldDescription(
            owner=cls.__name__,
            name=name,
            meaning=texts.get(name, ""),
            allowed=_allowed(annotation, metadata),
            default=_default(default, unit),
            required=default is msgspec.NODEFAULT,
            unit=unit.name if unit else "",
            inside=_inside(annotation),
        )
        for name, annotation, metadata, default in _fields(cls)
        for unit in [next((each for each in _facts(annotation, metadata) if isinstance(each, Unit)), None)]
    ]


def _fields(cls: Any) -> Iterator[tuple[str, Any, Iterable[Any], Any]]:
    """Yield the name, annotation, metadata and default of each field."""
    if issubclass(cls, Spec):
        for name, info in cls.model_fields.items():
            default = msgspec.NODEFAULT if info.is_required() else info.get_default(call_default_factory=True)
            yield name, info.annotation, info.metadata, default
        return
    hints = get_type_hints(cls, include_extras=True)
    for field in msgspec.structs.fields(cls):
        made = field.default_factory is not msgspec.NODEFAULT
        yield field.name, hints[field.name], (), field.default_factory() if made else field.default


def _facts(annotation: Any, metadata: Iterable[Any]) -> Iterator[Any]:
    """Yield what an annotation says about its own values: the metadata, also within `Annotated` and unions."""
    for each in metadata:
        yield from getattr(each, "metadata", (each,))
    if get_origin(annotation) is Annotated:
        yield from _facts(annotation.__origin__, annotation.__metadata__)
    elif get_origin(annotation) in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from _facts(part, ())


def _allowed(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """Return which values an annotation allows, in plain words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _allowed(arguments[0], (*metadata, *arguments[1:]))
    if origin in (Union, types.UnionType):
        parts = [part for part in arguments if part is not type(None)]
        return ADDRESSES.get(frozenset(parts)) or " or ".join(_allowed(part, metadata) for part in parts)
    if origin is Literal:
        return ", ".join(map(str, arguments))
    if origin in (tuple, frozenset, list):
        return f"a list; each entry: {_allowed(arguments[0])}" if len({*arguments} - {...}) == 1 else "several values"
    if origin is dict:
        return f"names with values; each value: {_allowed(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, (Spec, msgspec.Struct)):
        return f"the fields of {annotation.__name__}"
    facts = list(_facts(annotation, metadata))
    unit = next((each for each in facts if isinstance(each, Unit)), None)
    pattern = next((each.pattern for each in facts if getattr(each, "pattern", None)), None)
    if unit:
        words = f'a number of {unit.name}, or text such as "{unit.example}"'
    else:
        words = pattern_words(pattern) if pattern else PLAIN.get(annotation, "a value")
    limits = _limits(facts)
    return f"{words}; {limits}" if limits else words


LIMITS = (("ge", "at least {}"), ("gt", "more than {}"), ("le", "at most {}"), ("lt", "less than {}"))


def _limits(facts: list[Any]) -> str:
    """Return the smallest and largest number."""
    between = next((each.func for each in facts if isinstance(getattr(each, "func", None), Between)), None)
    if between is not None:
        return str(between)
    given = {name: getattr(each, name) for each in facts for name, _ in LIMITS if getattr(each, name, None) is not None}
    if given.get("lt") == 2**63:  # what a hypervisor can count at all
        del given["lt"]
    if given.keys() == {"ge", "le"}:
        return f"{given['ge']} to {given['le']}"
    return ", ".join(words.format(given[name]) for name, words in LIMITS if name in given)


def _default(value: Any, unit: Unit | None) -> str:
    """Return a default in plain words; empty if there is none, or nothing in it."""
    if value is None or value is msgspec.NODEFAULT or isinstance(value, (Spec, msgspec.Struct)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, tuple, frozenset, dict, list, bytes)):
        return str(value) if value else ""
    if unit and unit.name == "bytes":
        return format_size(value)
    return format_duration(value) if unit and unit.name == "seconds" else str(value)


def _inside(annotation: Any) -> type | None:
    """Return the spec or record within an annotation, such as `DiskSpec` in `tuple[DiskSpec, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, (Spec, msgspec.Struct)):
        return annotation
    return next((found for each in get_args(annotation) if (found := _inside(each))), None)


__all__ = ["FieldDescription", "described_classes", "described_fields"]
