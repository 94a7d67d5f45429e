"""Generates `keywords.py`: the fields of each spec as a TypedDict, so that type checkers find misspelt keyword arguments.

python -m novacron.specs.generate >core/src/novacron/specs/keywords.py
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from novacron import specs
from novacron.specs.spec import Spec

HEAD = '''"""The fields of the specs as keyword arguments, for type checkers.

`python -m novacron.specs.generate` makes this module, and a test compares it with the specs.

Classes named `...Options` leave `name` out, where a method takes it as an argument of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Any, Literal, TypedDict
from uuid import UUID

from novacron.specs import ('''

PLAIN: dict[Any, str] = {
    int: "int",
    float: "float",
    str: "str",
    bool: "bool",
    type(None): "None",
    Any: "Any",
}


def lines() -> Iterator[str]:
    """Yield the module, line by line."""
    classes = [each for name in specs.__all__ if isinstance(each := getattr(specs, name), type) and issubclass(each, Spec)]
    classes = [each for each in classes if each.model_fields]
    yield HEAD + "\n    " + ",\n    ".join(sorted((each.__name__ for each in classes), key=_ruff_order)) + ",\n)"
    names = []
    for each in classes:
        inherited, fields = "TypedDict", each.model_fields
        if "name" in fields:
            names.append(inherited := _keywords(each.__name__, "Options"))
            yield f"\n\nclass {inherited}(TypedDict, total=False):"
            yield f'    """The fields of `{each.__name__}` but for its name."""\n'
            yield from (_field(name, info) for name, info in fields.items() if name != "name")
            fields = {"name": fields["name"]}
        names.append(_keywords(each.__name__, "Fields"))
        yield f"\n\nclass {names[-1]}({inherited}, total=False):"
        yield f'    """The fields of `{each.__name__}`."""\n'
        yield from (_field(name, info) for name, info in fields.items())
    yield "\n\n__all__ = [\n" + "".join(f'    "{name}",\n' for name in sorted(names, key=_ruff_order)) + "]"


def _field(name: str, info: FieldInfo) -> str:
    return f"    {name}: {_type(info.annotation, info.metadata)}"


def _keywords(spec: str, suffix: str) -> str:
    return spec.removesuffix("Spec") + suffix


def _ruff_order(name: str) -> tuple[bool, str]:
    return (not name.isupper(), name)


def _type(annotation: Any, metadata: Any = ()) -> str:
    """Return what may be given for a field: what the spec declares, and what it converts."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0], arguments[1:])
    if any(isinstance(each, BeforeValidator) for each in metadata) and annotation in (int, float):
        return "int | str" if annotation is int else "float | str | timedelta"
    if origin in (Union, types.UnionType):
        parts = [part for each in arguments for part in _type(each, metadata).split(" | ")]
        return " | ".join(dict.fromkeys(parts))
    if origin is Literal:
        return f"Literal[{', '.join(repr(each) for each in arguments)}]".replace("'", '"')
    if origin is tuple:
        return f"Sequence[{_type(arguments[0])}]"
    if origin is frozenset:
        return f"Iterable[{_type(arguments[0])}]"
    if origin is dict:
        return f"Mapping[{_type(arguments[0])}, {_type(arguments[1])}]"
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return f"{annotation.__name__} | {_keywords(annotation.__name__, 'Fields')}"
    if annotation in PLAIN:
        return PLAIN[annotation]
    return f"{annotation.__name__} | str"


if __name__ == "__main__":
    print("\n".join(lines()))

__all__ = ["lines"]
